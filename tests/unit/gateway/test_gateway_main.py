# SPDX-License-Identifier: Apache-2.0
"""What the process says when something outside is in its way."""

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import gateway
from gateway.__main__ import RealGateway
from gateway.metrics import METRICS
from gateway.settings import Settings
from gateway.stream.transport import bind, listening
from taxi.runtime.admin import Readiness
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.service import CannotStartError, Process
from tests.unit.gateway.lab import Spy


class World:
    """As much of an `Env` as is looked at before the gateway runs."""

    def __init__(self, settings: Settings, listener: Any = None) -> None:
        self.settings = settings
        self.listener = listener
        self.log = Spy()


def process(settings: Settings) -> Process[Settings]:
    return Process(cast("Any", World(settings)), Readiness(), PrometheusMetrics({}))


def test_a_taken_port_is_named() -> None:
    async def story(port: int) -> None:
        async with RealGateway().prepare(process(Settings(port=port))):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStartError, match=f"127.0.0.1:{port} .*in use"):
            asyncio.run(story(port))


def test_an_unknown_city_is_named() -> None:
    async def story() -> None:
        async with listening(bind("127.0.0.1", 0, reuse_port=True)) as listener:
            await RealGateway().main(cast("Any", World(Settings(city="atlantis"), listener)))

    with pytest.raises(CannotStartError, match="atlantis"):
        asyncio.run(story())


def test_every_metric_is_explained_and_none_is_only_promised() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(gateway.__path__[0]).rglob("*.py")]
    used = {name for text in sources for name in re.findall(r'\.(?:count|gauge|observe)\(\s*"(\w+)"', text)}
    assert used == set(METRICS)


def test_a_gateway_boots_without_what_it_needs_later_or_never() -> None:
    heavy = {"rich", "jinja2", "jwt", "psutil", "scipy", "typer", "opentelemetry", "cryptography", "pytest"}
    program = f"import sys, gateway.__main__; print(*sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
