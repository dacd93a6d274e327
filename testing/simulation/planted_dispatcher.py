# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the dispatcher, and into the city that it folds."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from unittest.mock import patch

import msgspec
import numpy as np

import dispatcher.commands
import dispatcher.core
import dispatcher.inputs
import dispatcher.market
import dispatcher.partition_worker
import dispatcher.recovery
import dispatcher.shell
import dispatcher.takeover
import dispatcher.timers
import taxi.state.city
import taxi.state.folds
from dispatcher import log_time
from dispatcher.batch import BatchInProgress as DecidedBatch
from dispatcher.batch_input import BatchInput
from dispatcher.city_context import CityContext
from dispatcher.policies.market import Chain
from dispatcher.recovery import ClosedSurvey, History, InputOffset, Recovered, UntilStable
from dispatcher.refused_cities import RefusedCities
from simulator.sender_clock import SenderClock
from taxi import messages as m
from taxi.bus import Bus, Claim, Fenced, Unknown, Write
from taxi.bus.memory.bus import MemoryBus, MemoryTransactionalProducer
from taxi.bus.memory.membership import MemoryClaim
from taxi.bus.memory.network import Timeout
from taxi.city_time import CityTime, Period
from taxi.positions import clock as positions_clock
from taxi.runtime.env import Env
from taxi.state import CityState, Ride, Touched
from testing.simulation.world import World, cost_s
from testing.virtual_time import Node

T = TypeVar("T")


@contextmanager
def unknown_is_success() -> Iterator[None]:
    """A commit without an answer is taken for one with."""
    transact = MemoryTransactionalProducer.transact

    async def hopeful(self: MemoryTransactionalProducer, writes: list[Write]) -> tuple[int, ...]:
        try:
            return await transact(self, writes)
        except Unknown:
            self._spent = False
            return tuple(range(len(writes)))

    with patch.object(MemoryTransactionalProducer, "transact", hopeful):
        yield


@contextmanager
def unknown_is_failure() -> Iterator[None]:
    """A commit without an answer is sent again, as a new transaction."""
    transact = MemoryTransactionalProducer.transact

    async def stubborn(self: MemoryTransactionalProducer, writes: list[Write]) -> tuple[int, ...]:
        try:
            return await transact(self, writes)
        except Unknown:
            self._spent = False
            return await transact(self, writes)

    with patch.object(MemoryTransactionalProducer, "transact", stubborn):
        yield


@contextmanager
def commit_sent_again() -> Iterator[None]:
    """EndTxn is repeated under one epoch: a late one commits what it never meant."""
    end = MemoryTransactionalProducer.commit

    async def again(self: MemoryTransactionalProducer) -> None:
        try:
            await end(self)
        except Timeout:
            await end(self)

    with patch.object(MemoryTransactionalProducer, "commit", again):
        yield


@contextmanager
def transactional_id_of_the_instance() -> Iterator[None]:
    """No dispatcher fences another."""
    start, lives = MemoryBus.transactional_producer, itertools.count()

    async def own(
        self: MemoryBus, transactional_id: str, claim: Claim | None = None
    ) -> MemoryTransactionalProducer:
        return await start(self, f"{transactional_id}-{next(lives)}", claim)

    with patch.object(MemoryBus, "transactional_producer", own):
        yield


@contextmanager
def producer_rebuilt_on_the_spot() -> Iterator[None]:
    """A fenced dispatcher fences back."""
    run_city = dispatcher.shell.run_city

    async def for_ever(*args: Any) -> None:
        while True:
            try:
                await run_city(*args)
            except Fenced:
                continue

    with patch.object(dispatcher.shell, "run_city", for_ever):
        yield


@contextmanager
def recovered(change: Callable[[Recovered], Recovered]) -> Iterator[None]:
    recover = dispatcher.recovery.recover

    async def changed(bus: Bus, *args: Any) -> Recovered:
        return change(await recover(bus, *args))

    with patch.object(dispatcher.takeover, "recover", changed):
        yield


def ids_forgotten() -> AbstractContextManager[None]:
    """Recovery forgets which commands were answered."""

    def without_ids(found: Recovered) -> Recovered:
        found.city.commands.clear()
        return found

    return recovered(without_ids)


def a_command_skipped_at_recovery() -> AbstractContextManager[None]:
    """Recovery reads on a little too late in the commands."""
    return recovered(lambda found: replace(found, commands_offset=found.commands_offset + 1))


@contextmanager
def recovery_before_fencing() -> Iterator[None]:
    """Who reads first and fences afterwards misses what the predecessor wrote between."""
    recover, start = dispatcher.recovery.recover, MemoryBus.transactional_producer
    early: dict[tuple[int, int], Recovered] = {}

    async def read_first(
        self: MemoryBus, transactional_id: str, claim: Claim | None = None
    ) -> MemoryTransactionalProducer:
        partition = int(transactional_id.rpartition(".")[2])
        early[id(self), partition] = await recover(
            self, partition, lambda: "0123456789abcdef", lambda topic: self.offsets(topic, partition)
        )
        return await start(self, transactional_id, claim)

    async def what_was_read(bus: MemoryBus, partition: int, *_: Any) -> Recovered:
        return early.pop((id(bus), partition))

    with (
        patch.object(MemoryBus, "transactional_producer", read_first),
        patch.object(dispatcher.takeover, "recover", what_was_read),
    ):
        yield


