# SPDX-License-Identifier: Apache-2.0
"""`taxi loadtest`: many clients, each cut of which is held against the log."""

import importlib
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from taxi.cli.connect import connected
from taxi.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json
from taxi.local.errors import WRONG_USE, LocalError

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class View(StrEnum):
    """What clients look at."""

    CITY = "city"
    RANDOM = "random"
    MIXED = "mixed"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(loadtest)


def _seconds(text: str | None, option: str) -> float | None:
    """`8s`, `500ms`, `2m` or a plain number of seconds."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or not float(match[1]):
        raise LocalError(f"{option} {text}: no duration.", do="As in 8s, 500ms, 2m.", code=WRONG_USE)
    return float(match[1]) * _SECONDS[match[2] or "s"]


def loadtest(
    url: Annotated[
        str | None,
        typer.Option(
            help="A gateway: http://HOST:PORT or ws://HOST:PORT/ws.", show_default="the demo's in --data-dir"
        ),
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=20_000, help="How many.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="For how long, once all are live.")] = 30,
    view: Annotated[View, typer.Option(help="The whole city, views that pan, or half of each.")] = View.CITY,
    kill_every: Annotated[
        str | None,
        typer.Option(help="SIGKILL the gateway that most clients hang on, so often (8s). A local demo's."),
    ] = None,
    restart_every: Annotated[
        str | None,
        typer.Option(help="SIGTERM one gateway after the other, so often (10s). A local demo's."),
    ] = None,
    city: Annotated[str, typer.Option(help="Which city the gateway shows.")] = "manhattan",
    token: Annotated[str | None, typer.Option(envvar="TAXI_TOKEN", help="A viewer's token.")] = None,
    seed: Annotated[int, typer.Option(help="Of what clients do.")] = 1,
    calm: Annotated[
        bool, typer.Option("--calm", help="Clients only watch: none pans, leaves or comes back.")
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Clients that check every rule of the stream, against an oracle that reads Kafka itself.

    Exit 1 if a rule is broken. The cluster is KAFKA_BOOTSTRAP_SERVERS, else that of the demo in --data-dir.
    """
    plan: dict[str, Any] = {
        "url": _address(url, data_dir),
        "clients": clients,
        "seconds": seconds,
        "view": view.value,
        "kill_every_s": _seconds(kill_every, "--kill-every"),
        "restart_every_s": _seconds(restart_every, "--restart-every"),
        "city": city,
        "token": token,
        "seed": seed,
        "habits": not calm,
        "tell": _teller(),
    }
    report = _run(plan, data_dir)
    _finish(report, as_json=as_json)


def _address(url: str | None, data_dir: Path) -> str:
    from taxi.local import parts  # noqa: PLC0415 - `taxi --help` does without

    if url is None:
        known = parts.read(data_dir)
        url = known.demo.url if known is not None else ""
        if not url:
            raise LocalError(f"No demo runs in {data_dir}.", do="Start one, or give --url.", code=WRONG_USE)
    shell: Any = importlib.import_module("loadtest.shell")  # by name: `taxi` knows no room but its own
    try:
        address: str = shell.socket_url(url)
    except ValueError:
        do = "As in http://127.0.0.1:8000."
        raise LocalError(f"--url {url}: no address.", do=do, code=WRONG_USE) from None
    return address


def _run(plan: dict[str, Any], data_dir: Path) -> Any:
    import uvloop  # noqa: PLC0415 - `taxi --help` does without

    shell: Any = importlib.import_module("loadtest.shell")
    kills: Any = importlib.import_module("loadtest.kills")
    if plan["kill_every_s"] or plan["restart_every_s"]:
        if not kills.gateways(data_dir):
            raise LocalError(
                f"No demo with gateways runs in {data_dir}: there is nothing to kill.",
                do="Name its --data-dir, or leave --kill-every and --restart-every out.",
                code=WRONG_USE,
            )
        plan["data_dir"] = data_dir

    async def test() -> Any:
        async with connected(data_dir) as (settings, bus):
            partitions = {each.name: each.partition for each in settings.served()}
            if plan["city"] not in partitions:
                do = f"The log holds {', '.join(partitions)} (TAXI_CITIES)."
                raise LocalError(f"--city {plan['city']}: no such city.", do=do, code=WRONG_USE)
            plan["partition"] = partitions[plan["city"]]
            return await shell.run(shell.Plan(**plan), bus)

    return uvloop.run(test())


def _teller() -> Any:
    """One line that is written anew on a terminal; elsewhere one in ten seconds."""
    err = console(stderr=True)
    told = 0

    def tell(line: str) -> None:
        nonlocal told
        if err.is_terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        elif told % 10 == 0:
            err.print(line)
        told += 1

    return tell


def _finish(report: Any, *, as_json: bool) -> None:
    err, out = console(stderr=True), console()
    if err.is_terminal:
        sys.stderr.write("\r\x1b[2K")
    if as_json:
        print_json(report.figures)
    else:
        _show(report, out)
    if report.figures["swarm"]["is_bottleneck"]:
        swarm = report.figures["swarm"]
        late = f"late by {swarm['lag_ms_p99']} ms (p99), on {swarm['cpu_cores']} core"
        err.print(f"The load test itself was {late}: latencies are partly its own.", style="yellow")
    for rule, count, asks, examples in report.blamed():
        err.print(f"✗ {rule} {count} ({asks})", style="bold red")
        for text in examples:
            err.print(f"    {text}", style="dim")
    if report.failed:
        raise typer.Exit(1)
    if not as_json:
        out.print("✓ no violation", style="green")


def _show(report: Any, out: Any) -> None:
    from rich.table import Table  # noqa: PLC0415 - `taxi --help` does without

    table = Table(box=None, show_header=False, pad_edge=False)
    for heading, value in report.lines():
        table.add_row(heading, value)
    out.print(table)
