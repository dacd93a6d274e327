# SPDX-License-Identifier: Apache-2.0
"""`python -m gateway`: the gateway in the real world."""

import gc

if __name__ == "__main__":
    gc.disable()  # modules are no garbage: looking for some while they load is an eighth of a start

import contextlib
import dataclasses
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.app import Site, build
from gateway.metrics import METRICS
from gateway.settings import Settings
from gateway.shell import Gateway
from gateway.stream.transport import WebListener, bind, listening
from taxi.roads import UnknownCityError
from taxi.runtime import admin
from taxi.runtime.env import Env
from taxi.runtime.service import CannotStartError, Process, Service, run
from web import page

_COLLECT_AFTER = (50_000, 20, 50)
"""Records come by the ten thousand and make no cycles: looking for some after every 700 costs a fifth."""


class RealGateway:
    """Joins the shell with the web: the listener before it runs, the application around its desk."""

    def __init__(self) -> None:
        self._process: Process[Settings]

    @contextlib.asynccontextmanager
    async def prepare(self, process: Process[Settings]) -> AsyncIterator[Env[Settings]]:
        """Take the port, without listening yet."""
        gc.freeze()  # what is loaded stays
        gc.set_threshold(*_COLLECT_AFTER)
        gc.enable()
        self._process = process
        settings = process.env.settings
        origins = tuple(origin.strip() for origin in settings.allowed_origins.split(",") if origin.strip())
        async with listening(_bound(settings), origins, settings.trusted_proxies) as listener:
            yield dataclasses.replace(process.env, listener=listener)

    async def main(self, env: Env[Settings]) -> None:
        """Run the gateway behind its page."""
        assert isinstance(env.listener, WebListener)
        try:
            gateway = Gateway(env)
        except UnknownCityError as error:
            raise CannotStartError(str(error)) from None
        env.listener.attach(build(self._site(gateway)))
        env.log.info("starting", host=env.settings.host, port=env.listener.port)
        await gateway.run()

    def _site(self, gateway: Gateway) -> Site:
        settings, process = self._process.env.settings, self._process
        name = settings.name or "gateway"
        return Site(
            desk=gateway.desk,
            guard=gateway.guard,
            pid=os.getpid(),
            parts_dir=Path(settings.parts_dir) if settings.parts_dir else None,
            beside=[
                *page.routes(settings.own().folder),
                *admin.routes(name, process.readiness, process.metrics),
            ],
        )


def _bound(settings: Settings) -> socket.socket:
    try:
        return bind(settings.host, settings.port, reuse_port=settings.reuse_port)
    except OSError as error:
        message = f"{settings.host}:{settings.port} can't be had: {error.strerror}"
        raise CannotStartError(message) from None


_REAL = RealGateway()
SERVICE = Service(kind="gateway", main=_REAL.main, settings=Settings, metrics=METRICS, prepare=_REAL.prepare)

if __name__ == "__main__":
    run(SERVICE)
