# SPDX-License-Identifier: Apache-2.0
"""`taxi audit|replay`: checks the log against rules, and decides recorded batches again."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from taxistream.cli.connect import connected
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json
from taxistream.cli.own_policies import load_policies


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(audit)
    app.command()(replay)


def audit(
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Continue as the log grows, until Ctrl-C; print violations at once."),
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Check the raw log against rules that share no code with the services. Exit 1 if one is broken.

    Reads from the oldest event to the current end, and can run while the city is live. The cluster is
    KAFKA_BOOTSTRAP_SERVERS, else that of the demo in --data-dir.
    """
    report = asyncio.run(_audit(data_dir, follow=follow))
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report["violations_total"]:
        raise typer.Exit(1)


async def _audit(data_dir: Path, *, follow: bool) -> dict[str, Any]:
    from taxistream.tools.audit import shell  # noqa: PLC0415 - `taxi --help` does without

    async with connected(data_dir) as (settings, bus):
        partitions = [city.partition for city in settings.served()]
        if not follow:
            findings = await shell.audit(bus, partitions)
        else:
            printed: set[str] = set()

            def tell(findings: Any) -> None:
                for rule, texts in findings.examples.items():
                    for text in texts:
                        if f"{rule}: {text}" not in printed:
                            printed.add(f"{rule}: {text}")
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
    if report["positions_dropped"]:
        out.print(f"· {_dropped(report)}", style="yellow")
    if report["foreign_events"]:
        out.print(f"· {report['foreign_events']} events of other producers were passed over", style="yellow")
    if report["damaged_events"]:
        text = f"· {report['damaged_events']} events are damaged on disk: what needs them was not judged"
        out.print(text, style="yellow")
    for text in report["held_back"]:
        out.print(f"· checked only what can be read. {text}", style="yellow")
    if not report["violations_total"]:
        out.print("✓ no violation", style="green")


def replay(
    verify: Annotated[
        bool, typer.Option("--verify", help="Decide every batch again and compare: it does nothing else.")
    ] = True,
    policy: Annotated[
        list[str], typer.Option(help="FILE.py:CLASS of a policy of your own that decided. Repeat it.")
    ] = [],  # noqa: B006
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Decide recorded batches again from their recorded input, with the installed code.

    Begins at the oldest snapshot whose input is still on the log. Exit 1 on the first difference, 2 if
    nothing could be verified or another version of the code decided.
    """
    load_policies(policy)
    reports, code = asyncio.run(_verify(data_dir))
    if as_json:
        print_json(reports[0] if len(reports) == 1 else {"cities": reports})
    else:
        for report in reports:
            _show_verdict(report)
    raise typer.Exit(code)


async def _verify(data_dir: Path) -> tuple[list[dict[str, Any]], int]:
    from dispatcher import decision_config  # noqa: PLC0415 - `taxi --help` does without
    from taxi.roads.network import RoadNetwork  # noqa: PLC0415 - `taxi --help` does without
    from taxistream.tools.replay import shell  # noqa: PLC0415 - `taxi --help` does without

    async with connected(data_dir) as (settings, bus):
        reports, codes = [], []
        for city in settings.served():
            verdict = await shell.verify(
                bus,
                city.partition,
                RoadNetwork.load(city.folder).named(city.name).prepare(),
                code_digest=decision_config.code_digest,
                data_digest=decision_config.data_digest(city.folder),
            )
            reports.append({"city": city.name, **shell.report(verdict, city.partition)})
            codes.append(verdict.exit_code)
    return reports, 1 if 1 in codes else max(codes)


def _show_verdict(report: dict[str, Any]) -> None:
    from taxistream.tools.replay.shell import OTHER_CODE  # noqa: PLC0415 - `taxi --help` does without

    out = console()
    out.print(f"{report['city']} (partition {report['partition']})", style="bold")
    if report["verified"]:
        first, last = report["first"], report["last"]
        out.print(
            f"batches {first['batch']} … {last['batch']}: {report['verified']} decided again, same bytes"
        )
        out.print(f"log time {_time(first['at_ms'])} … {_time(last['at_ms'])}, digest {report['digest']}")
    for why, count in report["why"].items():
        out.print(f"· {count} batches not verifiable: {why}", style="yellow")
    if report["positions_dropped"]:
        out.print(f"· {_dropped(report)}", style="yellow")
    if report["held_back"]:
        out.print(f"· checked only what can be read. {report['held_back']}", style="yellow")
    difference = report["difference"]
    if difference is not None:
        out.print(f"✗ batch {difference['batch']}, event {difference['place']} differs", style="bold red")
        for side in ("recorded", "decided"):
            out.print(f"  {side:<9} {difference[side]['value'] if difference[side] else 'nothing'}")
        out.print(f"  differs in {', '.join(_unlike(difference))}")
    elif report["verified"] and OTHER_CODE in report["why"]:
        out.print("no difference in those; for the others install the version that decided,", style="yellow")
        out.print("or name the policy that did with --policy FILE.py:CLASS", style="yellow")
    elif report["verified"]:
        out.print("✓ no difference", style="green")
    else:
        out.print("nothing could be verified", style="bold red")


def _dropped(report: dict[str, Any]) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in report["positions_dropped"].items())
    return f"positions that do not count: {reasons}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")


def _unlike(difference: dict[str, Any]) -> list[str]:
    """Which fields differ."""
    recorded, decided = difference["recorded"], difference["decided"]
    if recorded is None or decided is None:
        return ["their number of events"]
    one, two = json.loads(recorded["value"]), json.loads(decided["value"])
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    return names or [name for name in ("key", "headers", "value") if recorded[name] != decided[name]]
