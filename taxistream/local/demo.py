# SPDX-License-Identifier: Apache-2.0
"""What a demo consists of: the broker, the topics, and the services, each `python -m NAME`.

Python finds a service the way it finds any module, so PYTHONPATH can put another in its place: a
dispatcher of your own, or the stand-ins of tests/local.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from taxi.cities import parse
from taxi.runtime.parts import DemoFault
from taxistream.local.broker import START_S_MAX, STOP_S_MAX, BrokerPlan, responds, serves
from taxistream.local.care import STARTING
from taxistream.local.group_members import remove_dispatcher
from taxistream.local.java_errors import explain, without_stack_traces
from taxistream.local.pulse import Patience
from taxistream.local.running import PartSpec, ReadinessAnswer, Running
from taxistream.local.supervisor import StartStage

ADMIN_PORT: Final = 19200
ALSO_KAFKA: Final = "KAFKA_"
PATIENCE: Final = {
    "kafka": Patience(frozen_s=30.0, silent_s=60.0),
    # A standby takes a frozen dispatcher's cities over after 4 s (the group's session), and shall.
    "dispatcher": Patience(frozen_s=15.0, silent_s=20.0),
    "simulator": Patience(frozen_s=10.0, silent_s=15.0),
    # Its socket still takes its share of new connections, and they get nothing.
    "gateway": Patience(frozen_s=2.0, silent_s=2.5),
    "verifier": Patience(frozen_s=10.0, silent_s=15.0),
}
"""How long each kind of part may be without a sign of life."""
_TOKEN_MS: Final = 366 * 24 * 3_600_000
"""How long the token of a demo's own verifier is valid: longer than a demo runs."""
_BATCH_INTERVAL_MS: Final = 2_000
_BATCH_INTERVAL_MS_MIN: Final = 400
"""Batches that are decided more often than this cost more than they gain."""
_PYTHON: Final = {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
"""For every service. Paths in its environment are UTF-8, whatever the locale is."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What a person chose."""

    drivers: int | None
    """For each city; None: as many as suit it."""
    seed: int
    load: float
    policy: str = ""
    """How rides and drivers are matched; empty: the dispatcher's default."""
    speed: int = 1
    demand_by_hour: bool = False
    gps_noise: bool = False
    scenarios: tuple[str, ...] = ()
    """Names of scenarios to start."""
    scenarios_asked_ms: int = 0
    """When they were asked for."""
    gateways: int
    dispatchers: int
    host: str
    port: int
    data_dir: Path
    cities: str = ""
    """TAXI_CITIES of all parts; empty: TAXI_CITY of the environment alone."""
    spare: bool = True
    """Whether to keep a standby process that replaces a dead gateway."""
    services: tuple[Path, ...] = ()
    """Programs of the user's own that run with the demo."""
    brokers: int = 1
    """Of the Kafka that the demo runs: 1 or 3."""
    verifier: bool = True
    """Whether verifiers compare what the gateways send with the log."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cities in `cities`. Raises ValueError."""
        return tuple(city.name for city in parse(self.cities)) if self.cities else ()

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def admin_ports(url: str) -> int:
    """Where the search for admin ports begins: demos that start side by side look in different places."""
    return ADMIN_PORT + port_of(url) % 100 * 20


def port_of(url: str) -> int:
    """The port in an address, 0 if it has none."""
    return int(url.rpartition(":")[2] or 0)


def kafka_part(plan: BrokerPlan) -> PartSpec:
    """The broker as a part."""

    async def ready(_: Running) -> ReadinessAnswer | None:
        return ReadinessAnswer(is_ready=True) if await serves(plan) else None

    async def alive(_: Running) -> ReadinessAnswer | None:
        return ReadinessAnswer(is_ready=True) if await responds(plan.port) else None

    async def before_start() -> None:
        if plan.before_start is not None:
            await asyncio.to_thread(plan.before_start)

    return PartSpec(
        name=plan.name,
        command=lambda _: plan.command,
        env=lambda _: plan.environ,
        cwd=plan.cwd,
        ready=ready,
        before_start=before_start,
        alive=alive,
        patience=PATIENCE["kafka"],
        port=plan.port,
        start_s_max=START_S_MAX,
        stop_s_max=STOP_S_MAX,
        on_full_disk="wait",
        explain=explain,
        shown_log=without_stack_traces,
    )


def service_parts(
    options: DemoOptions, kafka: Mapping[str, str], *, is_log_here: bool = True
) -> tuple[PartSpec, ...]:
    """Dispatchers, simulator, gateways.

    Args:
        options: What the person chose.
        kafka: The KAFKA_* variables that lead to the cluster.
        is_log_here: Whether the cluster writes to the disk of the data directory.
    """
    page = {
        **page_variables(options),
        "TAXI_REUSE_PORT": "true",
        "TAXI_PARTS_DIR": str(options.data_dir.absolute()),
    }
    writers = (
        *(
            _dispatcher(f"dispatcher-{n + 1}", {**kafka, **decision_variables(options)})
            for n in range(options.dispatchers)
        ),
        *(
            _service(
                "simulator", name, {**kafka, **world_variables(options), **city_variables(options, city)}
            )
            for name, city in simulators(options).items()
        ),
    )
    return (
        *(replace(writer, on_full_disk="pause" if is_log_here else "run") for writer in writers),
        *(
            _service("gateway", f"gateway-{n + 1}", {**kafka, **page}, port=options.port, spare=options.spare)
            for n in range(options.gateways)
        ),
    )


def verifier_parts(options: DemoOptions, kafka: Mapping[str, str]) -> tuple[PartSpec, ...]:
    """A verifier for each city, or none. It runs on when the disk is full: gateways do, and it writes little.

    Args:
        options: What the person chose.
        kafka: The KAFKA_* variables that lead to the cluster.
    """
    return tuple(
        _service("verifier", name, {**kafka, **verifier_variables(options, options.gateways, city)})
        for name, city in verifiers(options).items()
    )


def simulators(options: DemoOptions) -> dict[str, str]:
    """Name of a part → its city, empty for the only one."""
    return _one_for_each_city("simulator", options)


def verifiers(options: DemoOptions) -> dict[str, str]:
    """Name of a part → its city, empty for the only one."""
    return _one_for_each_city("verifier", options) if options.verifier else {}


def _one_for_each_city(kind: str, options: DemoOptions) -> dict[str, str]:
    if len(options.names) < 2:
        return {kind: ""}
    return {f"{kind}-{city}": city for city in options.names}


def verifier_variables(options: DemoOptions, gateways: int, city: str = "") -> dict[str, str]:
    """The environment variables of a verifier; with a token, if the gateways require one."""
    variables = {"TAXI_GATEWAY_URL": options.url, "TAXI_GATEWAYS": str(gateways)}
    if os.environ.get("TAXI_TOKEN_SECRET") and not os.environ.get("TAXI_CLIENT_TOKEN"):
        variables["TAXI_CLIENT_TOKEN"] = _viewer_token(os.environ["TAXI_TOKEN_SECRET"])
    return {**city_variables(options, city), **variables}


def _viewer_token(secret: str) -> str:
    from gateway.access import tokens  # noqa: PLC0415 - few demos require tokens

    now_ms = time.time_ns() // 1_000_000
    expires_ms = now_ms // 1000 * 1000 + _TOKEN_MS
    return tokens.Keys(secret).mint(tokens.Grant(tokens.Role.VIEWER, expires_ms, None), now_ms)


def city_variables(options: DemoOptions, city: str = "") -> dict[str, str]:
    """The cities of the log, and that of one part; empty: the first."""
    if not options.cities:
        return {}
    return {"TAXI_CITIES": options.cities, "TAXI_CITY": city or options.names[0], "TAXI_SHOWN_CITIES": ""}


def world_variables(options: DemoOptions) -> dict[str, str]:
    """The environment of the simulator."""
    return {
        "TAXI_DRIVERS": str(options.drivers or ""),
        "TAXI_SEED": str(options.seed),
        "TAXI_LOAD": str(options.load),
        "TAXI_DEMAND_BY_HOUR": str(options.demand_by_hour).lower(),
        "TAXI_GPS_NOISE": str(options.gps_noise).lower(),
        "TAXI_SCENARIOS": ",".join(options.scenarios),
        "TAXI_SCENARIOS_ASKED_MS": str(options.scenarios_asked_ms),
        "TAXI_SCENARIOS_DIR": scenarios_dir(),
    }


def scenarios_dir() -> str:
    """The folder of scenarios that the environment names, or the simulator's own, as an absolute path.

    It is that of this installation: a user's own simulator on PYTHONPATH may have none.
    """
    named = os.environ.get("TAXI_SCENARIOS_DIR")
    own = Path(__file__).parents[2] / "simulator" / "scenarios"
    return str(Path(named or own).absolute())


def decision_variables(options: DemoOptions) -> dict[str, str]:
    """The environment variables of a dispatcher. The log passes the speed on to all others.

    In a city that lives faster it decides more often, unless the environment says how often: each second
    until the next batch is `speed` seconds of waiting.
    """
    variables = {
        **city_variables(options),
        "TAXI_SPEED": str(options.speed),
        "TAXI_POLICY": options.policy,
    }
    if options.speed > 1 and not os.environ.get("TAXI_BATCH_INTERVAL_MS"):
        variables["TAXI_BATCH_INTERVAL_MS"] = str(batch_interval_ms(options.speed))
    return variables


def batch_interval_ms(speed: int) -> int:
    """How often a city that lives so fast is decided on: every two seconds of it, as far as possible."""
    return max(_BATCH_INTERVAL_MS // speed, _BATCH_INTERVAL_MS_MIN)


def page_variables(options: DemoOptions) -> dict[str, str]:
    """The environment variables of a gateway's address, and of the cities that it shows: all."""
    return {
        **city_variables(options),
        **({"TAXI_SHOWN_CITIES": ",".join(options.names)} if options.cities else {}),
        "TAXI_HOST": options.host,
        "TAXI_PORT": str(options.port),
        "TAXI_SCENARIOS_DIR": scenarios_dir(),
    }


def stages(
    plans: Sequence[BrokerPlan], services: tuple[PartSpec, ...], make_topics: Callable[[], Awaitable[None]]
) -> tuple[StartStage, ...]:
    """The brokers, then their topics, then everything else at the same time."""
    return (
        StartStage(tuple(kafka_part(plan) for plan in plans), then=make_topics),
        StartStage(services),
    )


def kafka_variables(environ: Mapping[str, str], plans: Sequence[BrokerPlan]) -> dict[str, str]:
    """How the services reach the cluster: ours, without credentials, or the one the environment names."""
    if plans:
        return {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers(plans)}
    return {key: value for key, value in environ.items() if key.startswith(ALSO_KAFKA)}


def bootstrap_servers(plans: Sequence[BrokerPlan]) -> str:
    """The addresses of all brokers, so that a client finds the cluster while any of them runs."""
    return ",".join(plan.bootstrap_servers for plan in plans)


def service_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Our own environment without its KAFKA_ variables, and `variables`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ALSO_KAFKA)}
    return inherited | dict(variables)


