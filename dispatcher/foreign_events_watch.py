# SPDX-License-Identifier: Apache-2.0
"""Reads the city's own topic of events behind the dispatcher, for what others or the disk put there.

Recovery has put aside what came before. What comes later would otherwise be found by the next recovery only,
and by gateways, which write no dead letters.
"""

import asyncio
from contextlib import suppress
from typing import Final, NoReturn

from dispatcher.dead_letters import DeadLetters
from dispatcher.settings import Settings
from taxi.bus import BusError, Damaged, OffsetOutOfRange, Record, Unavailable
from taxi.messages import BatchClosed, codec
from taxi.messages.codec import DecodeError
from taxi.runtime.env import Env
from taxi.runtime.foreign_events import ForeignEvents
from taxi.state.batches import ANOTHER_PRODUCER
from taxi.topics import EVENTS

_WAIT_MS: Final = 500
_PAUSE_S: Final = 1.0


class ClaimedByAnotherError(Unavailable):
    """Another producer has named itself the successor of ours, though ours was not fenced."""


class ForeignEventsWatch:
    """Puts foreign and damaged events of one city aside.

    It does not notice that this dispatcher was fenced, as a successor has the same producer id. That shows at
    the next transaction, or the group says so.
    """

    def __init__(
        self,
        env: Env[Settings],
        city: str,
        partition: int,
        producer_id: int,
        letters: DeadLetters,
        start: int,
    ) -> None:
        """Reads from the offset `start` on. Events of another producer than `producer_id` are foreign."""
        self._env = env
        self._city = city
        self._partition = partition
        self._producer_id = producer_id
        self._letters = letters
        self._foreign = ForeignEvents(env, about=city)
        self.position = start
        """The next event to read. Dead letters of all before it are written."""
        self.wants_snapshot = False
        """The disk has damaged events: readers need a snapshot behind them soon."""

    async def run(self) -> NoReturn:
        """Read on, however long the broker stays away.

        Raises ClaimedByAnotherError: no reader counts our batches any more; a new recovery takes them back.
        """
        try:
            while True:
                try:
                    await self._follow()
                except ClaimedByAnotherError:
                    raise
                except OffsetOutOfRange:
                    await self._skip_what_is_gone()
                except BusError as error:
                    self._env.log.warning("events are not watched: trying again", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._foreign.clear()

    async def _follow(self) -> NoReturn:
        reader = await self._env.bus.reader(EVENTS, self._partition, self.position)
        try:
            while True:
                await self._put_aside(await reader.fetch(wait_ms=_WAIT_MS))
                self.position = reader.position
                self._foreign.check()
        finally:
            await reader.close()

    async def _skip_what_is_gone(self) -> None:
        with suppress(BusError):
            self.position = (await self._env.bus.offsets(EVENTS, self._partition)).start

    async def _put_aside(self, records: list[Record]) -> None:
        """Raises BusError: then none of it is counted, and all of it is read again."""
        errors = [error for record in records if (error := self._judge(record)) is not None]
        if not errors:
            return
        claims = [error for error in errors if self._claims_the_city(error)]
        if claims:  # it may be our rightful successor: recovery, which knows all of the log, judges that
            raise ClaimedByAnotherError(f"{claims[0]} as the successor of producer {self._producer_id}")
        await self._letters.send(errors)
        self._env.metrics.count("dispatcher_dead_letters_total", len(errors), topic=EVENTS)
        self._env.log.warning("events put aside", city=self._city, count=len(errors), first=str(errors[0]))
        foreign = sum(error.reason == ANOTHER_PRODUCER for error in errors)
        if foreign:
            self._env.metrics.count("dispatcher_passed_over_total", foreign)
            self._foreign.note(foreign)
        if any(isinstance(error.record, Damaged) and error.record.is_on_disk for error in errors):
            self.wants_snapshot = True

    def _judge(self, record: Record) -> DecodeError | None:
        """Why a record does not count; None if it does."""
        if record.writer is not None and record.writer.producer_id == self._producer_id:
            return None
        try:
            codec.decode(EVENTS, record)
        except DecodeError as error:
            return error
        return DecodeError(EVENTS, record, ANOTHER_PRODUCER)

    def _claims_the_city(self, error: DecodeError) -> bool:
        if error.reason != ANOTHER_PRODUCER:
            return False
        event = codec.decode(EVENTS, error.record)
        return isinstance(event, BatchClosed) and event.previous_producer == self._producer_id
