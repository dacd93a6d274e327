# SPDX-License-Identifier: Apache-2.0
"""What all tests share: coroutines as tests, and one real broker."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from taxi.local.errors import LocalError
from taxi.local.ports import PortPool
from tests.kafka_server import KafkaServer
from tests.ports import claim


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
def ports() -> Iterator[PortPool]:
    """Free ports that no test beside this one takes."""
    pool, lock = claim()
    with lock:
        yield pool


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory, ports: PortPool) -> Iterator[KafkaServer]:
    """A real Apache Kafka for the whole session (one for each xdist worker that needs it)."""
    try:
        server = KafkaServer(tmp_path_factory.mktemp("kafka"), ports.take())
    except LocalError as error:
        reason = f"what needs a real Kafka is NOT tested: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server.start()
    yield server
    server.thaw()
    server.kill()
