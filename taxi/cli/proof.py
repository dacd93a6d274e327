# SPDX-License-Identifier: Apache-2.0
"""`taxi audit`: whether the log keeps what is promised."""

import asyncio
import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from taxi.cli.connect import connected
from taxi.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(audit)


def audit(
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on as the log grows, until Ctrl-C; tell violations at once.")
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Hold the raw log to its promises, by rules that share nothing with who decides. Exit 1 if one breaks.

    Reads from the oldest event to the end as of now, beside whatever runs. The cluster is
    KAFKA_BOOTSTRAP_SERVERS, else the one of the demo in --data-dir.
    """
    report = asyncio.run(_audit(data_dir, follow=follow))
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report["violations_total"]:
        raise typer.Exit(1)


async def _audit(data_dir: Path, *, follow: bool) -> dict[str, Any]:
    shell: Any = importlib.import_module("audit.shell")  # by name: `taxi` knows no room but its own
    async with connected(data_dir) as (_, bus):
        partitions = [0]
        if not follow:
            findings = await shell.audit(bus, partitions)
        else:
            told: set[str] = set()

            def tell(findings: Any) -> None:
                for rule, texts in findings.examples.items():
                    for text in texts:
                        if f"{rule}: {text}" not in told:
                            told.add(f"{rule}: {text}")
                            console(stderr=True).print(f"✗ {rule}: {text}", style="red")

            findings = await shell.follow(bus, partitions, tell)
        report: dict[str, Any] = findings.report()
        return report


def _show(report: dict[str, Any]) -> None:
    out = console()
    counts = ("events", "batches", "rides", "completed", "open_rides", "commands", "fixes")
    out.print("  ".join(f"{name} {report[name]}" for name in counts))
    for rule, count in report["violations"].items():
        out.print(f"✗ {rule} {count}", style="bold red")
        for text in report["examples"][rule]:
            out.print(f"    {text}", style="dim")
    if not report["violations_total"]:
        out.print("✓ no violation", style="green")
