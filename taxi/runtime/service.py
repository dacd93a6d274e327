# SPDX-License-Identifier: Apache-2.0
"""Runs a service as a process: settings, logging, bus, admin port, signals, exit codes.

Exit codes: 0 after SIGTERM or SIGINT, 1 if the service can't continue, 2 if a setting is wrong.
"""

import asyncio
import errno
import os
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import uvloop

from taxi.bus import Bus, BusError
from taxi.bus.kafka.bus import KafkaBus
from taxi.bus.kafka.config import ConfigError
from taxi.runtime import admin, log
from taxi.runtime.env import Env, Log
from taxi.runtime.environment import Note
from taxi.runtime.faults import Faults
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.settings import WRONG_SETTING, Settings, SettingsError, read_or_exit
from taxi.runtime.spare import wait_if_spare
from taxi.runtime.topic_check import REPEAT_S, TopicCheck, describe_on_kafka
from taxi.runtime.tracing import NoTracer, Tracer

S = TypeVar("S", bound=Settings)


class CannotStartError(Exception):
    """An external condition prevents the start; the text says which. The process exits with 1."""


def cannot_listen(
    error: OSError, host: str, port: int, *, prefix: str = "TAXI_"
) -> CannotStartError | SettingsError:
    """The error for a socket that could not be bound; its text names the setting to change.

    A port in use may be free later, so that is a CannotStartError. The others last until the setting is
    changed, so they are SettingsErrors.

    Args:
        error: Raised by `bind` or `listen`.
        host: The value of the setting `{prefix}HOST`.
        port: The value of the setting `{prefix}PORT`.
        prefix: The common beginning of the two settings.
    """
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return CannotStartError(
                f"{prefix}PORT={port}: {host}:{port} is in use; stop what listens there, or choose another"
            )
        case PermissionError():
            return SettingsError(
                f"{prefix}PORT={port}: this user may not listen on {host}:{port}; choose a port from 1024 on"
            )
        case socket.gaierror():
            return SettingsError(f"{prefix}HOST={host!r}: the name can't be resolved ({error.strerror})")
    return SettingsError(f"{prefix}HOST={host!r}: this machine can't listen there ({error.strerror})")


@dataclass(frozen=True)
class Process(Generic[S]):
    """An `Env` and what a real process has in addition."""

    env: Env[S]
    readiness: admin.Readiness
    metrics: PrometheusMetrics


@dataclass(frozen=True, kw_only=True)
class Service(Generic[S]):
    """The definition of a service."""

    kind: str
    """Its kind, which is also its default name."""
    main: Callable[[Env[S]], Awaitable[None]]
    """Runs it until cancelled."""
    settings: type[S]
    metrics: Mapping[str, str]
    """Metric name → help text."""
    topics: tuple[str, ...] = ()
    """The topics it reads or writes. They are checked at the start and once a minute (`topic_check`)."""
    waits_for_topics: bool = True
    """Whether `main` starts only after the first check succeeded, instead of during it."""
    prepare: Callable[[Process[S]], AbstractAsyncContextManager[Env[S]]] | None = None
    """May replace the environment (the gateway adds its listener)."""


async def kafka(settings: Settings, name: str) -> Bus:
    """Connect to the cluster of the settings. Raises Unavailable."""
    return await KafkaBus.connect(settings, client_id=name)


def run(service: Service[S]) -> None:
    """Run a service as this process until it ends or a signal arrives, then exit."""
    wait_if_spare()
    notes: list[Note] = []
    settings = read_or_exit(service.settings, service.kind, note=notes.append)
    sys.exit(uvloop.run(_run(service, settings, notes)))


def _check_topics(service: Service[S], settings: S, faults: Faults, logger: Log) -> TopicCheck:
    """The check of a service's topics on the cluster of its settings."""
    return TopicCheck(
        service.topics, settings.partitions(), partial(describe_on_kafka, settings), faults, logger
    )


async def _run(service: Service[S], settings: S, notes: Sequence[Note] = ()) -> int:
    name = settings.name or service.kind
    logger = log.configure(name=name, form=settings.log_format, level=settings.log_level)
    for note in notes:
        logger.warning("environment variables", variables=note.variables, reason=note.why)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    readiness, metrics = admin.Readiness(), PrometheusMetrics(service.metrics)
    async with AsyncExitStack() as stack:
        routes = admin.routes(name, readiness, metrics)
        try:
            await stack.enter_async_context(admin.serving(settings.admin_host, settings.admin_port, routes))
        except OSError as error:
            failure = cannot_listen(error, settings.admin_host, settings.admin_port, prefix="TAXI_ADMIN_")
            logger.error("can't start", reason=str(failure))
            return WRONG_SETTING if isinstance(failure, SettingsError) else 1
        check = _check_topics(service, settings, readiness.faults, logger) if service.topics else None
        work = asyncio.create_task(serve(service, settings, kafka, logger, readiness, metrics, check))
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
    check: TopicCheck | None = None,
) -> None:
    """Run a service on the bus that `connect` returns, until cancelled.

    Args:
        service: The service.
        settings: Its settings.
        connect: (settings, client id) → bus. It is closed at the end.
        logger: Its log.
        readiness: Its readiness and faults.
        metrics: Its metrics.
        check: The check of its topics; None if they need no check, as on a memory bus.
    """
    name = settings.name or service.kind
    async with AsyncExitStack() as stack:
        tracer = _tracer(name, os.environ, stack, logger)
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
            offload=asyncio.to_thread,
            faults=readiness.faults,
        )
        if service.prepare is not None:
            env = await stack.enter_async_context(service.prepare(Process(env, readiness, metrics)))
        if check is not None:
            if service.waits_for_topics:
                await check.until_sound()
            first_s = REPEAT_S if service.waits_for_topics else 0
            checking = asyncio.create_task(check.repeat(first_s))
            stack.callback(checking.cancel)
        await service.main(env)


def _tracer(name: str, environ: Mapping[str, str], stack: AsyncExitStack, logger: Log) -> Tracer:
    """An exporter of spans if the environment asks for one; only then are its packages imported.

    A wrong variable does not end the service, because it may be set for all containers of a cluster.
    """
    if not any(key.startswith("OTEL_EXPORTER_OTLP_") for key in environ):
        return NoTracer()
    from taxi.runtime import otlp  # noqa: PLC0415

    try:
        tracer = otlp.tracer(name, environ)
    except ValueError as error:
        logger.error("no spans are exported", reason=str(error), do="check the OTEL_* variables")
        return NoTracer()
    if isinstance(tracer, otlp.OtlpTracer):
        stack.callback(tracer.close)
    return tracer


async def _outcome(work: "asyncio.Task[None]", logger: Log) -> int:
    """Cancel `work` if it still runs, log why it ended, and return the exit code."""
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
        except ConfigError as error:
            logger.error("can't start", reason=str(error))
            return WRONG_SETTING
        except Exception:
            logger.error("stopped by a bug", exc_info=True)
            return 1
    if stopped:
        logger.info("stopped")
        return 0
    logger.error("ended by itself")
    return 1
