# SPDX-License-Identifier: Apache-2.0
"""`taxi demo` and `taxi kafka`: what runs here until Ctrl-C."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from taxi.cli.output import DATA_DIR, DataDirOption, console
from taxi.local.errors import WRONG_USE, LocalError

KafkaPortOption = Annotated[
    int | None,
    typer.Option(
        "--kafka-port", min=1, max=65535, help="Where Kafka listens.", show_default="19092, or the next free"
    ),
]
GATEWAYS = 2


class BusKind(StrEnum):
    """What the parts talk over."""

    KAFKA = "kafka"
    MEMORY = "memory"


FreshOption = Annotated[bool, typer.Option("--fresh", help="Start over: delete the log of earlier runs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(kafka)


def demo(
    drivers: Annotated[int, typer.Option(envvar="TAXI_DRIVERS", min=1, max=100_000, help="Taxis.")] = 2000,
    gateways: Annotated[int, typer.Option(min=1, max=16, help="Gateways; they share the port.")] = GATEWAYS,
    dispatchers: Annotated[
        int, typer.Option(min=1, max=8, help="The first decides, the others stand by.")
    ] = 1,
    port: Annotated[
        int, typer.Option(envvar="TAXI_PORT", min=1, max=65535, help="Page, API and socket.")
    ] = 8000,
    kafka_port: KafkaPortOption = None,
    seed: Annotated[int, typer.Option(envvar="TAXI_SEED", help="Another seed, another world.")] = 7,
    load: Annotated[
        float, typer.Option(envvar="TAXI_LOAD", min=0, max=10, help="How much the city asks for.")
    ] = 0.8,
    data_dir: DataDirOption = DATA_DIR,
    fresh: FreshOption = False,
    spare: Annotated[
        bool,
        typer.Option(
            "--spare/--no-spare",
            help="Keep a gateway's modules loaded in a process that waits: a killed one is back sooner.",
        ),
    ] = True,
    bus: Annotated[
        BusKind, typer.Option(help="memory: one process, without Kafka, for those who can't have Java.")
    ] = BusKind.KAFKA,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page when it is ready.")
    ] = True,
) -> None:
    """Run the whole city: Kafka, dispatcher, simulator, gateways. Ctrl-C stops it; the next start goes on.

    With KAFKA_BOOTSTRAP_SERVERS set it uses that cluster and starts none of its own.
    """
    from taxi.local.demo import DemoOptions  # noqa: PLC0415 - `taxi --help` does without
    from taxi.local.session import run_demo  # noqa: PLC0415

    if fresh and os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        raise LocalError(
            "--fresh deletes a local log, and KAFKA_BOOTSTRAP_SERVERS names another cluster.",
            do="Delete the topics there, or choose another TAXI_PREFIX.",
            code=WRONG_USE,
        )
    if bus is BusKind.MEMORY:
        _refuse_what_needs_kafka(gateways, dispatchers, kafka_port, fresh=fresh)
    options = DemoOptions(
        drivers=drivers,
        seed=seed,
        load=load,
        gateways=gateways,
        dispatchers=dispatchers,
        host=os.environ.get("TAXI_HOST", "127.0.0.1"),
        port=port,
        data_dir=data_dir,
        spare=spare,
    )
    if bus is BusKind.MEMORY:
        from taxi.local.one_process import run_in_memory  # noqa: PLC0415

        run_in_memory(options, browser=browser, console=console())
        return
    run_demo(options, kafka_port=kafka_port, fresh=fresh, browser=browser, console=console())


def _refuse_what_needs_kafka(gateways: int, dispatchers: int, kafka_port: int | None, *, fresh: bool) -> None:
    """Nothing that was asked for is passed over in silence."""
    asked = {
        "--gateways": gateways != GATEWAYS,
        "--dispatchers": dispatchers != 1,
        "--kafka-port": kafka_port is not None,
        "--fresh": fresh,
        "KAFKA_BOOTSTRAP_SERVERS": bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS")),
    }
    if refused := [name for name, given in asked.items() if given]:
        raise LocalError(
            f"--bus memory is one process without Kafka that always starts over: {', '.join(refused)} "
            "means nothing there.",
            do="Leave it out, or leave out --bus memory.",
            code=WRONG_USE,
        )


def kafka(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where Kafka listens.")] = 9092,
    data_dir: DataDirOption = DATA_DIR,
    fresh: FreshOption = False,
) -> None:
    """Run only the broker, in the foreground. `taxi topics` then makes the topics."""
    from taxi.local.session import run_kafka  # noqa: PLC0415 - `taxi --help` does without

    run_kafka(data_dir, port=port, fresh=fresh, console=console())
