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

from taxi.bus import BusError
from taxi.bus.kafka import KafkaBus
from taxi.runtime import admin, log
from taxi.runtime.env import Env, Log
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.settings import KNOWN, Settings, SettingsError
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


def run(
    main: Callable[[Env[S]], Awaitable[None]],
    settings_type: type[S],
    *,
    kind: str,
    metrics: Mapping[str, str],
    prepare: Callable[[Process[S]], AbstractAsyncContextManager[Env[S]]] | None = None,
) -> None:
    """Run `main` until it ends or a signal comes; never returns.

    `kind` is the default name; `metrics` maps each metric's name to its help text; `prepare` may wrap
    the environment (the gateway adds its listener).
    """
    try:
        settings = settings_type.from_env(os.environ, also=KNOWN)
    except SettingsError as error:
        sys.stderr.write(f"{kind}: {error}\n")
        sys.exit(2)
    sys.exit(uvloop.run(_run(main, settings, kind, metrics, prepare)))


async def _run(
    main: Callable[[Env[S]], Awaitable[None]],
    settings: S,
    kind: str,
    texts: Mapping[str, str],
    prepare: Callable[[Process[S]], AbstractAsyncContextManager[Env[S]]] | None,
) -> int:
    name = settings.name or kind
    logger = log.configure(name=name, form=settings.log_format, level=settings.log_level)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    readiness, metrics = admin.Readiness(), PrometheusMetrics(texts)
    async with AsyncExitStack() as stack:
        routes = admin.routes(name, readiness, metrics)
        try:
            await stack.enter_async_context(admin.serving(settings.admin_host, settings.admin_port, routes))
        except OSError as error:
            place = f"{settings.admin_host}:{settings.admin_port}"
            logger.error("can't start", reason=f"the admin port {place} can't be had: {error.strerror}")
            return 1
        work = asyncio.create_task(_serve(main, settings, name, logger, readiness, metrics, prepare))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return await _outcome(work, logger)


async def _serve(
    main: Callable[[Env[S]], Awaitable[None]],
    settings: S,
    name: str,
    logger: Log,
    readiness: admin.Readiness,
    metrics: PrometheusMetrics,
    prepare: Callable[[Process[S]], AbstractAsyncContextManager[Env[S]]] | None,
) -> None:
    async with AsyncExitStack() as stack:
        tracer = _tracer(name, os.environ, stack)
        bus = await KafkaBus.connect(settings, client_id=name)
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
        if prepare is not None:
            env = await stack.enter_async_context(prepare(Process(env, readiness, metrics)))
        await main(env)


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
