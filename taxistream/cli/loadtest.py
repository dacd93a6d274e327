# SPDX-License-Identifier: Apache-2.0
"""`taxi loadtest`: many clients, each of whose updates is compared with the log."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.connect import connected
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json
from taxistream.tools.loadtest.address import socket_url
from taxistream.tools.loadtest.view_kind import ViewKind

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(loadtest)


def _seconds(text: str | None, option: str) -> float | None:
    """`8s`, `500ms`, `2m` or a plain number of seconds."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or not float(match[1]):
        raise LocalError(f"{option} {text}: not a duration.", do="Write 8s, 500ms or 2m.", code=WRONG_USE)
    return float(match[1]) * _SECONDS[match[2] or "s"]


def loadtest(
    url: Annotated[
        str | None,
        typer.Option(
            help="A gateway: http://HOST:PORT or ws://HOST:PORT/ws.", show_default="the demo's in --data-dir"
        ),
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=20_000, help="Number of clients.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="Duration, once all are live.")] = 30,
    view: Annotated[
        ViewKind, typer.Option(help="The whole city, viewports that pan, or half of each.")
    ] = "city",
    kill_every: Annotated[
        str | None,
        typer.Option(
            help="How often to SIGKILL the gateway with the most clients (8s). Only a local demo's."
        ),
    ] = None,
    restart_every: Annotated[
        str | None,
        typer.Option(help="How often to SIGTERM the next gateway (10s). Only a local demo's."),
    ] = None,
    city: Annotated[str, typer.Option(help="Which city the gateway shows.")] = "manhattan",
    token: Annotated[str | None, typer.Option(envvar="TAXI_TOKEN", help="A viewer's token.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the clients' behaviour.")] = 1,
    calm: Annotated[
        bool, typer.Option("--calm", help="Clients only watch: none pans, leaves or comes back.")
    ] = False,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Run clients that check every rule of the stream, against an oracle that reads Kafka itself.

    Exit 1 if a rule is broken. The cluster is KAFKA_BOOTSTRAP_SERVERS, else that of the demo in --data-dir.
    """
    plan: dict[str, Any] = {
        "url": _address(url, data_dir),
        "clients": clients,
        "seconds": seconds,
        "view": view,
        "kill_every_s": _seconds(kill_every, "--kill-every"),
        "restart_every_s": _seconds(restart_every, "--restart-every"),
        "city": city,
        "token": token,
        "seed": seed,
        "behavior": not calm,
        "tell": _teller(),
    }
    report = _run(plan, data_dir)
    _finish(report, as_json=as_json)


def _address(url: str | None, data_dir: Path) -> str:
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    if url is None:
        known = parts.read(data_dir)
        url = known.demo.url if known is not None else ""
        if not url:
            raise LocalError(f"No demo runs in {data_dir}.", do="Start one, or give --url.", code=WRONG_USE)
    try:
        return socket_url(url)
    except ValueError:
        do = "Write it as http://127.0.0.1:8000."
        raise LocalError(f"--url {url}: not an address.", do=do, code=WRONG_USE) from None


def _run(plan: dict[str, Any], data_dir: Path) -> Any:
    import uvloop  # noqa: PLC0415 - `taxi --help` does without

    from taxistream.tools.loadtest import kills, shell  # noqa: PLC0415 - as above

    if plan["kill_every_s"] or plan["restart_every_s"]:
        if not kills.gateways(data_dir):
            raise LocalError(
                f"No demo with gateways runs in {data_dir}, so there is nothing to kill.",
                do="Give its --data-dir, or remove --kill-every and --restart-every.",
                code=WRONG_USE,
            )
        plan["data_dir"] = data_dir

    async def test() -> Any:
        async with connected(data_dir) as (settings, bus):
            partitions = {each.name: each.partition for each in settings.served()}
            if plan["city"] not in partitions:
                do = f"The log has {', '.join(partitions)} (TAXI_CITIES)."
                raise LocalError(f"--city {plan['city']}: no such city.", do=do, code=WRONG_USE)
            plan["partition"] = partitions[plan["city"]]
            return await shell.run(shell.Plan(**plan), bus)

    return uvloop.run(test())


def _teller() -> Any:
    """Return a function that rewrites one line on a terminal, and elsewhere prints every tenth line."""
    err = console(stderr=True)
    lines = 0

    def tell(line: str) -> None:
        nonlocal lines
        if err.is_terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        elif lines % 10 == 0:
            err.print(line)
        lines += 1

    return tell


def _finish(report: Any, *, as_json: bool) -> None:
    err, out = console(stderr=True), console()
    if err.is_terminal:
        sys.stderr.write("\r\x1b[2K")
    if as_json:
        print_json(report.figures)
    else:
        _show(report, out)
    own = report.figures["load_test"]
    if own["is_bottleneck"]:
        late = f"late by {own['lag_ms_p99']} ms (p99), on {own['cpu_cores']} core"
        err.print(f"The load test itself was {late}, so latencies include its own delay.", style="yellow")
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
