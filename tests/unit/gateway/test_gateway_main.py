# SPDX-License-Identifier: Apache-2.0
"""What the process says when something outside is in its way."""

import asyncio
import errno
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
from taxi.runtime.admin import Readiness
from taxi.runtime.faults import Faults
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.service import CannotStartError, Process
from taxi.runtime.settings import SettingsError
from testing.gateway_harness import Spy


class World:
    """As much of an `Env` as is looked at before the gateway runs."""

    def __init__(self, settings: Settings, listener: Any = None) -> None:
        self.settings = settings
        self.listener = listener
        self.log = Spy()
        self.faults = Faults()


def process(settings: Settings) -> Process[Settings]:
    return Process(cast("Any", World(settings)), Readiness(), PrometheusMetrics({}))


def test_a_taken_port_is_named() -> None:
    async def scenario(port: int) -> None:
        async with RealGateway().prepare(process(Settings(port=port))):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStartError, match=f"TAXI_PORT={port}: 127.0.0.1:{port} is in use"):
            asyncio.run(scenario(port))


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        (Settings(host="192.0.2.1"), None, "TAXI_HOST='192.0.2.1'"),
        (Settings(host="no.such.invalid"), None, "TAXI_HOST='no.such.invalid'"),
        (Settings(host="::1"), OSError(errno.EAFNOSUPPORT, "no IPv6"), "TAXI_HOST='::1'"),
        (Settings(port=80), PermissionError(errno.EACCES, "no"), "TAXI_PORT=80: .*from 1024 on"),
    ],
)
def test_where_no_process_can_listen_the_setting_is_wrong(
    settings: Settings, error: OSError | None, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with RealGateway().prepare(process(settings)):
            pass

    def refuse(*_: object, **__: object) -> None:
        assert error is not None
        raise error

    if error is not None:
        monkeypatch.setattr("gateway.__main__.bind", refuse)
    with pytest.raises(SettingsError, match=named):
        asyncio.run(scenario())


@pytest.mark.parametrize(("host", "secret", "warned"), [("0.0.0.0", "", True), ("::", "x" * 32, False)])
def test_a_gateway_that_everyone_may_use_says_so(host: str, secret: str, *, warned: bool) -> None:
    assert RealGateway.is_open(Settings(host=host, token_secret=secret)) is warned
    assert not RealGateway.is_open(Settings(host="localhost"))


def test_every_metric_is_explained_and_none_is_only_promised() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(gateway.__path__[0]).rglob("*.py")]
    used = {name for text in sources for name in re.findall(r'\.(?:count|gauge|observe)\(\s*"(\w+)"', text)}
    assert used == set(METRICS)


def test_a_gateway_boots_without_what_it_needs_later_or_never() -> None:
    heavy = {"rich", "jinja2", "jwt", "psutil", "scipy", "typer", "opentelemetry", "cryptography", "pytest"}
    program = f"import sys, gateway.__main__; print(*sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
