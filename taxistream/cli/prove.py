# SPDX-License-Identifier: Apache-2.0
"""`taxi proof`: starts a city on three brokers, kills each kind of part, and compares everything."""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taxistream.cli.output import JsonOption, console, print_json

if TYPE_CHECKING:
    from taxi.runtime.parts import Demo
    from taxistream.tools.proof.report import ProofReport

DRIVERS = 500


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(proof)


def proof(
    seed: Annotated[int, typer.Option(help="Seed of the kills: which part, in which order, when.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Start a city on three brokers, kill a part of each kind, and compare everything with the log.

    It takes less than two minutes, in a temporary folder that it deletes. Clients compare each update with
    the log, and riders request rides. Exit 1 if a request that was acknowledged is lost or doubled, an update
    is wrong, a rule of the log is broken, or a part does not recover.
    """
    from taxistream.local.own_demo import own_demo  # noqa: PLC0415 - `taxi --help` does without

    err = console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="taxi-proof-") as folder:
        data_dir = Path(folder) / "city"
        err.print("Starting a city on three brokers …", style="dim")
        with own_demo(data_dir, "--brokers", "3", "--drivers", str(DRIVERS)) as demo:
            err.print(f"Killing its parts one after the other. The page: {demo.url}", style="dim")
            report = asyncio.run(_prove(data_dir, demo, seed))
    if as_json:
        print_json(report.figures())
    else:
        for line in report.lines():
            console().print(line, highlight=False, soft_wrap=True)
    if report.failures:
        raise typer.Exit(1)


async def _prove(data_dir: Path, demo: "Demo", seed: int) -> "ProofReport":
    from taxi.bus.kafka.bus import KafkaBus  # noqa: PLC0415 - `taxi --help` does without
    from taxi.runtime.settings import Settings  # noqa: PLC0415
    from taxistream.tools.proof import shell  # noqa: PLC0415

    settings = Settings.from_env({"KAFKA_BOOTSTRAP_SERVERS": demo.bootstrap_servers})
    bus = await KafkaBus.connect(settings, client_id="taxi-proof")
    try:
        return await shell.run(data_dir, demo.url, bus, seed=seed)
    finally:
        await bus.close()
