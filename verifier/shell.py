# SPDX-License-Identifier: Apache-2.0
"""The verifier's life: read the log, follow each gateway, compare, and write what was found."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from taxi import messages as m
from taxi import topics
from taxi.bus import BusError, Outgoing, Producer
from taxi.messages import codec
from taxi.runtime.env import Env
from taxistream.tools.loadtest.address import socket_url
from taxistream.tools.loadtest.reading import Reading
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.errors import BrokenLogError
from verifier.gateway_check import GatewayCheck
from verifier.gateway_client import GatewayClient
from verifier.settings import Settings

METRICS: Final = {
    "verifier_gateways": "Gateways that are compared with the log.",
    "verifier_updates_checked_total": "Updates that were compared with the log, by gateway.",
    "verifier_updates_wrong_total": "Updates that are not as the log says, by gateway and rule.",
    "verifier_age_seconds": "How long ago the newest comparison of any gateway was.",
}
DIFFERS: Final = "differs_from_log"
BLIND: Final = "log_not_folded"
UNCHECKED: Final = "gateways_unchecked"
_TICK_S: Final = 0.1
_PAUSE_S: Final = 0.1
"""Between two looks at the log: a verdict may be later by as much."""
_TRY_ANOTHER_S: Final = 1.0
"""How often a client that has found the same gateway as another one tries again."""
_LATE_S: Final = 5.0
"""A gateway without a comparison for so long is unchecked."""
_RETRY_S: Final = 5.0
_KEPT_MS: Final = 120_000
_KEPT_PER_DRIVER: Final = 240
"""Positions of four minutes: after a half is forgotten, a row's whole life is left."""


async def main(env: Env[Settings]) -> None:
    """Run until cancelled. Where the log cannot be folded it says so, and tries again."""
    while True:
        try:
            await Verifier(env).run()
        except* BrokenLogError as errors:
            text = f"the log can't be folded, so nothing is compared with it: {errors.exceptions[0]}"
            env.faults.report(BLIND, f"{text}. `taxi audit` tells more", blocks=True)
        except* BusError as errors:
            env.log.warning("broker away", reason=str(errors.exceptions[0]))
            env.health.not_ready("no broker")
        await asyncio.sleep(_RETRY_S)


class Verifier:
    """One reading of the log, and a client for each gateway."""

    def __init__(self, env: Env[Settings]) -> None:
        settings = env.settings
        self._env = env
        own = settings.own()
        self._partition = own.partition
        self._name = settings.name or "verifier"
        self._interval_s = settings.check_interval_ms / 1000
        self._clients = [
            GatewayClient(
                socket_url(settings.gateway_url),
                GatewayCheck(self._interval_s),
                number=number + 1,
                city=own.name,
                token=settings.client_token or None,
            )
            for number in range(settings.gateways)
        ]
        self._tried_s = 0.0
        self._checked_s: dict[str, float] = {}
        """Gateway → when it was compared last."""
        self._is_complete = False
        """Whether every gateway is compared."""
        self._complete_s = 0.0
        """When that was so last."""

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            BrokenLogError: The log can't be folded, or its beginning is gone.
            BusError: The broker did not answer.
        """
        env = self._env
        env.health.not_ready("reading the log")
        async with AsyncExitStack() as stack:
            oracle = partial(OracleCity, kept_ms=_KEPT_MS, kept_per_driver=_KEPT_PER_DRIVER)
            reading = await Reading.begin(env.bus, self._partition, oracle)
            stack.push_async_callback(reading.close)
            await reading.catch_up(env.bus)
            env.faults.clear(BLIND)
            producer = await env.bus.producer(acks="leader")
            stack.push_async_callback(producer.close)
            for client in self._clients:
                client.start()
                stack.callback(client.stop)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(reading.follow(_PAUSE_S))
                tasks.create_task(self._judge(reading.city))
                tasks.create_task(self._publish(producer))

    async def _judge(self, city: OracleCity) -> None:
        """Compare each sample as soon as the log was read that far."""
        loop = asyncio.get_running_loop()
        self._complete_s = loop.time()
        while True:
            now_s = loop.time()
            for client in self._clients:
                client.tick(now_s)
                if client.check.judge(city, now_s):
                    self._note(client.check.result, now_s)
            if now_s - self._tried_s > _TRY_ANOTHER_S:
                self._tried_s = now_s
                self._spread()
            await asyncio.sleep(_TICK_S)

    def _note(self, result: m.CheckedGateway | None, now_s: float) -> None:
        assert result is not None
        env = self._env
        self._checked_s[result.gateway] = now_s
        env.metrics.count("verifier_updates_checked_total", gateway=result.gateway)
        if not result.rule:
            env.faults.clear(DIFFERS, about=result.gateway)
            return
        env.metrics.count("verifier_updates_wrong_total", gateway=result.gateway, rule=result.rule)
        text = f"{result.gateway} does not send what the log says ({result.rule}): {result.text}"
        env.faults.report(DIFFERS, text, about=result.gateway)

    def _spread(self) -> None:
        """One client for each gateway: of two that follow the same, one connects again."""
        followed: set[str] = set()
        for client in self._clients:
            if client.gateway in followed:
                client.try_another()
            elif client.gateway:
                followed.add(client.gateway)

    async def _publish(self, producer: Producer) -> None:
        """Write each verdict, and say whether every gateway is compared."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval_s)
            now_s = loop.time()
            verdict = m.Verdict(verifier=self._name, at_ms=self._env.now_ms(), gateways=self._results(now_s))
            self._report(verdict.gateways, now_s)
            record = Outgoing(self._name.encode(), codec.encode(verdict))
            try:
                await producer.send(topics.VERDICTS, self._partition, [record])
            except BusError as error:
                self._env.log.warning("a verdict was not written", reason=str(error))

    def _results(self, now_s: float) -> list[m.CheckedGateway]:
        """The newest result of each gateway that is followed and was compared lately."""
        found = {
            result.gateway: result
            for client in self._clients
            if (result := client.check.result) is not None
            and now_s - self._checked_s.get(result.gateway, now_s - _LATE_S) < _LATE_S
        }
        return [found[name] for name in sorted(found)]

    def _report(self, results: Sequence[m.CheckedGateway], now_s: float) -> None:
        env, wanted = self._env, len(self._clients)
        env.metrics.gauge("verifier_gateways", len(results))
        newest_s = max(self._checked_s.values(), default=now_s)
        env.metrics.gauge("verifier_age_seconds", round(now_s - newest_s, 3))
        if len(results) == wanted:
            if not self._is_complete:
                env.log.info("every gateway is compared", gateways=[one.gateway for one in results])
            self._is_complete, self._complete_s = True, now_s
            env.faults.clear(UNCHECKED)
            env.health.ready()
            return
        self._is_complete = False
        if results:
            env.health.ready()
        else:
            env.health.not_ready("no gateway is compared with the log")
        if now_s - self._complete_s < _LATE_S:
            return
        refusals = "; ".join(sorted({client.is_refused for client in self._clients if client.is_refused}))
        text = (
            f"{len(results)} of {wanted} gateways at {env.settings.gateway_url} are compared with the log"
            + (f" ({refusals})" if refusals else "")
            + ": check that they run, and TAXI_GATEWAYS"
        )
        env.faults.report(UNCHECKED, text)
