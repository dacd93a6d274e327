# SPDX-License-Identifier: Apache-2.0
"""One city in one dispatcher's hands: gather, decide, commit, and again. Ends only by an error."""

import asyncio
from collections import Counter

from dispatcher.batch import Decided
from dispatcher.core import Mandate, decide
from dispatcher.cut import Cut
from dispatcher.inputs import Inputs
from dispatcher.recovery import Recovered, recover
from dispatcher.settings import Settings
from taxi import codec, snapshots
from taxi import messages as m
from taxi.bus import Outgoing, Producer, TransactionalProducer, Write
from taxi.roads import RoadNetwork
from taxi.runtime.env import Env
from taxi.states import RideState
from taxi.topics import DEAD_LETTERS, EVENTS, SNAPSHOTS


class Desk:
    """A recovered city, its inputs and its producer."""

    def __init__(
        self,
        env: Env[Settings],
        partition: int,
        roads: RoadNetwork,
        mandate: Mandate,
        producer: TransactionalProducer,
        found: Recovered,
        inputs: Inputs,
    ) -> None:
        self._env = env
        self._partition = partition
        self._roads = roads
        self._mandate = mandate
        self._producer = producer
        self._city = found.city
        self._newest = found.newest
        self._epoch = found.epoch
        self._skipped = found.skipped
        self._inputs = inputs
        self._snapshot: list[Outgoing] = []
        self._snapshot_minute = found.city.now_ms // snapshots.MINUTE_MS
        self._letters: Producer | None = None

    async def run(self) -> None:
        """Batch after batch. Raises Fenced, Unknown and what the readers raise; then the state is void."""
        loop = asyncio.get_running_loop()
        interval_s = self._env.settings.batch_interval_ms / 1000
        closed_s = loop.time() - interval_s  # the first batch at once: it says that the city is back
        due_s = closed_s
        while True:
            await self._inputs.gather(due_s + interval_s - closed_s, since_s=closed_s)
            closed_s = loop.time()
            if closed_s >= due_s + interval_s:
                due_s = max(due_s + interval_s, closed_s - interval_s)
            cut = self._inputs.cut(epoch=self._epoch, skipped=self._skipped)
            await self._send_dead_letters()
            if self._moves(cut):
                await self._commit(cut)
            self._env.metrics.observe("dispatcher_batch_seconds", loop.time() - closed_s)

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
        writes = [self._write(one) for one in decided]
        writes += [Write(SNAPSHOTS, self._partition, part) for part in self._snapshot]
        offsets = await self._producer.transact(writes)
        self._epoch, self._skipped, self._snapshot = None, (), []
        self._note(decided)
        self._prepare_snapshot(offsets[len(decided) - 1] + 1)

    def _write(self, one: Decided) -> Write:
        headers = one.trace.headers() if one.trace is not None else ()
        key = str(getattr(one.event, "ride", None) or getattr(one.event, "driver", None) or self._city.city)
        return Write(EVENTS, self._partition, Outgoing(key.encode(), codec.encode(one.event), headers))

    def _prepare_snapshot(self, events_offset: int) -> None:
        """Once a minute, the state as it is committed now; it goes out with the next batch."""
        minute = self._city.now_ms // snapshots.MINUTE_MS
        if minute > self._snapshot_minute:
            self._snapshot_minute = minute
            self._snapshot = snapshots.pack(self._city, self._newest, events_offset)

    async def _send_dead_letters(self) -> None:
        """Before the batch that passes them, so that none is lost; a crash may repeat one."""
        letters = self._inputs.take_dead_letters()
        if not letters:
            return
        if self._letters is None:
            self._letters = await self._env.bus.producer(acks="all")
        await self._letters.send(DEAD_LETTERS, self._partition, letters)
        self._env.metrics.count("dispatcher_dead_letters_total", len(letters))
        self._env.log.warning("could not read messages", dead_letters=len(letters))

    def _note(self, decided: list[Decided]) -> None:
        """Count and trace what was committed."""
        metrics, now_ms = self._env.metrics, self._env.now_ms()
        for kind, count in sorted(Counter(m.tag_of(one.event) for one in decided).items()):
            metrics.count("dispatcher_events_total", count, type=kind)
        waiting = sum(ride.state is RideState.REQUESTED for ride in self._city.rides.values())
        metrics.gauge("dispatcher_waiting_rides", waiting)
        metrics.gauge("dispatcher_lag_seconds", max(0, now_ms - self._city.now_ms) / 1000)
        for event, trace, parent in decided:
            if trace is not None:
                self._env.tracer.record(m.tag_of(event), trace, parent, event.at_ms, now_ms)

    async def close(self) -> None:
        """Let go of what this desk opened itself."""
        if self._letters is not None:
            await self._letters.close()


async def run_city(env: Env[Settings], partition: int, roads: RoadNetwork, mandate: Mandate) -> None:
    """Take a city over: fence the predecessor first, then read, then decide until an error ends it."""
    producer = await env.bus.transactional_producer(f"taxi.dispatcher.{partition}")
    inputs: Inputs | None = None
    desk: Desk | None = None
    try:
        found = await recover(env.bus, partition, env.new_id)
        env.log.info(
            "city recovered", partition=partition, batch=found.city.batch, drivers=len(found.city.drivers)
        )
        name = env.settings.name or "dispatcher"
        offsets = (found.commands_offset, found.locations_offset)
        inputs = await Inputs.open(env.bus, partition, *offsets, name)
        desk = Desk(env, partition, roads, mandate, producer, found, inputs)
        await desk.run()
    finally:
        for opened in (desk, inputs, producer):
            if opened is not None:
                await opened.close()
