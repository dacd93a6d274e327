# SPDX-License-Identifier: Apache-2.0
"""What a demo consists of: the broker, the topics, and the services, each `python -m NAME`.

Python finds a service the way it finds any module, so PYTHONPATH can put another in its place: a
dispatcher of your own, or the stand-ins of tests/local.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from taxi.local.broker import START_S_MAX, STOP_S_MAX, BrokerPlan, serves
from taxi.local.supervisor import PartSpec, Running, Stage

ADMIN_PORT: Final = 19200
ALSO_KAFKA: Final = "KAFKA_"


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What a person chose."""

    drivers: int
    seed: int
    load: float
    gateways: int
    dispatchers: int
    host: str
    port: int
    data_dir: Path
    spare: bool = True
    """Whether a gateway that has loaded its modules waits to take a dead one's place."""

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def admin_ports(url: str) -> int:
    """Where the search for admin ports begins: demos that start side by side look in different places."""
    return ADMIN_PORT + port_of(url) % 100 * 20


def port_of(url: str) -> int:
    """The port in an address, 0 where it has none."""
    return int(url.rpartition(":")[2] or 0)


def kafka_part(plan: BrokerPlan) -> PartSpec:
    """The broker as a part."""
    return PartSpec(
        name="kafka",
        command=lambda _: plan.command,
        env=lambda _: os.environ,
        ready=lambda _: serves(plan),
        port=plan.port,
        start_s_max=START_S_MAX,
        stop_s_max=STOP_S_MAX,
    )


def service_parts(options: DemoOptions, kafka: Mapping[str, str]) -> tuple[PartSpec, ...]:
    """Dispatchers, simulator, gateways. `kafka`: the KAFKA_* variables that lead to the cluster."""
    world = world_variables(options)
    page = {
        **page_variables(options),
        "TAXI_REUSE_PORT": "true",
        "TAXI_PARTS_DIR": str(options.data_dir.absolute()),
    }
    return (
        *(_service("dispatcher", f"dispatcher-{n + 1}", kafka) for n in range(options.dispatchers)),
        _service("simulator", "simulator", {**kafka, **world}),
        *(
            _service("gateway", f"gateway-{n + 1}", {**kafka, **page}, port=options.port, spare=options.spare)
            for n in range(options.gateways)
        ),
    )


def world_variables(options: DemoOptions) -> dict[str, str]:
    """What a simulator is told."""
    return {
        "TAXI_DRIVERS": str(options.drivers),
        "TAXI_SEED": str(options.seed),
        "TAXI_LOAD": str(options.load),
    }


def page_variables(options: DemoOptions) -> dict[str, str]:
    """Where a gateway serves."""
    return {"TAXI_HOST": options.host, "TAXI_PORT": str(options.port)}


def stages(
    plan: BrokerPlan | None, services: tuple[PartSpec, ...], make_topics: Callable[[], Awaitable[None]]
) -> tuple[Stage, ...]:
    """The broker, then its topics, then everything else at the same time."""
    return (
        Stage((kafka_part(plan),) if plan else (), then=make_topics),
        Stage(services),
    )


def kafka_variables(environ: Mapping[str, str], plan: BrokerPlan | None) -> dict[str, str]:
    """How the services reach the cluster: ours, without credentials, or the one the environment names."""
    if plan is not None:
        return {"KAFKA_BOOTSTRAP_SERVERS": plan.bootstrap_servers}
    return {key: value for key, value in environ.items() if key.startswith(ALSO_KAFKA)}


def _service(
    kind: str, name: str, variables: Mapping[str, str], *, port: int | None = None, spare: bool = False
) -> PartSpec:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ALSO_KAFKA)}

    def environment(admin_port: int) -> dict[str, str]:
        own = {"TAXI_NAME": name, "TAXI_ADMIN_HOST": "127.0.0.1", "TAXI_ADMIN_PORT": str(admin_port)}
        return {**inherited, **variables, **own, "PYTHONUNBUFFERED": "1"}

    return PartSpec(
        name=name,
        command=lambda _: (sys.executable, "-m", kind),
        env=environment,
        ready=is_ready,
        port=port,
        has_admin=True,
        spare_env={**inherited, "PYTHONUNBUFFERED": "1"} if spare else None,
    )


class _Answer(msgspec.Struct):
    pid: int


async def is_ready(running: Running) -> bool:
    """Whether /readyz on the part's admin port says 200, and it is this process that says it.

    Of two demos that start at once, one may have taken the port that was free when the other looked.
    """
    with suppress(OSError, TimeoutError, msgspec.DecodeError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.admin_port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                assert running.process is not None
                is_ours = msgspec.json.decode(body, type=_Answer).pid == running.process.pid
                return is_ours and b" 200 " in head.split(b"\r\n")[0]
            finally:
                writer.close()
    return False
