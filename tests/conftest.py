# SPDX-License-Identifier: Apache-2.0
"""What all tests share: coroutines as tests, and one real broker."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from taxi.local.ports import first_free
from tests.kafka_server import KafkaServer, resolve_jars

FIRST_PORT = 22000
PORTS_EACH = 5


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine: on its `lab`'s own loop where it has one, else on a plain one."""
    if not asyncio.iscoroutinefunction(pyfuncitem.obj) or pyfuncitem.get_closest_marker("anyio"):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    lab = arguments.get("lab")
    if lab is None:
        asyncio.run(pyfuncitem.obj(**arguments))
    else:
        lab.run(lambda fresh: pyfuncitem.obj(**{**arguments, "lab": fresh}))
    return True


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real Apache Kafka for the whole session (one for each xdist worker that needs it)."""
    if shutil.which("java") is None:
        reason = "no Java on this machine: what needs a real Kafka is NOT tested"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    port = first_free(FIRST_PORT + PORTS_EACH * worker)
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), port, resolve_jars())
    server.format()
    server.start()
    yield server
    server.thaw()
    server.kill()
