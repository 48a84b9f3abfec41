"""`python -m bench`: what the steps of a request cost here, in CPU time; the best of several short rounds.

Malloc is tuned as the supervisor tunes it for its processes, by starting again with its variables.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from bench import micro
from bench.policy import policies
from cli.supervisor import MALLOC


def main() -> None:
    if any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execve(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]], os.environ | MALLOC)
    groups = micro.GROUPS | {"policy": policies}
    wanted = sys.argv[1:] or list(groups)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".") as scratch:
        for name in wanted:
            groups[name](Path(scratch))


if __name__ == "__main__":
    main()
