# SPDX-License-Identifier: Apache-2.0
"""How the command line speaks: results on standard output, everything else on standard error."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from taxi.local.errors import WRONG_USE, LocalError

if TYPE_CHECKING:
    from rich.console import Console

DataDirOption = Annotated[
    Path, typer.Option("--data-dir", envvar="TAXI_DATA_DIR", help="The demo's folder: its log, its parts.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]
DATA_DIR = Path(".taxi")


class Guarded(TyperGroup):
    """Checks the settings before any command, and turns what is in the way into words and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        # The client logs each failed attempt; we say once what does not answer.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        try:
            check_environment()
            return super().invoke(ctx)
        except LocalError as error:
            say_error(error)
            raise typer.Exit(error.code) from error


def check_environment() -> None:
    """Raise LocalError for a TAXI_* variable that nothing here knows, or a bad value that all share."""
    if not any(key.startswith(("TAXI_", "KAFKA_")) for key in os.environ):
        return
    from taxi.runtime.settings import KNOWN, Settings, SettingsError  # noqa: PLC0415 - `--help` does without

    try:
        Settings.from_env(os.environ, also=KNOWN)
    except SettingsError as error:
        raise LocalError(str(error), do="", code=WRONG_USE) from error


def console(*, stderr: bool = False) -> "Console":
    """Where to write for people: coloured on a terminal, unless NO_COLOR asks otherwise."""
    from rich.console import Console  # noqa: PLC0415 - `--help` does without

    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)


def say_error(error: LocalError) -> None:
    """What happened, the end of the log where there is one, what to do."""
    err = console(stderr=True)
    err.print(error.what, style="bold red")
    if error.details:
        err.print("\n".join(f"  │ {line}" for line in error.details.splitlines()), style="dim")
    if error.do:
        err.print(error.do)


def print_json(value: Any) -> None:
    """One JSON value, for scripts."""
    import msgspec  # noqa: PLC0415 - `--help` does without

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
