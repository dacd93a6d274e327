# SPDX-License-Identifier: Apache-2.0
"""`python -m gateway`: runs the gateway as a process."""

import gc

if __name__ == "__main__":
    gc.disable()  # importing modules creates no garbage; collections meanwhile take an eighth of a start

import contextlib
import dataclasses
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from gateway import bounds
from gateway.cities import Gateways
from gateway.http.app import CityApi, Site, build
from gateway.http.refusals import Refusals
from gateway.metrics import METRICS
from gateway.settings import Settings
from gateway.shell import Gateway
from gateway.stream.transport import WebListener, bind, listening
from taxi.runtime import admin, checks
from taxi.runtime.entry import EntryRules, own_names
from taxi.runtime.env import Env
from taxi.runtime.origins import parse_origins
from taxi.runtime.service import Process, Service, cannot_listen, run
from taxi.topics import COMMANDS, EVENTS, LOCATIONS, SNAPSHOTS, VERDICTS
from web import page

_COLLECT_AFTER = (50_000, 20, 50)
"""Thresholds of the garbage collector. Records are created by the ten thousand and make no cycles; with the
default threshold of 700 objects, collections take a fifth of the CPU time."""


class RealGateway:
    """Connects the gateway with its listener and its HTTP application."""

    def __init__(self) -> None:
        self._process: Process[Settings]

    @contextlib.asynccontextmanager
    async def prepare(self, process: Process[Settings]) -> AsyncIterator[Env[Settings]]:
        """Bind the port without listening, and return the environment with the listener."""
        gc.freeze()  # modules are never freed
        gc.set_threshold(*_COLLECT_AFTER)
        gc.enable()
        self._process = process
        settings = process.env.settings
        bound = _bound(settings)
        limits = bounds.of(process.env)
        async with listening(bound, _rules(process.env), limits) as listener:
            yield dataclasses.replace(process.env, listener=listener)

    async def main(self, env: Env[Settings]) -> None:
        """Run the gateway, with its page and API, until cancelled."""
        assert isinstance(env.listener, WebListener)
        several = Gateways(env) if len(env.settings.shown()) > 1 else None
        [city, *_] = env.settings.shown()
        gateways = several.by_city if several else {city.name: Gateway(_of_city(env, city.name))}
        env.listener.attach(build(self._site(gateways)))
        if self.is_open(env.settings):
            env.log.warning(
                "anyone who can reach this port can see the city and request rides",
                host=env.settings.host,
                do="set TAXI_TOKEN_SECRET, or leave TAXI_HOST out",
            )
        env.log.info("starting", host=env.settings.host, port=env.listener.port)
        await (several or gateways[city.name]).run()

    @staticmethod
    def is_open(settings: Settings) -> bool:
        """Whether other machines can reach the gateway without a token."""
        return not checks.is_loopback(settings.host) and not settings.token_secret

    def _site(self, gateways: Mapping[str, Gateway]) -> Site:
        settings, process = self._process.env.settings, self._process
        name = settings.name or "gateway"
        return Site(
            cities={
                name: CityApi(each.ride_service, each.route_service, each.guard, each.scenario_service)
                for name, each in gateways.items()
            },
            pid=os.getpid(),
            parts_dir=Path(settings.parts_dir) if settings.parts_dir else None,
            now_ms=process.env.now_ms,
            beside=[
                *page.routes(settings.shown()),
                *admin.routes(name, process.readiness, process.metrics),
            ],
        )


def _of_city(env: Env[Settings], city: str) -> Env[Settings]:
    """The environment of a gateway that shows one city, which TAXI_SHOWN_CITIES may name."""
    return dataclasses.replace(env, settings=msgspec.structs.replace(env.settings, city=city))


def _rules(env: Env[Settings]) -> EntryRules:
    settings = env.settings
    return EntryRules(
        origins=parse_origins(settings.allowed_origins),
        proxies=settings.trusted_proxies.replace(" ", ""),
        names=own_names(settings.host),
        refused=Refusals(env.log, env.metrics),
    )


def _bound(settings: Settings) -> socket.socket:
    try:
        return bind(settings.host, settings.port, reuse_port=settings.reuse_port)
    except OSError as error:
        raise cannot_listen(error, settings.host, settings.port) from None


_REAL = RealGateway()
SERVICE = Service(
    kind="gateway",
    main=_REAL.main,
    settings=Settings,
    metrics=METRICS,
    topics=(LOCATIONS, COMMANDS, EVENTS, SNAPSHOTS, VERDICTS),
    waits_for_topics=False,  # clients wait for a gateway that restarts
    prepare=_REAL.prepare,
)

if __name__ == "__main__":
    run(SERVICE)
