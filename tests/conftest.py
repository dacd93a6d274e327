# SPDX-License-Identifier: Apache-2.0
"""What all tests share: coroutines as tests, and one real broker."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from taxi.runtime.machine_errors import LocalError
from taxistream.local.ports import PortPool
from testing.kafka_server import KafkaServer
from testing.ports import claim

# No test measures time, because a busy machine may take long. In CI the examples are the same each time.
settings.register_profile(
    "taxistream",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("taxistream")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine: on its `harness`'s own loop where it has one, else on a plain one."""
    if not asyncio.iscoroutinefunction(pyfuncitem.obj) or pyfuncitem.get_closest_marker("anyio"):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    harness = arguments.get("harness")
    if harness is None:
        asyncio.run(pyfuncitem.obj(**arguments))
    else:
        harness.run(lambda fresh: pyfuncitem.obj(**{**arguments, "harness": fresh}))
    return True


@pytest.fixture(scope="session")
def ports() -> Iterator[PortPool]:
    """Free ports that no test beside this one takes."""
    pool, lock = claim()
    with lock:
        yield pool


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[KafkaServer]:
    """A real Apache Kafka for the whole session (one for each xdist worker that needs it)."""
    with _started(tmp_path_factory.mktemp("kafka"), ports) as server:
        yield server


@pytest.fixture(scope="module")
def own_kafka_server(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[KafkaServer]:
    """A broker for one module, for tests after which a broker may not start again."""
    with _started(tmp_path_factory.mktemp("own_kafka"), ports) as server:
        yield server


@contextmanager
def _started(folder: Path, ports: PortPool) -> Iterator[KafkaServer]:
    try:
        server = KafkaServer(folder, ports.take())
    except LocalError as error:
        reason = f"what needs a real Kafka is NOT tested: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server.start()
    try:
        yield server
    finally:
        server.thaw()
        server.kill()
