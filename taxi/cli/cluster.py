# SPDX-License-Identifier: Apache-2.0
"""`taxi topics`: make the topics on a cluster, or check them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from taxi.cli.connect import environment
from taxi.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from taxi.local.topics import Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(topics)


def topics(
    check: Annotated[
        bool, typer.Option("--check", help="Make nothing; exit 1 if one is missing or differs.")
    ] = False,
    partitions: Annotated[int, typer.Option(min=1, help="One for each city.")] = 1,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, show_default="3, or as many as brokers", help="Copies of each partition."),
    ] = None,
    bounded: Annotated[
        bool, typer.Option("--bounded", help="Bound their size too, as the demo does.")
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Make the topics that are missing on a cluster, and show where existing ones differ. Repeat at will.

    The cluster is KAFKA_BOOTSTRAP_SERVERS, else the one of the demo in --data-dir.
    """
    from taxi.local.topics import ensure  # noqa: PLC0415 - `taxi --help` does without

    report = asyncio.run(
        ensure(
            environment(data_dir),
            bounded=bounded,
            partitions=partitions,
            replicas=replication_factor,
            create=not check,
        )
    )
    if as_json:
        print_json(report)
    else:
        _show(report)
    if check and (report.missing or report.differences):
        raise typer.Exit(1)


def _show(report: "Report") -> None:
    out = console()
    for names, sign, style, word in (
        (report.created, "+", "green", "created"),
        (report.existing, "✓", "green", "exists"),
        (report.missing, "✗", "red", "missing"),
    ):
        for name in names:
            out.print(sign, style=style, end=" ")
            out.print(f"{name:<20} {word}")
    for difference in report.differences:
        out.print("≠", style="yellow", end=" ")
        out.print(f"{difference.topic:<20} {difference.setting}: {difference.found}, not {difference.wanted}")
