# SPDX-License-Identifier: Apache-2.0
"""Output of the command line: results on standard output, everything else on standard error."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from taxi.runtime.machine_errors import OF_THE_MACHINE, WRONG_USE, LocalError, from_os
from taxistream.local.output import lossy, prepare_streams

if TYPE_CHECKING:
    from rich.console import Console

DataDirOption = Annotated[Path, typer.Option("--data-dir", envvar="TAXI_DATA_DIR", help="The demo's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]
DATA_DIR = Path(".taxi")


class Guarded(TyperGroup):
    """Checks the settings before any command, and reports errors as a message and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, on streams that take any character."""
        prepare_streams()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        # The client logs each failed attempt; the command reports it once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        try:
            return super().invoke(ctx)
        except LocalError as error:
            say_error(error)
            raise typer.Exit(error.code) from error
        except ValueError as error:
            from taxi.bus.kafka.config import ConfigError  # noqa: PLC0415 - `--help` does without

            if not isinstance(error, ConfigError):
                raise
            say_error(LocalError(str(error), do="", code=WRONG_USE))
            raise typer.Exit(WRONG_USE) from error
        except OSError as error:
            if error.errno not in OF_THE_MACHINE:
                raise
            said = from_os(error)
            say_error(said)
            raise typer.Exit(said.code) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Check the settings once it is known which command they are for. A service checks its own."""
        found = super().resolve_command(ctx, args)
        if not getattr(found[1], "checks_its_settings", False):
            check_environment()
        return found


def check_environment() -> None:
    """Remove the variables that other programs set from the environment, and print which.

    Raises SettingsError if a variable is misspelt, or one that all services share has an invalid value.
    """
    if not any(key.startswith(("TAXI_", "KAFKA_")) for key in os.environ):
        return
    from taxi.runtime.environment import is_service_link  # noqa: PLC0415 - `--help` does without
    from taxi.runtime.settings import Settings  # noqa: PLC0415 - as above

    err = console(stderr=True)
    Settings.from_env(os.environ, note=lambda note: err.print(str(note), style="yellow"))
    # Options such as --port take their defaults from the environment.
    for key in [key for key, value in os.environ.items() if is_service_link(key, value)]:
        del os.environ[key]


def console(*, stderr: bool = False) -> "Console":
    """A console for human readers: coloured on a terminal, unless NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415 - `--help` does without

    file = lossy(sys.stderr) if stderr else None
    return Console(file=file, stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)


def lasting_console() -> "Console":
    """The same for a program that continues when its terminal or pipe is closed (`when_lost`)."""
    from rich.console import Console  # noqa: PLC0415 - `--help` does without

    return Console(file=lossy(sys.stdout), highlight=False, soft_wrap=True, markup=False, emoji=False)


def say_error(error: LocalError) -> None:
    """Print what happened, the end of the log if there is one, and what to do."""
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
