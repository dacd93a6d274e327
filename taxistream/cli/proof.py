# SPDX-License-Identifier: Apache-2.0
"""`taxi proof|chaos`: kill parts of a city, and compare everything with the log."""

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from taxi.runtime.parts import Demo
    from taxistream.tools.proof.plan import PlannedKill
    from taxistream.tools.proof.report import ProofReport

    Planner = Callable[[int, list[str]], tuple[PlannedKill, ...]]

DRIVERS = 500


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(proof)
    app.command()(chaos)


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
    _finish(report, each=True, as_json=as_json)


def chaos(
    kills: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    targets: Annotated[
        str,
        typer.Option(help="Kinds of parts, comma-separated.", show_default="all"),
    ] = "gateway,dispatcher,simulator,broker,verifier",
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Half of them are frozen (SIGSTOP) for a while instead.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the kills: which part, in which order, when.")] = 1,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Kill parts of a running demo again and again, and compare everything with the log.

    It waits for the recovery from each kill before the next. Exit 1 as `taxi proof`. The demo's first city
    must be Manhattan, and its gateways must not require tokens.
    """
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without
    from taxistream.tools.proof.plan import KINDS, plan_chaos  # noqa: PLC0415

    kinds = tuple(dict.fromkeys(kind.strip() for kind in targets.split(",")))
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise LocalError(
            f"--targets {','.join(unknown)}: no such kind of part.",
            do=f"There are {', '.join(KINDS)}.",
            code=WRONG_USE,
        )
    known = parts.read(data_dir)
    if known is None or not parts.is_alive(known.demo.pid, known.demo.created) or not known.demo.url:
        raise LocalError(f"No demo runs in {data_dir}.", do="Start one with `taxi demo`.", code=WRONG_USE)
    first = known.demo.cities.split(",")[0] or "manhattan"
    if first != "manhattan":
        raise LocalError(
            f"The demo's first city is {first}, and the riders of this command know Manhattan only.",
            do="Start one with `taxi demo`.",
            code=WRONG_USE,
        )

    def plan(seed: int, names: "list[str]") -> "tuple[PlannedKill, ...]":
        return plan_chaos(seed, names, kills, kinds=kinds, freeze=freeze)

    report = asyncio.run(_prove(data_dir, known.demo, seed, plan))
    _finish(report, each=False, as_json=as_json)


def _finish(report: "ProofReport", *, each: bool, as_json: bool) -> None:
    if as_json:
        print_json(report.figures())
    else:
        for line in report.lines(each=each):
            console().print(line, highlight=False, soft_wrap=True)
    if report.failures:
        raise typer.Exit(1)


async def _prove(data_dir: Path, demo: "Demo", seed: int, plan: "Planner | None" = None) -> "ProofReport":
    from taxi.bus.kafka.bus import KafkaBus  # noqa: PLC0415 - `taxi --help` does without
    from taxi.runtime.settings import Settings  # noqa: PLC0415
    from taxistream.tools.proof import shell  # noqa: PLC0415
    from taxistream.tools.proof.plan import plan_kills  # noqa: PLC0415

    # That a killed broker does not answer is what is being tested.
    logging.getLogger("taxi.bus").setLevel(logging.ERROR)
    settings = Settings.from_env({"KAFKA_BOOTSTRAP_SERVERS": demo.bootstrap_servers})
    bus = await KafkaBus.connect(settings, client_id="taxi-proof")
    try:
        return await shell.run(data_dir, demo.url, bus, seed=seed, plan=plan or plan_kills)
    finally:
        await bus.close()