@contextmanager
def recovery_from_a_prefix() -> Iterator[None]:
    """The last stable offset is taken for the end of the log, whatever is committed behind it."""

    def at_once(env: Env[Any], city_context: CityContext) -> UntilStable:
        return lambda topic: env.bus.offsets(topic, city_context.partition)

    with patch.object(dispatcher.takeover, "stable_end_waiter", at_once):
        yield


@contextmanager
def a_zombie_confirms_nothing() -> Iterator[None]:
    """Who wakes between its assignment and its producer's start believes in what it was given."""

    async def believe(_: MemoryClaim) -> None:
        return None

    with (
        patch.object(MemoryClaim, "confirm", believe),
        patch.object(MemoryClaim, "holds", lambda _: True),
    ):
        yield


@contextmanager
def a_gap_in_the_fixes_not_recorded() -> Iterator[None]:
    """Recovery goes on with the fixes that retention left, as if there had been no others."""
    restore = dispatcher.recovery.restore_positions

    async def quietly(bus: Bus, partition: int, history: History, found: InputOffset) -> InputOffset:
        restored = await restore(bus, partition, history, found)
        return replace(restored, skipped=found.skipped)

    with patch.object(dispatcher.recovery, "restore_positions", quietly):
        yield


@contextmanager
def a_recreated_topic_not_noticed() -> Iterator[None]:
    """Where the new topic has grown past the recorded offset, reading simply goes on."""

    async def same(*_: Any) -> bool:
        return True

    with patch.object(dispatcher.recovery, "is_same_topic", same):
        yield


@contextmanager
def commands_in_set_order() -> Iterator[None]:
    """A batch's commands pass through a set: their order is an accident of hashing."""
    commit = dispatcher.partition_worker.PartitionWorker.commit

    async def shuffled(self: dispatcher.partition_worker.PartitionWorker, batch_input: BatchInput) -> None:
        by_id = {read.command.command_id: read for read in batch_input.commands}
        await commit(self, replace(batch_input, commands=tuple(by_id[name] for name in set(by_id))))

    with patch.object(dispatcher.partition_worker.PartitionWorker, "commit", shuffled):
        yield


@contextmanager
def a_wrong_clock_is_believed() -> Iterator[None]:
    """A simulator sends what its own clock says."""
    with patch.object(SenderClock, "learn", lambda *_: None):
        yield


@contextmanager
def one_position_moves_log_time() -> Iterator[None]:
    """Log time is the greatest append time, whatever its sender."""
    with patch.object(positions_clock, "ALONE_MS_MAX", 10**12):
        yield


@contextmanager
def one_command_moves_log_time() -> Iterator[None]:
    """The same of commands."""
    with patch.object(log_time, "COMMANDS_MS_MAX", 10**12):
        yield


@contextmanager
def a_clock_set_back_not_noticed() -> Iterator[None]:
    """Log time does not advance until the clock is where it was."""
    with patch.object(positions_clock, "BACK_MS_MIN", 10**12):
        yield


@contextmanager
def wall_clock_decides() -> Iterator[None]:
    """Time limits by the process's clock instead of the log's."""
    commit = dispatcher.partition_worker.PartitionWorker.commit

    async def by_clock(self: dispatcher.partition_worker.PartitionWorker, batch_input: BatchInput) -> None:
        await commit(self, replace(batch_input, heard_ms=self._env.now_ms()))

    with patch.object(dispatcher.partition_worker.PartitionWorker, "commit", by_clock):
        yield


@contextmanager
def a_large_batch_blocks_the_heartbeat() -> Iterator[None]:
    """All that is waiting is one batch, and the loop decides it: nothing else is done meanwhile."""

    async def on_the_loop(self: World, node: Node, work: Callable[[], T]) -> T:
        result = work()
        self.loop.freeze(node)
        self.loop.in_world(cost_s(result), self.loop.thaw, node)
        await asyncio.sleep(0)
        return result

    with (
        patch.object(dispatcher.inputs, "COMMANDS_MAX", 1_000_000),
        patch.object(World, "offload", on_the_loop),
    ):
        yield


def put_off_for_good() -> AbstractContextManager[Any]:
    """A command that came too early is remembered: its repeat gets no answer."""
    return patch.object(taxi.state.city, "NOT_YET", frozenset())


@contextmanager
def far_away_is_near() -> Iterator[None]:
    """A driver is at the street that is nearest, however far that is."""
    cars = dispatcher.market.cars_of

    def anywhere(batch: DecidedBatch, numbers: list[int]) -> Any:
        found, is_on_map = cars(batch, numbers)
        return found, np.ones_like(is_on_map)

    with patch.object(dispatcher.market, "cars_of", anywhere):
        yield


