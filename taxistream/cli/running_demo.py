# SPDX-License-Identifier: Apache-2.0
"""`taxi stop|logs|run|open`: what one does with a running demo from another terminal."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from taxi.runtime.machine_errors import FAILED, WRONG_USE, LocalError
from taxistream.cli.completion import part_names
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from taxi.runtime.parts import Demo

STOPS_S_MAX: Final = 90.0
"""Each stage of a demo may take some seconds; the broker 30."""
_POLL_S: Final = 0.1
_CHUNK: Final = 65_536


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(stop)
    app.command()(logs)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(run)
    app.command("open")(open_page)


def stop(data_dir: DataDirOption = DATA_DIR, as_json: JsonOption = False) -> None:
    """Stop the demo in order, as Ctrl-C in its terminal does, and wait until nothing runs any more."""
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    demo = _demo(data_dir)
    err = console(stderr=True)
    if demo is None:
        err.print(f"No demo runs in {data_dir}.")
    else:
        err.print(f"Stopping the demo (pid {demo.pid}) …", style="dim")
        with suppress(ProcessLookupError):
            os.kill(demo.pid, signal.SIGTERM)
        until_s = time.monotonic() + STOPS_S_MAX
        while parts.is_alive(demo.pid, demo.created):
            if time.monotonic() > until_s:
                raise LocalError(
                    f"It still runs after {STOPS_S_MAX:.0f} s.",
                    do=f"`taxi ps` shows what does; a second `taxi stop` or kill -9 {demo.pid} hurries it.",
                    code=FAILED,
                )
            time.sleep(_POLL_S)
        err.print("Stopped. Nothing runs any more.")
    if as_json:
        print_json({"stopped": demo is not None, "pid": demo.pid if demo else None})


def logs(
    name: Annotated[
        str, typer.Argument(help="A name from `taxi ps`, or of a part that ran.", autocompletion=part_names)
    ],
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of the last lines.")] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what is added, until Ctrl-C.")
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
) -> None:
    """Print what a part of the demo has printed last."""
    from taxistream.local.child import tail  # noqa: PLC0415 - `taxi --help` does without
    from taxistream.local.data_dir import DataDir  # noqa: PLC0415

    home = DataDir(data_dir)
    log = home.log(name)
    if not log.is_file():
        there = ", ".join(sorted(file.stem for file in home.logs.glob("*.log"))) or "none"
        raise LocalError(
            f"There is no log of {name!r} in {home.logs}.", do=f"There are: {there}.", code=WRONG_USE
        )
    begin = log.stat().st_size
    if lines and (last := tail(log, lines, bytes_max=max(lines, 1) * 400)):
        typer.echo(last)
    while follow:
        begin = _print_added(log, begin)
        time.sleep(_POLL_S)


def run(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A Python file; arguments after it are the program's.")],
    data_dir: DataDirOption = DATA_DIR,
) -> None:
    """Run a program of your own on the log of the running demo, such as examples/receipts.py.

    It gets the variables that lead there: KAFKA_BOOTSTRAP_SERVERS, TAXI_CITIES. `taxi demo --with FILE` runs
    it as a part of the demo, which starts it again when it ends.
    """
    from taxistream.cli.connect import environment  # noqa: PLC0415 - `taxi --help` does without

    if not file.is_file():
        raise LocalError(f"There is no file {file}.", do="Name a Python file.", code=WRONG_USE)
    environ = environment(data_dir)
    os.execve(sys.executable, [sys.executable, str(file), *ctx.args], environ)  # noqa: S606 - the user's own


def open_page(data_dir: DataDirOption = DATA_DIR) -> None:
    """Open the demo's page in a browser, and print its address."""
    from taxistream.local.session import open_browser  # noqa: PLC0415 - `taxi --help` does without

    demo = _demo(data_dir)
    if demo is None or not demo.url:
        raise LocalError(f"No demo runs in {data_dir}.", do="Start one with `taxi demo`.", code=WRONG_USE)
    typer.echo(demo.url)
    open_browser(demo.url)


def _demo(data_dir: Path) -> "Demo | None":
    """The demo that runs in this folder, if any."""
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    found = parts.read(data_dir)
    if found is None or not parts.is_alive(found.demo.pid, found.demo.created):
        return None
    return found.demo


def _print_added(log: Path, begin: int) -> int:
    """Print what a log has beyond `begin`, and return its end. A log that was made small begins again."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(begin if end >= begin else 0)
        while chunk := file.read(_CHUNK):
            typer.echo(chunk.decode(errors="replace"), nl=False)
        return file.tell()
