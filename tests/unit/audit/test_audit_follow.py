# SPDX-License-Identifier: Apache-2.0
"""`taxi audit --follow`: the same judgement while the log grows."""

import asyncio
from collections.abc import Callable

import pytest

from taxi.bus import Unavailable
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, MemoryLimits
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.shell import follow
from tests.unit.audit.harness import HandMadeLog, asked, event, honest_log


class Reading:
    """An audit that follows a log."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._batches = 0
        self._more = asyncio.Event()
        bus = MemoryBus(broker, limits=MemoryLimits(give_up_s=0.5))
        self.task = asyncio.create_task(follow(bus, [0], self._take))

    def _take(self, found: AuditFindings) -> None:
        self._batches = found.batches
        self._more.set()

    async def until(self, batches: int) -> None:
        """Raises TimeoutError where it does not get so far."""
        async with asyncio.timeout(10):
            while self._batches < batches:
                self._more.clear()
                await self._more.wait()


def followed(grow: Callable[[HandMadeLog], None]) -> AuditFindings:
    """What is found of an honest log and what it grew by after all of it was read."""

    async def scenario() -> AuditFindings:
        log = honest_log()
        broker = log.broker()
        reading = Reading(broker)
        await reading.until(log.number)
        grow(log)
        log.write_to(broker)
        await reading.until(log.number)
        reading.task.cancel()
        return await reading.task

    return asyncio.run(scenario())


def test_a_wrong_answer_while_it_reads_is_found() -> None:
    found = followed(lambda log: log.batch(say=(asked("GoOnline", "3:on"),)))
    assert set(found.violations) == {"command_unanswered"}


def test_what_is_put_aside_while_it_reads_has_its_letter() -> None:
    def put_aside(log: HandMadeLog) -> None:
        for _ in range(2):
            log.letters.append(event("DeadLetter", topic="taxi.commands", offset=len(log.commands)))
            log.batch(say=(b"rubbish",))

    found = followed(put_aside)
    assert found.batches == honest_log().number + 2
    assert found.violations == {}


def test_a_log_that_can_not_be_read_any_more_is_said_in_one_error() -> None:
    async def scenario() -> None:
        log = honest_log()
        broker = log.broker()
        reading = Reading(broker)
        await reading.until(log.number)
        broker.harshness.down = True
        async with asyncio.timeout(30):
            with pytest.raises(Unavailable):
                await reading.task

    asyncio.run(scenario())
