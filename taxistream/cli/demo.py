# SPDX-License-Identifier: Apache-2.0
"""`taxi demo` and `taxi kafka`: commands that run in the foreground until Ctrl-C."""

import importlib.util
import os
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.completion import policies
from taxistream.cli.output import DATA_DIR, DataDirOption, console, lasting_console

KafkaPortOption = Annotated[
    int | None,
    typer.Option(
        "--kafka-port", min=1, max=65535, help="Where Kafka listens.", show_default="19092, or the next free"
    ),
]
BrokersOption = Annotated[
    int,
    typer.Option(help="1, or 3: a cluster that continues when one broker fails."),
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
    drivers: Annotated[
        int | None,
        typer.Option(
            envvar="TAXI_DRIVERS",
            min=1,
            max=100_000,
            help="Taxis in each city.",
            show_default="as many as suit the city: 2000 in Manhattan",
        ),
    ] = None,
    cities: Annotated[
        str,
        typer.Option(
            envvar="TAXI_CITIES",
            help="The cities, comma-separated, such as manhattan,helsinki; the page switches between them.",
            show_default="TAXI_CITY, or manhattan",
        ),
    ] = "",
    gateways: Annotated[int, typer.Option(min=1, max=16, help="Gateways; they share the port.")] = GATEWAYS,
    dispatchers: Annotated[int, typer.Option(min=1, max=8, help="One decides, the others are standbys.")] = 1,
    port: Annotated[
        int, typer.Option(envvar="TAXI_PORT", min=1, max=65535, help="Page, API and socket.")
    ] = 8000,
    kafka_port: KafkaPortOption = None,
    brokers: BrokersOption = 1,
    seed: Annotated[int, typer.Option(envvar="TAXI_SEED", help="Seed of the simulated world.")] = 7,
    load: Annotated[
        float,
        typer.Option(
            envvar="TAXI_LOAD", min=0, max=10, help="Demand; at 1.0 some 86 % of taxis have a rider."
        ),
    ] = 0.8,
    policy: Annotated[
        str,
        typer.Option(
            envvar="TAXI_POLICY",
            help="How rides and drivers are matched: batched, greedy, fifo, or FILE.py:CLASS.",
            autocompletion=policies,
            show_default="batched",
        ),
    ] = "",
    speed: Annotated[
        int,
        typer.Option(
            envvar="TAXI_SPEED", min=1, max=30, help="Time lapse: the city lives so many times as fast."
        ),
    ] = 1,
    demand_by_hour: Annotated[
        bool,
        typer.Option(
            "--demand-by-hour",
            envvar="TAXI_DEMAND_BY_HOUR",
            help="Demand follows the hours of the week: quiet before dawn, high in the evening.",
        ),
    ] = False,
    gps_noise: Annotated[
        bool,
        typer.Option(
            "--gps-noise", envvar="TAXI_GPS_NOISE", help="Positions have the errors of real GPS devices."
        ),
    ] = False,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            help="Start a scenario, such as rain; may be repeated. `taxi scenario list` shows all.",
            show_default="none",
        ),
    ] = None,
    data_dir: DataDirOption = DATA_DIR,
    fresh: FreshOption = False,
    spare: Annotated[
        bool,
        typer.Option(
            "--spare/--no-spare",
            help="Keep a standby process with a gateway's modules loaded, so a killed gateway is back soon.",
        ),
    ] = True,
    verifier: Annotated[
        bool,
        typer.Option(
            "--verifier/--no-verifier", help="Compare what each gateway sends with the log, all the time."
        ),
    ] = True,
    services: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            help="Also run a service of your own: a Python file. May be repeated.",
            show_default="none",
        ),
    ] = None,
    bus: Annotated[
        BusKind, typer.Option(help="memory: one process without Kafka, if Java is not available.")
    ] = BusKind.KAFKA,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page when it is ready.")
    ] = True,
) -> None:
    """Run the city: Kafka, dispatcher, simulator, gateways. Ctrl-C stops it; the next start continues.

    If KAFKA_BOOTSTRAP_SERVERS is set, it uses that cluster and starts no broker.
    """
    from taxistream.local.demo import DemoOptions  # noqa: PLC0415 - `taxi --help` does without
    from taxistream.local.session import run_demo  # noqa: PLC0415

    if fresh and os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        raise LocalError(
            "--fresh deletes a local log, and KAFKA_BOOTSTRAP_SERVERS names another cluster.",
            do="Delete the topics there, or choose another TAXI_PREFIX.",
            code=WRONG_USE,
        )
    if port == kafka_port:
        raise LocalError(
            f"The page and Kafka cannot share port {port}.",
            do="Choose two ports with --port and --kafka-port.",
            code=WRONG_USE,
        )
    if bus is BusKind.MEMORY:
        _refuse_what_needs_kafka(
            gateways, dispatchers, kafka_port, brokers, fresh=fresh, services=bool(services)
        )
    if brokers != 1 and os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        raise LocalError(
            "--brokers starts brokers here, and KAFKA_BOOTSTRAP_SERVERS names another cluster.",
            do="Remove --brokers, or unset KAFKA_BOOTSTRAP_SERVERS.",
            code=WRONG_USE,
        )
    options = DemoOptions(
        drivers=drivers,
        cities=cities,
        seed=seed,
        load=load,
        policy=policy,
        speed=speed,
        demand_by_hour=demand_by_hour,
        gps_noise=gps_noise,
        scenarios=tuple(scenario or ()),
        scenarios_asked_ms=time.time_ns() // 1_000_000,
        gateways=gateways,
        dispatchers=dispatchers,
        host=os.environ.get("TAXI_HOST") or "127.0.0.1",
        port=port,
        data_dir=data_dir,
        spare=spare,
        services=tuple(services or ()),
        brokers=brokers,
        verifier=verifier,
    )
    _check_settings(
        {
            **os.environ,
            **({"TAXI_CITIES": cities, "TAXI_CITY": ""} if cities else {}),
            "TAXI_HOST": options.host,
            "TAXI_PORT": str(port),
            "TAXI_POLICY": policy,
            "TAXI_ADMIN_PORT": "",
            **({"TAXI_SCENARIOS": ",".join(scenario)} if scenario else {}),
        }
    )
    _warn_if_open(options.host, port)
    if bus is BusKind.MEMORY:
        from taxistream.local.one_process import run_in_memory  # noqa: PLC0415

        run_in_memory(options, browser=browser, console=lasting_console())
        return
    run_demo(options, kafka_port=kafka_port, fresh=fresh, browser=browser, console=lasting_console())


