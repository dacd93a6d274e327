# SPDX-License-Identifier: Apache-2.0
"""Runs a shell in the real world: settings, logging, bus, admin port, signals, exit codes.

Exit 0: stopped by SIGTERM or SIGINT. 1: could not go on. 2: a setting is wrong.
"""

import asyncio
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import uvloop

from taxi.bus import Bus, BusError
from taxi.bus.kafka import KafkaBus
from taxi.runtime import admin, log
from taxi.runtime.env import Env, Log
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.settings import KNOWN, Settings, SettingsError
from taxi.runtime.spare import wait_if_spare
from taxi.runtime.tracing import NoTracer, Tracer

S = TypeVar("S", bound=Settings)


class CannotStartError(Exception):
    """Something outside is in the way; the text says what. Exit 1, and no stack trace."""


@dataclass(frozen=True)
class Process(Generic[S]):
    """What a real process has beyond its `Env`."""

    env: Env[S]
    readiness: admin.Readiness
    metrics: PrometheusMetrics


@dataclass(frozen=True, kw_only=True)
class Service(Generic[S]):
    """A shell, and what it needs to be a process, or a part of one."""

    kind: str
    """The default name."""
    main: Callable[[Env[S]], Awaitable[None]]
    settings: type[S]
    metrics: Mapping[str, str]
    """Each metric's name → its help text."""
    prepare: Callable[[Process[S]], AbstractAsyncContextManager[Env[S]]] | None = None
    """May wrap the environment (the gateway adds its listener)."""


async def kafka(settings: Settings, name: str) -> Bus:
    """A connection to the cluster of the settings."""
    return await KafkaBus.connect(settings, client_id=name)


def run(service: Service[S]) -> None:
    """Run a service as this process, until it ends or a signal comes; never returns."""
    wait_if_spare()
    try:
        settings = service.settings.from_env(os.environ, also=KNOWN)
    except SettingsError as error:
        sys.stderr.write(f"{service.kind}: {error}\n")
        sys.exit(2)
    sys.exit(uvloop.run(_run(service, settings)))


async def _run(service: Service[S], settings: S) -> int:
    name = settings.name or service.kind
    logger = log.configure(name=name, form=settings.log_format, level=settings.log_level)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    readiness, metrics = admin.Readiness(), PrometheusMetrics(service.metrics)
    async with AsyncExitStack() as stack:
        routes = admin.routes(name, readiness, metrics)
        try:
            await stack.enter_async_context(admin.serving(settings.admin_host, settings.admin_port, routes))
        except OSError as error:
            place = f"{settings.admin_host}:{settings.admin_port}"
            logger.error("can't start", reason=f"the admin port {place} can't be had: {error.strerror}")
            return 1
        work = asyncio.create_task(serve(service, settings, kafka, logger, readiness, metrics))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return await _outcome(work, logger)


async def serve(
    service: Service[S],
    settings: S,
    connect: Callable[[Settings, str], Awaitable[Bus]],
    logger: Log,
    readiness: admin.Readiness,
    metrics: PrometheusMetrics,
) -> None:
    """Run a service's shell in the real world, on whatever bus `connect` gives it, until cancelled."""
    name = settings.name or service.kind
    async with AsyncExitStack() as stack:
        tracer = _tracer(name, os.environ, stack)
        bus = await connect(settings, name)
        stack.push_async_callback(bus.close)
        env = Env(
            settings=settings,
            bus=bus,
            now_ms=lambda: time.time_ns() // 1_000_000,
            random=random.Random(secrets.randbits(64)),
            new_id=lambda: secrets.token_hex(8),
            log=logger,
            metrics=metrics,
            health=readiness,
            tracer=tracer,
        )
        if service.prepare is not None:
            env = await stack.enter_async_context(service.prepare(Process(env, readiness, metrics)))
        await service.main(env)


def _tracer(name: str, environ: Mapping[str, str], stack: AsyncExitStack) -> Tracer:
    """An exporter of spans where the environment asks for one; its packages are loaded only then."""
    if not any(key.startswith("OTEL_EXPORTER_OTLP_") for key in environ):
        return NoTracer()
    from taxi.runtime import otlp  # noqa: PLC0415

    tracer = otlp.tracer(name, environ)
    if isinstance(tracer, otlp.OtlpTracer):
        stack.callback(tracer.close)
    return tracer


async def _outcome(work: "asyncio.Task[None]", logger: Log) -> int:
    """Cancel what still runs, and say why it ended."""
    stopped = not work.done()
    work.cancel()
    with suppress(asyncio.CancelledError):
        try:
            await work
        except BusError as error:
            logger.error(
                "stopped: no broker", reason=str(error), do="is Kafka up at KAFKA_BOOTSTRAP_SERVERS?"
            )
            return 1
        except CannotStartError as error:
            logger.error("can't start", reason=str(error))
            return 1
        except Exception:
            logger.error("stopped by a bug", exc_info=True)
            return 1
    if stopped:
        logger.info("stopped")
        return 0
    logger.error("ended by itself")
    return 1
