# SPDX-License-Identifier: Apache-2.0
"""Connects a command to its cluster: KAFKA_BOOTSTRAP_SERVERS, else that of the demo in --data-dir."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taxi.runtime.machine_errors import LocalError

if TYPE_CHECKING:
    from taxi.bus.kafka.bus import KafkaBus
    from taxi.runtime.parts import Demo
    from taxi.runtime.settings import Settings


def environment(data_dir: Path) -> dict[str, str]:
    """The environment; what it does not set of broker and cities is as in the demo."""
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or (demo := parts.read(data_dir)) is None:
        return dict(os.environ)
    given = {key: value for key, value in os.environ.items() if value}
    return {**_cities(demo.demo, given), **given, "KAFKA_BOOTSTRAP_SERVERS": demo.demo.bootstrap_servers}


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
