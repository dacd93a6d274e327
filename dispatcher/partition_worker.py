# SPDX-License-Identifier: Apache-2.0
"""Decides for one city that was taken over: gather, decide, commit, and again. Ends only by an error."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from dispatcher.batch import Decided
from dispatcher.batch_input import BatchInput
from dispatcher.city_context import CityContext
from dispatcher.core import decide
from dispatcher.dead_letters import DeadLetters
from dispatcher.foreign_events_watch import ForeignEventsWatch
from dispatcher.inputs import Inputs
from dispatcher.metrics import note
from dispatcher.progress import Progress
from dispatcher.recovery import Recovered
from dispatcher.settings import Settings
from taxi import messages as m
from taxi.bus import Outgoing, TransactionalProducer, Write
from taxi.messages import codec
from taxi.positions.dropped import UNREADABLE
from taxi.runtime.dropped import DroppedPositions
from taxi.runtime.env import Env
from taxi.state import snapshots
from taxi.topics import EVENTS, LOCATIONS, SNAPSHOTS

EARLY_S: Final = 0.1
"""Batches are at least this far apart, however urgent."""
SLOW_S: Final = 5.0
"""Deciding a batch takes a small part of a second. A process in which it takes longer is not ready."""

T = TypeVar("T")


class PartitionWorker:
    """A recovered city, its inputs and its producer."""

    def __init__(
        self,
        env: Env[Settings],
        city_context: CityContext,
        producer: TransactionalProducer,
        found: Recovered,
        inputs: Inputs,
        letters: DeadLetters,
        progress: Progress,
        dropped: DroppedPositions,
        events_watch: ForeignEventsWatch,
        check_beginning: Callable[[], Awaitable[None]],
    ) -> None:
        """`check_beginning` is `recovery.check_beginning`, called after the batch that begins the log."""
        self._env = env
        self._partition, self._roads, self._decision_config = city_context
        self._producer = producer
        self._city = found.city
        self._newest = found.newest
        self._epoch_to_begin = found.epoch_to_begin
        self._skipped = found.skipped
        self._replaced_producer_id = found.replaced_producer_id
        self._begins_log = found.begins_log
        self._check_beginning = check_beginning
        self._inputs = inputs
        self._letters = letters
        self._progress = progress
        self._dropped = dropped
        self._events_watch = events_watch
        self._newest.dropped.take()  # what recovery read is history
        self._snapshot_offset: int | None = None
        """A snapshot of the state at hand is due, and this is the offset after its batch."""
        self._snapshot_minute = found.city.now_ms // snapshots.MINUTE_MS
        self._snapshot_error: snapshots.SnapshotTooLargeError | None = None
        """Why the last snapshot was not written."""

    async def run(self) -> None:
        """Batch after batch. Raises Fenced, Unknown and what the readers raise; then the state is void."""
        loop = asyncio.get_running_loop()
        interval_s = self._env.settings.batch_interval_ms / 1000
        due_s = loop.time()  # the first batch at once: it says that the city is back
        while True:
            early_s = loop.time() + EARLY_S
            is_due = await self._inputs.gather(max(due_s, early_s), early_s)
            closed_s = loop.time()
            if is_due:
                due_s = max(due_s, closed_s - interval_s) + interval_s
            if self._inputs.positions_behind and is_due:
                due_s = closed_s  # more positions are waiting than a batch takes
            await self._close_batch()
            self._progress.record(self._inputs.commands_behind, self._inputs.positions_behind, loop.time())
            self._dropped.record(loop.time(), self._newest.dropped.take())
            self._env.metrics.observe("dispatcher_batch_seconds", loop.time() - closed_s)

    async def _close_batch(self) -> None:
        batch_input = self._inputs.take_batch_input(
            epoch_to_begin=self._epoch_to_begin,
            skipped=self._skipped,
            replaced_producer_id=self._replaced_producer_id,
        )
        await self._put_aside()
        if self._moves(batch_input):
            await self.commit(batch_input)
        self._env.health.ready()

    def _moves(self, batch_input: BatchInput) -> bool:
        """Whether the input goes past the last batch: if nothing was read, nothing can have changed."""
        city = self._city
        return (
            batch_input.epoch_to_begin is not None
            or batch_input.replaced_producer_id is not None
            or bool(batch_input.skipped)
            or (batch_input.commands_offset, batch_input.locations_offset)
            != (city.commands_offset, city.locations_offset)
            or not self._decision_config.is_active(city.policy)
        )

    async def commit(self, batch_input: BatchInput) -> None:
        """Decide the next batch from its input, and write it in one transaction."""
        self._put_the_snapshot_off()
        decided, writes = await self._off_the_loop(partial(self._decide, batch_input))
        offsets = await self._producer.transact(writes)
        if self._begins_log:
            await self._check_beginning()
            self._begins_log = False
        if self._snapshot_offset is not None:
            self._report_snapshot()
        self._epoch_to_begin, self._skipped, self._snapshot_offset = None, (), None
        self._replaced_producer_id = None
        note(self._env, self._city, decided)
        self._plan_snapshot(offsets[len(decided) - 1] + 1)

    def _decide(self, batch_input: BatchInput) -> tuple[list[Decided], list[Write]]:
        """The next batch, and what is written with it. May run in a thread: nothing else uses the state."""
        parts: list[Outgoing] = []
        if self._snapshot_offset is not None:
            try:
                parts = snapshots.pack(self._city, self._newest, self._snapshot_offset)
                self._snapshot_error = None
            except snapshots.SnapshotTooLargeError as error:
                self._snapshot_error = error
        decided = decide(self._city, self._newest, batch_input, self._roads, self._decision_config)
        writes = [Write(EVENTS, self._partition, record_of(one, self._city.city)) for one in decided]
        writes += [Write(SNAPSHOTS, self._partition, part) for part in parts]
        return decided, writes

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        """Heartbeats and requests go on meanwhile, so that a batch that takes long costs no session."""
        city, faults = self._roads.city.name, self._env.faults
        text = f"deciding a batch of {city} has taken more than {SLOW_S:.0f} s: is this machine overloaded?"
        warn = partial(faults.report, "deciding_slow", text, blocks=True, about=city)
        warning = asyncio.get_running_loop().call_later(SLOW_S, warn)
        try:
            return await self._env.offload(work)
        finally:
            warning.cancel()
            faults.clear("deciding_slow", about=city)

    def _put_the_snapshot_off(self) -> None:
        """Until the watch has read what it covers: no recovery looks there again for what needs a letter."""
        if self._snapshot_offset is not None and self._events_watch.position < self._snapshot_offset:
            self._snapshot_offset = None
            self._snapshot_minute = -1

    def _plan_snapshot(self, events_offset: int) -> None:
        """Once a minute, the state as it is committed now; it goes out with the next batch."""
        minute = self._city.now_ms // snapshots.MINUTE_MS
        if minute > self._snapshot_minute or self._events_watch.wants_snapshot:
            self._events_watch.wants_snapshot = False
            self._snapshot_minute = minute
            self._snapshot_offset = events_offset

    def _report_snapshot(self) -> None:
        city, faults = self._roads.city.name, self._env.faults
        if self._snapshot_error is None:
            faults.clear("snapshot_too_large", about=city)
            return
        text = (
            f"the state of {city} is too large for a snapshot ({self._snapshot_error}). A dispatcher "
            "that starts must read the log since the last one, and cannot once retention deletes a part"
        )
        faults.report("snapshot_too_large", text, about=city)

    async def _put_aside(self) -> None:
        unreadable = self._inputs.take_unreadable()
        await self._letters.send(unreadable)
        for error in unreadable:
            if error.topic == LOCATIONS:
                self._newest.dropped.arrived += 1
                self._newest.dropped.add(UNREADABLE, 1)
            self._env.metrics.count("dispatcher_dead_letters_total", topic=error.topic)
        if unreadable:
            first = unreadable[0]
            self._env.log.warning(
                "put dead letters aside", count=len(unreadable), first=str(first), topic=first.topic
            )


def record_of(one: Decided, city: str) -> Outgoing:
    """A decided event as it goes onto the log."""
    key = subject(one.event) or city
    return Outgoing(key.encode(), codec.encode(one.event), one.trace.headers())


def subject(event: m.Event) -> str:
    """The ride or driver that an event is about: its key. Empty: the city."""
    named = getattr(event, "ride", None) or getattr(event, "driver", None) or getattr(event, "subject", "")
    return str(named)
