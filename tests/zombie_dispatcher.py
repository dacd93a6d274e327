# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.zombie_dispatcher [confirmed|believing|unhurried]`: a real dispatcher that stops itself.

It stops (SIGSTOP) between its first assignment and the start of that city's producer, with everything
ready to be sent: the one moment in which a process from outside could hardly hit it. `confirmed`: a moment
later, when the group has just confirmed its claim. `believing`: it does not ask when it wakes, as one would
that forgot to; a test that can't tell this one from the others proves nothing. `unhurried`: it does not stop,
and sends heartbeats so rarely that it notices a fence before the group takes its city back.
"""

import os
import signal
import sys
from typing import Any

from dispatcher.__main__ import SERVICE
from taxi.bus import Claim
from taxi.bus.kafka import bus as kafka
from taxi.bus.kafka.bus import KafkaBus
from taxi.bus.kafka.group import KafkaClaim
from taxi.bus.kafka.limits import KafkaLimits
from taxi.bus.kafka.link import KafkaLink
from taxi.runtime.service import run

_start, _reach, _confirm = KafkaBus.transactional_producer, KafkaLink.reach_coordinator, KafkaClaim.confirm
_PATIENT = KafkaLimits(give_up_s=60.0)
"""Asleep, it gives nothing up: only its claim can keep it from what it was about to do."""
_UNHURRIED = KafkaLimits(heartbeat_ms=2_000)
_slept: list[bool] = []


def _sleep_once() -> None:
    if not _slept:
        _slept.append(True)
        os.kill(os.getpid(), signal.SIGSTOP)


async def _reach_and_sleep(self: KafkaLink, transactional_id: str) -> None:
    await _reach(self, transactional_id)
    _sleep_once()


async def _confirm_and_sleep(self: KafkaClaim) -> None:
    await _confirm(self)
    _sleep_once()


async def _start_without_a_claim(self: KafkaBus, transactional_id: str, claim: Claim | None = None) -> Any:
    del claim
    return await _start(self, transactional_id)


if __name__ == "__main__":
    limits = _UNHURRIED if "unhurried" in sys.argv else _PATIENT
    setattr(kafka, "KafkaLimits", lambda: limits)  # noqa: B010 - not exported, and taken over on purpose
    if "unhurried" in sys.argv:
        run(SERVICE)
    if "confirmed" in sys.argv:
        KafkaClaim.confirm = _confirm_and_sleep  # type: ignore[method-assign]
    else:
        KafkaLink.reach_coordinator = _reach_and_sleep  # type: ignore[method-assign]
    if "believing" in sys.argv:
        KafkaBus.transactional_producer = _start_without_a_claim  # type: ignore[method-assign]
    run(SERVICE)
