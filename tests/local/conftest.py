# SPDX-License-Identifier: Apache-2.0
"""What the tests of the local platform share: Kafka's jars, `taxi` as a process."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from taxi.runtime.machine_errors import LocalError
from taxistream.local import jars, java
from taxistream.local.ports import PortPool
from testing.kafka_server import KafkaServer
from testing.real_city import RealCity, real_city

TAXI = str(Path(sys.executable).with_name("taxi"))
STAND_INS = Path(__file__).parent / "stand_ins"

NEEDS_KAFKA = [pytest.mark.kafka, pytest.mark.usefixtures("kafka_is_here")]

Taxi = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def kafka_is_here() -> Path:
    """Java and Kafka's jars, downloaded if need be. Skips where there are none, and fails when CI=true."""
    try:
        java.find()
        return jars.ensure(jars.directory(), Console(stderr=True))
    except LocalError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO REAL KAFKA HERE, so what needs it is not tested: {error}")


@pytest.fixture
def city(kafka_server: KafkaServer, tmp_path: Path, ports: PortPool) -> Iterator[RealCity]:
    """A city on real Kafka with topics of its own; no service runs yet."""
    prefix = f"c{uuid.uuid4().hex[:8]}."
    with real_city(kafka_server.bootstrap_servers, prefix, tmp_path, ports.take) as city:
        city.make_topics()
        yield city


@pytest.fixture
def taxi(tmp_path: Path) -> Taxi:
    """Runs `taxi …` in a folder of its own, with the given variables on top of the environment."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        clean = {key: value for key, value in os.environ.items() if not key.startswith("KAFKA_")}
        return subprocess.run(
            [TAXI, *arguments],
            cwd=tmp_path,
            env={**clean, **variables},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run