@contextmanager
def limits_overtake_commands() -> Iterator[None]:
    """A dispatcher with unread commands ends rides whose drivers reported in time."""
    run_timers = dispatcher.timers.run_timers

    def at_once(batch: DecidedBatch, batch_input: BatchInput) -> None:
        run_timers(batch, replace(batch_input, behind=False, commands=()))

    with patch.object(dispatcher.core, "run_timers", at_once):
        yield


@contextmanager
def half_a_chain() -> Iterator[None]:
    """The last move of a chain is left out, and no fold complains."""
    order = dispatcher.core.emit_chain

    def half(batch: DecidedBatch, chain: Chain, number: int) -> None:
        emit, left = batch.emit, len(chain.moves) - 1

        def while_any_left(kind: type[m.Event], **fields: Any) -> None:
            nonlocal left
            if left > 0 or len(chain.moves) == 1:
                emit(kind, **fields)
            left -= 1

        with patch.object(batch, "emit", while_any_left):
            order(batch, chain, number)
        batch.city.displaced.clear()

    with patch.object(dispatcher.core, "emit_chain", half):
        yield


def _folds(change: Callable[[CityState, Any], None]) -> AbstractContextManager[Any]:
    """`change` what a ride that waits again has become."""
    given_back = taxi.state.folds.FOLDS[m.RideReleased]

    def changed(city: CityState, event: Any) -> Touched:
        touched = given_back(city, event)
        change(city, event)
        return touched

    again = (m.RideReleased, m.OfferDeclined, m.OfferExpired)
    return patch.dict(taxi.state.folds.FOLDS, dict.fromkeys(again, changed))


def ban_forgotten() -> AbstractContextManager[Any]:
    """Who refused a ride may be given it again."""
    return _folds(lambda city, event: city.rides[event.ride].refused.clear())


def age_lost() -> AbstractContextManager[Any]:
    """A ride that waits again queues at the end."""

    def rejuvenate(city: CityState, event: Any) -> None:
        city.rides[event.ride].requested_ms = event.at_ms

    return _folds(rejuvenate)


@contextmanager
def refused_at_any_time() -> Iterator[None]:
    """An order may be refused for ever."""
    refuse = dispatcher.commands.refuse_order

    def for_ever(batch: DecidedBatch, ride: Ride) -> None:
        with patch.object(batch, "limits", msgspec.structs.replace(batch.limits, refuse_ms=10**9)):
            refuse(batch, ride)

    with patch.object(dispatcher.commands, "refuse_order", for_ever):
        yield


def people_wait_by_the_clock() -> AbstractContextManager[Any]:
    """A time limit is added to log time, however fast people live."""
    return patch.object(CityTime, "after", lambda _, log_ms, lasts_ms: log_ms + lasts_ms)


@contextmanager
def a_change_of_speed_counts_back() -> Iterator[None]:
    """What lasted until now is counted at the speed of now."""
    changed = CityTime.changed

    def all_of_it(self: CityTime, log_ms: int, speed: int) -> list[Period]:
        periods = changed(self, log_ms, speed)
        return [periods[0]._replace(speed=speed)] if periods else []

    with patch.object(CityTime, "changed", all_of_it):
        yield


def a_scenario_lasts_by_the_clock() -> AbstractContextManager[object]:
    """A scenario ends when its time has passed by the clock, however fast people live."""

    def by_the_clock(batch: DecidedBatch) -> None:
        for name, scenario in sorted(batch.city.scenarios.items()):
            if scenario.since_ms + scenario.lasts_s * 1000 <= batch.now_ms:
                batch.emit(m.ScenarioEnded, scenario=name)

    return patch.object(dispatcher.timers, "_end_scenarios", by_the_clock)


def another_citys_log_is_taken_over() -> AbstractContextManager[object]:
    """A dispatcher does not look whose log it is."""
    return patch.object(dispatcher.takeover, "is_another_city", lambda _log, _own: False)


def a_useless_member_stays_in_the_group() -> AbstractContextManager[object]:
    """A dispatcher that can decide for none of its cities keeps them."""
    return patch.object(RefusedCities, "add", lambda *_: None)


def a_lost_beginning_of_a_producer_is_not_noticed() -> AbstractContextManager[object]:
    """A recovery looks only at the batches that its city's last known producer wrote."""
    survey = dispatcher.recovery._survey_closed

    async def of_no_one(*args: Any) -> ClosedSurvey:
        return replace(await survey(*args), is_own=False)

    return patch.object(dispatcher.recovery, "_survey_closed", of_no_one)


@contextmanager
def numbers_start_over_after_a_loss() -> Iterator[None]:
    """A city whose events were lost begins with the first batch and the first input."""
    lost = History.lost

    def forgetful(*args: Any) -> History:
        return replace(lost(*args), city=CityState())

    with patch.object(History, "lost", forgetful):
        yield


@contextmanager
def snapshots_are_not_used() -> Iterator[None]:
    """Recovery reads the events from the beginning, and gives up what a snapshot covers."""

    async def no_snapshot(*_: object) -> None:
        return None

    with patch.object(dispatcher.recovery, "_newest_snapshot", no_snapshot):
        yield