def _check_settings(environ: Mapping[str, str]) -> None:
    """Raise SettingsError now for what would end a part once the broker has started."""
    from taxistream.cli.service_settings import SETTINGS  # noqa: PLC0415 - `taxi --help` does without

    for kind, settings in SETTINGS.items():
        found = importlib.util.find_spec(kind)
        # A user's own package on PYTHONPATH is not imported here, because that might run it.
        if found is not None and found.origin == str(Path(__file__).parents[2] / kind / "__init__.py"):
            for city in environ.get("TAXI_CITIES", "").split(","):
                # A scenario may name a place that only one of the cities has.
                name = city.partition("=")[0].strip()
                settings().from_env({**environ, "TAXI_CITY": name} if name else environ)


def _warn_if_open(host: str, port: int) -> None:
    from taxi.runtime.checks import is_loopback  # noqa: PLC0415 - `taxi --help` does without

    if not is_loopback(host) and not os.environ.get("TAXI_TOKEN_SECRET"):
        console(stderr=True).print(
            f"TAXI_HOST={host}: anyone who can reach port {port} of this machine can see the city and ask "
            "for rides. Set TAXI_TOKEN_SECRET to require tokens (docs/security.md), or unset TAXI_HOST.",
            style="bold red",
        )


def _refuse_what_needs_kafka(
    gateways: int, dispatchers: int, kafka_port: int | None, brokers: int, *, fresh: bool, services: bool
) -> None:
    """Raise LocalError if an option is given that --bus memory would ignore."""
    asked = {
        "--gateways": gateways != GATEWAYS,
        "--dispatchers": dispatchers != 1,
        "--kafka-port": kafka_port is not None,
        "--brokers": brokers != 1,
        "--fresh": fresh,
        "--with": services,
        "KAFKA_BOOTSTRAP_SERVERS": bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS")),
    }
    if refused := [name for name, given in asked.items() if given]:
        raise LocalError(
            f"--bus memory runs one process without Kafka that always starts over, so it cannot use "
            f"{', '.join(refused)}.",
            do="Remove that, or --bus memory.",
            code=WRONG_USE,
        )


def kafka(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where Kafka listens.")] = 9092,
    brokers: BrokersOption = 1,
    data_dir: DataDirOption = DATA_DIR,
    fresh: FreshOption = False,
) -> None:
    """Run only Kafka, in the foreground. Then `taxi topics` creates the topics."""
    from taxistream.local.session import run_kafka  # noqa: PLC0415 - `taxi --help` does without

    run_kafka(data_dir, brokers=brokers, port=port, fresh=fresh, console=lasting_console())
