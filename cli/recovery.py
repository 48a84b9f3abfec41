"""Where a command gets the recovery code from: an option, the environment, or who sits at the terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.options import CommandError
from cyxcloud.core.config import load_first_start
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode

CodeOption = Annotated[
    str | None,
    typer.Option(
        "--recovery-code",
        metavar="CODE",
        help="The recovery code. [CYXCLOUD_RECOVERY_CODE, else asked for]",
        show_default=False,
    ),
]


def recovery_code(given: str | None) -> RecoveryCode:
    """CommandError where it is mistyped."""
    try:
        return RecoveryCode.parse(given or _from_environment() or _asked())
    except BadRecoveryCode as error:
        raise CommandError(f"{error}; it has seven groups of four letters and digits") from None


def _from_environment() -> str | None:
    secret = load_first_start().recovery_code
    return None if secret is None else secret.get_secret_value()


def _asked() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Recovery code", hide_input=True))
    line = sys.stdin.readline().strip()
    if not line:
        raise CommandError("no recovery code was given: use --recovery-code or CYXCLOUD_RECOVERY_CODE")
    return line
