# SPDX-License-Identifier: Apache-2.0
"""Connects a command to its cluster: KAFKA_BOOTSTRAP_SERVERS, else that of the demo in --data-dir."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taxi.runtime.machine_errors import WRONG_USE, LocalError

if TYPE_CHECKING:
    from taxi.bus.kafka.bus import KafkaBus
    from taxi.runtime.parts import Demo, Parts
    from taxi.runtime.settings import Settings


def environment(data_dir: Path) -> dict[str, str]:
    """The environment; what it does not set of broker and cities is as in the demo.

    Raises:
        LocalError: It names no broker, and no demo runs in the folder. Kafka's usual address is not tried,
            because what answers there need not be what was meant.
    """
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return dict(os.environ)
    known = parts.read(data_dir)
    if known is None or not _may_answer(known):
        raise LocalError(
            f"No demo runs in {data_dir}, and KAFKA_BOOTSTRAP_SERVERS is not set.",
            do="Start one with `taxi demo`, give its --data-dir, or set KAFKA_BOOTSTRAP_SERVERS.",
            code=WRONG_USE,
        )
    if not known.demo.bootstrap_servers:
        raise LocalError(
            f"The demo in {data_dir} runs in memory, so no other program can read its log.",
            do="Start one on Kafka: `taxi demo` without `--bus memory`.",
            code=WRONG_USE,
        )
    given = {key: value for key, value in os.environ.items() if value}
    return {**_cities(known.demo, given), **given, "KAFKA_BOOTSTRAP_SERVERS": known.demo.bootstrap_servers}


def _may_answer(known: "Parts") -> bool:
    """Whether the broker can be there: it is not the demo's own, it runs, or it is started again."""
    from taxi.runtime import parts  # noqa: PLC0415 - as above

    brokers = [part for part in known.parts if parts.is_broker(part.name)]
    is_running = parts.is_alive(known.demo.pid, known.demo.created)
    return is_running or not brokers or any(part.is_alive() for part in brokers)


def _cities(demo: "Demo", given: Mapping[str, str]) -> dict[str, str]:
    """The cities of a demo; none if the environment names its own."""
    if "TAXI_CITIES" in given or "TAXI_CITY" in given:
        return {}
    return {"TAXI_CITIES": demo.cities, "TAXI_CITIES_DIR": demo.cities_dir}


@asynccontextmanager
async def connected(data_dir: Path) -> "AsyncIterator[tuple[Settings, KafkaBus]]":
    """The settings that all services share, and a bus. Raises LocalError if no broker answers."""
    from taxi.bus import BusError  # noqa: PLC0415
    from taxi.bus.kafka.bus import KafkaBus  # noqa: PLC0415
    from taxi.runtime.settings import Settings  # noqa: PLC0415

    settings = Settings.from_env(environment(data_dir))
    try:
        bus = await KafkaBus.connect(settings, client_id="taxi")
        try:
            yield settings, bus
        finally:
            await bus.close()
    except BusError as error:
        raise LocalError(
            f"The log at {settings.kafka_bootstrap_servers} cannot be read: {error}",
            do="Start a demo with `taxi demo`, or set KAFKA_BOOTSTRAP_SERVERS.",
        ) from error
