# SPDX-License-Identifier: Apache-2.0
"""`taxi evaluate`: compares dispatch policies in virtual time."""

from pathlib import Path
from typing import Annotated, Any

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.completion import policies
from taxistream.cli.output import JsonOption, console, print_json
from taxistream.cli.own_policies import load_policies


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    policy: Annotated[
        list[str],
        typer.Option(help="A name or FILE.py:CLASS. Repeat it to compare.", autocompletion=policies),
    ] = ["greedy", "batched"],  # noqa: B006
    load: Annotated[float, typer.Option(min=0.01, max=10, help="Demand; 1.0 fills the fleet.")] = 0.9,
    drivers: Annotated[int, typer.Option(min=1, max=100_000)] = 1000,
    hours: Annotated[
        float,
        typer.Option(
            min=0.1, max=48, help="Virtual hours; the first quarter is the warm-up, the rest is measured."
        ),
    ] = 2.0,
    seeds: Annotated[str, typer.Option(help="Such as 1-5 or 1,3,7.")] = "1",
    peak: Annotated[
        bool, typer.Option("--peak", help="An evening peak with this load at its maximum.")
    ] = False,
    noise: Annotated[
        float, typer.Option(min=0, max=0.9, help="Drives take up to this share more or less time.")
    ] = 0.0,
    refuse: Annotated[float, typer.Option(min=0, max=1, help="Share of orders that are refused.")] = 0.0,
    patience: Annotated[
        int, typer.Option(min=1, help="Seconds without a driver until a rider leaves.")
    ] = 600,
    cruise: Annotated[bool, typer.Option("--cruise", help="Idle drivers cruise, as in the demo.")] = False,
    full_behavior: Annotated[
        bool, typer.Option("--full-behavior", help="Breaks, no-shows and riders who give up, as in the demo.")
    ] = False,
    speed: Annotated[
        int, typer.Option(min=1, max=30, help="Time lapse: people live so many times as fast as the clock.")
    ] = 1,
    bound: Annotated[
        bool, typer.Option("--bound/--no-bound", help="Compute the bound in hindsight, and regret.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    chart: Annotated[
        Path | None,
        typer.Option("--chart", help="Write a chart to this file (.png, .svg); needs matplotlib."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare dispatch policies: the simulator's city and the dispatcher's core in virtual time, no Kafka.

    Prints a table of means over the seeds, or with --json every run. The same seed gives the same result.
    """
    from taxistream.tools.evaluate import main  # noqa: PLC0415 - `taxi --help` does without

    load_policies(policy)
    err = console(stderr=True)
    report = main.evaluate(
        list(dict.fromkeys(policy)),
        numbers(seeds),
        err.print,
        jobs=jobs,
        with_bound=bound,
        load=load,
        drivers=drivers,
        hours=hours,
        peak=peak,
        noise=noise,
        refuse=refuse,
        patience_s=patience,
        cruise=cruise,
        full_behavior=full_behavior,
        speed=speed,
    )
    title = f"load {load}, {drivers} drivers, {hours:g} h, seeds {seeds}{', evening peak' if peak else ''}"
    title += f", {speed} × real time" if speed > 1 else ""
    if chart is not None:
        _draw(report["rows"], title, chart)
    if as_json:
        print_json(report)
    else:
        from taxistream.tools.evaluate import report as table  # noqa: PLC0415 - `taxi --help` does without

        console().print(table.table(report["rows"], title))


def numbers(text: str) -> list[int]:
    """`1-3,7` → 1, 2, 3, 7; each once. Raises LocalError."""
    found: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            each = range(int(first), int(last or first) + 1)
        except ValueError:
            raise LocalError(f"--seeds {text!r}", do="write 1-5 or 1,3,7", code=WRONG_USE) from None
        if not each:
            raise LocalError(f"--seeds {part!r} names none", do="write 1-5 or 1,3,7", code=WRONG_USE)
        found.update(dict.fromkeys(each))
    return list(found)


def _draw(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    from taxistream.tools.evaluate import chart as drawing  # noqa: PLC0415 - `taxi --help` does without

    try:
        drawing.draw(rows, title, path)
    except ImportError:
        raise LocalError(
            "--chart needs matplotlib", do="pip install 'taxistream[plots]'", code=WRONG_USE
        ) from None