def part_environment(name: str, variables: Mapping[str, str], admin_port: int) -> dict[str, str]:
    """The whole environment of a service that runs as the part `name`."""
    own = {"TAXI_NAME": name, "TAXI_ADMIN_HOST": "127.0.0.1", "TAXI_ADMIN_PORT": str(admin_port)}
    return {**service_environment(variables), **own, **_PYTHON}


def _dispatcher(name: str, variables: Mapping[str, str]) -> PartSpec:
    async def after_end() -> str | None:
        return await remove_dispatcher(service_environment(variables), name)

    return replace(_service("dispatcher", name, variables), after_end=after_end)


def _service(
    kind: str, name: str, variables: Mapping[str, str], *, port: int | None = None, spare: bool = False
) -> PartSpec:
    return PartSpec(
        name=name,
        # -P: a folder `gateway` or a file `queue.py` in the current directory takes nothing's place.
        command=lambda _: (sys.executable, "-P", "-m", kind),
        env=partial(part_environment, name, variables),
        ready=ask,
        alive=ask,
        patience=PATIENCE[kind],
        port=port,
        has_admin=True,
        spare_env={**service_environment({}), **_PYTHON} if spare else None,
    )


class _Readyz(msgspec.Struct):
    pid: int
    reason: str = ""
    faults: list[DemoFault] = []


async def ask(running: Running) -> ReadinessAnswer | None:
    """What /readyz on the part's admin port says, if it is this process that says it.

    Of two demos that start at once, one may have taken the port that was free when the other looked.
    """
    with suppress(OSError, TimeoutError, msgspec.DecodeError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.admin_port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                said = msgspec.json.decode(body, type=_Readyz)
                if running.process is not None and said.pid == running.process.pid:
                    waits_for = "; ".join(fault.text for fault in said.faults)
                    reason = waits_for or said.reason if said.reason == STARTING else said.reason
                    return ReadinessAnswer(b" 200 " in head.split(b"\r\n")[0], reason)
            finally:
                writer.close()
    return None
