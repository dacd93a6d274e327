# SPDX-License-Identifier: Apache-2.0
"""Follows `taxi.verdicts`: what verifiers say of the gateways, for clients (docs/protocol.md)."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NoReturn

from taxi.bus import Bus, BusError, Reader
from taxi.messages import Verdict, codec
from taxi.messages.codec import DecodeError
from taxi.runtime.env import Env
from taxi.topics import VERDICTS

GATEWAYS_MAX: Final = 64
TEXT_CHARS_MAX: Final = 300
_WAIT_MS: Final = 500
_PAUSE_S: Final = 2.0


async def follow_verdicts(
    env: Env[Any], partition: int, on_verdict: Callable[[str, list[dict[str, Any]]], None]
) -> NoReturn:
    """Call `on_verdict` with each new verdict, until cancelled.

    What cannot be read is skipped, and a broker that is away is waited for: no row depends on verdicts.

    Args:
        env: The service's environment.
        partition: Of the city.
        on_verdict: Called with the name of the verifier, and what it says of each gateway as the fields of a
            `verdict` message.
    """
    while True:
        try:
            await _follow(env.bus, partition, on_verdict)
        except BusError as error:
            env.log.debug("verdicts are not read", reason=str(error))
        await asyncio.sleep(_PAUSE_S)


async def _follow(
    bus: Bus, partition: int, on_verdict: Callable[[str, list[dict[str, Any]]], None]
) -> NoReturn:
    reader: Reader = await bus.reader(VERDICTS, partition, (await bus.offsets(VERDICTS, partition)).end)
    try:
        while True:
            newest: dict[str, Verdict] = {}
            for record in await reader.fetch(wait_ms=_WAIT_MS):
                try:
                    verdict: Verdict = codec.decode(VERDICTS, record)
                except DecodeError:
                    continue
                newest[verdict.verifier] = verdict
            for name, verdict in newest.items():
                on_verdict(name, shown(verdict))
    finally:
        await reader.close()


def shown(verdict: Verdict) -> list[dict[str, Any]]:
    """The gateways of a verdict as clients get them: at most GATEWAYS_MAX, with short texts."""
    return [
        {
            "gateway": one.gateway,
            "cut_ms": one.cut_ms,
            "checked": one.checked,
            "wrong": one.wrong,
            "rule": one.rule,
            "text": one.text[:TEXT_CHARS_MAX],
        }
        for one in verdict.gateways[:GATEWAYS_MAX]
    ]
