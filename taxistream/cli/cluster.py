# SPDX-License-Identifier: Apache-2.0
"""`taxi topics`: create the topics on a cluster, or check them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.connect import environment
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from taxistream.local.topics import TopicReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(topics)


def topics(
    check: Annotated[
        bool, typer.Option("--check", help="Only check; exit 1 if a topic is missing or differs.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Alter existing topics to the wanted settings; deletes no topic.")
    ] = False,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, show_default="one for each of TAXI_CITIES", help="Partitions of each topic."),
    ] = None,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, show_default="3, or as many as brokers", help="Copies of each partition."),
    ] = None,
    bounded: Annotated[
        bool, typer.Option("--bounded", help="Also limit their size, as the demo does.")
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Create missing topics on a cluster, and show where existing ones differ. Safe to repeat.

    The cluster is KAFKA_BOOTSTRAP_SERVERS, else that of the demo in --data-dir. Exit 1 if a difference breaks
    a guarantee of the system (timestamps, compaction, partitions), or with --check if there is any.
    """
    from taxistream.local.topics import ensure  # noqa: PLC0415 - `taxi --help` does without

    if check and fix:
        raise LocalError("--check and --fix exclude each other.", do="Remove one of them.", code=WRONG_USE)
    report = asyncio.run(
        ensure(
            environment(data_dir),
            bounded=bounded,
            partitions=partitions,
            replicas=replication_factor,
            create=not check,
            fix=fix,
        )
    )
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report.broken or (check and (report.missing or report.differences)):
        raise typer.Exit(1)


def _show(report: "TopicReport") -> None:
    out = console()
    for names, sign, style, word in (
        (report.created, "+", "green", "created"),
        (report.existing, "✓", "green", "exists"),
        (report.missing, "✗", "red", "missing"),
    ):
        for name in names:
            out.print(sign, style=style, end=" ")
            out.print(f"{name:<20} {word}")
    for change in report.altered:
        out.print("~", style="green", end=" ")
        out.print(f"{change.topic:<20} {change.setting}: {change.found}, now {change.wanted}")
    for difference in report.differences:
        sign, style = ("✗", "red") if difference.essential else ("≠", "yellow")
        out.print(sign, style=style, end=" ")
        out.print(f"{difference.topic:<20} {difference.setting}: {difference.found}, not {difference.wanted}")
    if report.broken:
        out.print(
            "Settings marked ✗ break guarantees of the system. `taxi topics --fix` alters them.", style="red"
        )
