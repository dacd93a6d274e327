# SPDX-License-Identifier: Apache-2.0
"""One city in one dispatcher's hands: gather, decide, commit, and again. Ends only by an error."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from dispatcher.batch import Decided
from dispatcher.core import decide
from dispatcher.cut import Cut
from dispatcher.inputs import Inputs
from dispatcher.letters import DeadLetters
from dispatcher.notes import forget, note
from dispatcher.recovery import Recovered, recover
from dispatcher.settings import Settings
from dispatcher.territory import Territory
from taxi import codec, snapshots
from taxi import messages as m
from taxi.bus import Claim, Outgoing, TransactionalProducer, Write
from taxi.runtime.env import Env
from taxi.topics import EVENTS, SNAPSHOTS

EARLY_S: Final = 0.1
"""Batches are at least this far apart, however urgent."""


class Desk:
    """A recovered city, its inputs and its producer."""

    def __init__(
        self,
        env: Env[Settings],
        territory: Territory,
        producer: TransactionalProducer,
        found: Recovered,
        inputs: Inputs,
        letters: DeadLetters,
    ) -> None:
        self._env = env
        self._partition, self._roads, self._mandate = territory
        self._producer = producer
        self._city = found.city
        self._newest = found.newest
        self._epoch = found.epoch
        self._skipped = found.skipped
        self._inputs = inputs
        self._letters = letters
        self._snapshot: list[Outgoing] = []
        self._snapshot_minute = found.city.now_ms // snapshots.MINUTE_MS

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
            await self._close_batch()
            self._env.metrics.observe("dispatcher_batch_seconds", loop.time() - closed_s)

    async def _close_batch(self) -> None:
        cut = self._inputs.cut(epoch=self._epoch, skipped=self._skipped)
        await self._put_aside()
        if self._moves(cut):
            await self._commit(cut)
        self._env.health.ready()

    def _moves(self, cut: Cut) -> bool:
        """Whether the cut goes past the last batch: if nothing at all was read, nothing can have changed."""
        city = self._city
        return (
            cut.epoch is not None
            or bool(cut.skipped)
            or (cut.commands_offset, cut.locations_offset) != (city.commands_offset, city.locations_offset)
            or not self._mandate.is_active(city.policy)
        )

    async def _commit(self, cut: Cut) -> None:
        decided = decide(self._city, self._newest, cut, self._roads, self._mandate)
        writes = [Write(EVENTS, self._partition, record_of(one, self._city.city)) for one in decided]
        writes += [Write(SNAPSHOTS, self._partition, part) for part in self._snapshot]
        offsets = await self._producer.transact(writes)
        self._epoch, self._skipped, self._snapshot = None, (), []
        note(self._env, self._city, decided)
        self._prepare_snapshot(offsets[len(decided) - 1] + 1)

    def _prepare_snapshot(self, events_offset: int) -> None:
        """Once a minute, the state as it is committed now; it goes out with the next batch."""
        minute = self._city.now_ms // snapshots.MINUTE_MS
        if minute > self._snapshot_minute:
            self._snapshot_minute = minute
            self._snapshot = snapshots.pack(self._city, self._newest, events_offset)

    async def _put_aside(self) -> None:
        unreadable = self._inputs.take_unreadable()
        await self._letters.send(unreadable)
        for error in unreadable:
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


async def run_city(env: Env[Settings], claim: Claim, territory: Territory) -> None:
    """Take a city over: fence the predecessor first, then read, then decide until an error ends it.

    Raises Fenced also where the claim is no more: whoever slept between its assignment and here must not
    fence the one who has the city now.
    """
    partition = territory.partition
    async with AsyncExitStack() as stack:
        producer = await env.bus.transactional_producer(f"taxi.dispatcher.{partition}", claim)
        stack.push_async_callback(producer.close)
        stack.callback(forget, env, territory.city)
        found = await recover(env.bus, partition, env.new_id)
        env.log.info(
            "city recovered",
            city=territory.city,
            batch=found.city.batch,
            drivers=len(found.city.drivers),
            epoch=found.epoch.reason if found.epoch is not None else "goes on",
        )
        inputs = await Inputs.open(env.bus, partition, found)
        stack.push_async_callback(inputs.close)
        letters = DeadLetters(env.bus, partition, env.settings.name or "dispatcher")
        stack.push_async_callback(letters.close)
        await Desk(env, territory, producer, found, inputs, letters).run()
