"""How much memory a gateway worker takes at most while 16 clients upload 256 MiB each: `python -m bench.upload_rss`.

The peak is the kernel's own (VmHWM) of a store started for this run. Ends with 1 where a worker went above the limit.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.load import MIB, POOL, Target, cpu_of
from conformance.clients.endpoint import own_store, status

LIMIT_MIB = 256


def peak_mib(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def upload(target: Target, path: str, pieces: int, failures: list[str]) -> None:
    """One PUT, its body sent piece by piece."""
    connection = target.connect()
    try:
        connection.putrequest("PUT", target.path("PUT", path))
        connection.putheader("Content-Length", str(pieces * len(POOL)))
        connection.endheaders()
        for _ in range(pieces):
            connection.send(POOL)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            failures.append(f"{path}: {answer.status}")
    except OSError as error:
        failures.append(f"{path}: {error}")
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--mib", type=int, default=256, help="size of each upload, a multiple of 64")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure on")
    arguments = parser.parse_args()
    pieces = arguments.mib * MIB // len(POOL)
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as scratch, own_store(Path(scratch)) as store:
        end = store.endpoint
        target = Target(end.url, end.access_key, end.secret_key)
        target.call("PUT", "/memory")
        failures: list[str] = []
        threads = [
            threading.Thread(target=upload, args=(target, f"/memory/{number}", pieces, failures))
            for number in range(arguments.clients)
        ]
        cpu, start = cpu_of(store.pid), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took, spent = time.perf_counter() - start, cpu_of(store.pid) - cpu
        roles = status(store.data)["roles"]
        assert isinstance(roles, list)
        peaks = [(role["role"], role["pid"], peak_mib(role["pid"])) for role in roles]
    total = arguments.clients * arguments.mib
    print(f"{arguments.clients} uploads of {arguments.mib} MiB in {took:.1f} s: {total / took:.0f} MiB/s, "
          f"{spent / total * 1000:.2f} CPU ms/MiB, {len(failures)} failed {failures[:1] or ''}")  # fmt: skip
    for role, pid, mib in peaks:
        print(f"  {role:12} {pid:8} peak {mib:7.1f} MiB")
    worst = max(mib for role, _, mib in peaks if role == "gateway")
    return int(bool(failures) or worst > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
