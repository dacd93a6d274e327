# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the real services, one at a time: the simulation must find each.

Each is a mistake that somebody could make, as small as they come. A checker that finds none of them
proves nothing by finding nothing in the real code.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np

import dispatcher.commands
import dispatcher.core
import dispatcher.desk
import dispatcher.recovery
import dispatcher.shell
import gateway.boot
import gateway.city.blocks
import gateway.city.drivers
import gateway.city.view
import gateway.shell
import gateway.stream.drain
import gateway.stream.fanout
import gateway.stream.hub
import taxi.city
from dispatcher.batch import Batch as DecidedBatch
from dispatcher.cut import Cut
from dispatcher.policies.market import Chain
from dispatcher.recovery import Recovered
from gateway.city.succession import Succession, succession
from gateway.stream.session import Session, Wish
from taxi import codec, fixes
from taxi import messages as m
from taxi.batches import Batch
from taxi.bus import Bus, Claim, Fenced, Record, Unknown, Write
from taxi.bus.memory import MemoryBus, MemoryTransactionalProducer
from taxi.bus.memory_membership import MemoryClaim
from taxi.bus.memory_network import Timeout
from taxi.city import CityState, Ride, Touched
from taxi.topics import EVENTS

Plant = Callable[[], AbstractContextManager[object]]


# --- dispatcher -------------------------------------------------------------------------------------


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
    end = MemoryTransactionalProducer._end

    async def again(self: MemoryTransactionalProducer) -> None:
        try:
            await end(self)
        except Timeout:
            await end(self)

    with patch.object(MemoryTransactionalProducer, "_end", again):
        yield


@contextmanager
def transactional_id_of_the_instance() -> Iterator[None]:
    """Nobody fences anybody."""
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
    run_city = dispatcher.desk.run_city

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

    with patch.object(dispatcher.desk, "recover", changed):
        yield


def ids_forgotten() -> AbstractContextManager[None]:
    """Recovery forgets which commands were answered."""

    def forget(found: Recovered) -> Recovered:
        found.city.commands.clear()
        return found

    return recovered(forget)


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
        early[id(self), partition] = await recover(self, partition, lambda: "0123456789abcdef")
        return await start(self, transactional_id, claim)

    async def what_was_read(bus: MemoryBus, partition: int, *_: Any) -> Recovered:
        return early.pop((id(bus), partition))

    with (
        patch.object(MemoryBus, "transactional_producer", read_first),
        patch.object(dispatcher.desk, "recover", what_was_read),
    ):
        yield


@contextmanager
def a_zombie_asks_nobody() -> Iterator[None]:
    """Who wakes between its assignment and its producer's start believes in what it was given."""

    async def believe(_: MemoryClaim) -> None:
        return None

    with (
        patch.object(MemoryClaim, "confirm", believe),
        patch.object(MemoryClaim, "holds", lambda _: True),
    ):
        yield


@contextmanager
def a_gap_in_the_fixes_not_told() -> Iterator[None]:
    """Recovery goes on with the fixes that retention left, as if there had been no others."""
    know = dispatcher.recovery._know_the_fixes

    async def quietly(bus: Bus, partition: int, found: Recovered, start: int) -> Recovered:
        told = await know(bus, partition, found, start)
        return replace(told, skipped=found.skipped)

    with patch.object(dispatcher.recovery, "_know_the_fixes", quietly):
        yield


@contextmanager
def a_topic_made_anew_not_noticed() -> Iterator[None]:
    """Where the new topic has grown past the recorded offset, reading simply goes on."""

    async def same(*_: Any) -> bool:
        return True

    with patch.object(dispatcher.recovery, "_same", same):
        yield


@contextmanager
def commands_in_set_order() -> Iterator[None]:
    """A batch's commands pass through a set: their order is an accident of hashing."""
    commit = dispatcher.desk.Desk._commit

    async def shuffled(self: dispatcher.desk.Desk, cut: Cut) -> None:
        by_id = {read.command.command_id: read for read in cut.commands}
        await commit(self, replace(cut, commands=tuple(by_id[name] for name in set(by_id))))

    with patch.object(dispatcher.desk.Desk, "_commit", shuffled):
        yield


@contextmanager
def wall_clock_decides() -> Iterator[None]:
    """Time limits by the process's clock instead of the log's."""
    commit = dispatcher.desk.Desk._commit

    async def by_clock(self: dispatcher.desk.Desk, cut: Cut) -> None:
        await commit(self, replace(cut, heard_ms=self._env.now_ms()))

    with patch.object(dispatcher.desk.Desk, "_commit", by_clock):
        yield


@contextmanager
def half_a_chain() -> Iterator[None]:
    """The last move of a chain is left out, and no fold complains."""
    order = dispatcher.core._order

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

    with patch.object(dispatcher.core, "_order", half):
        yield


def _folds(change: Callable[[CityState, Any], None]) -> AbstractContextManager[Any]:
    """`change` what a ride that waits again has become."""
    given_back = taxi.city._FOLDS[m.RideReleased]

    def changed(city: CityState, event: Any) -> Touched:
        touched = given_back(city, event)
        change(city, event)
        return touched

    again = (m.RideReleased, m.OfferDeclined, m.OfferExpired)
    return patch.dict(taxi.city._FOLDS, dict.fromkeys(again, changed))


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
    refuse = dispatcher.commands._refuse

    def for_ever(batch: DecidedBatch, ride: Ride) -> None:
        with patch.object(batch, "limits", msgspec.structs.replace(batch.limits, refuse_ms=10**9)):
            refuse(batch, ride)

    with patch.object(dispatcher.commands, "_refuse", for_ever):
        yield


# --- gateway ----------------------------------------------------------------------------------------


@contextmanager
def half_a_batch_applied() -> Iterator[None]:
    """Events are applied as they come."""

    def at_once(self: gateway.city.view.View, records: Iterable[Record]) -> None:
        for record in records:
            event = codec.decode(EVENTS, record)
            touched = self.city.apply(event)
            self.ev = record.offset + 1
            for driver in touched.drivers:
                self.drivers.set_status(driver, self.city.status(driver), self.ev)
            for ride in touched.rides:
                self._set_ride(self.city.rides[ride], self.ev)

    with patch.object(gateway.city.view.View, "fold_events", at_once):
        yield


@contextmanager
def cursor_is_the_position() -> Iterator[None]:
    """The cursor counts the commit marker that the reader has passed."""
    fold = gateway.city.view.View._fold

    def past_the_marker(self: gateway.city.view.View, batch: Batch) -> None:
        fold(self, batch)
        self.ev += 1

    with patch.object(gateway.city.view.View, "_fold", past_the_marker):
        yield


@contextmanager
def ghosts() -> Iterator[None]:
    """A fresh gateway reads back as far as a row lives, and serves diffs from before that."""

    def at_once(self: gateway.city.view.View, _unread_ms: int) -> None:
        self._live = True

    with (
        patch.object(gateway.city.view.View, "went_live", at_once),
        patch.object(gateway.city.view.Span, "boot_ms", property(lambda span: span.expiry_ms)),
        patch.object(gateway.boot, "SKEW_MS", -gateway.boot.YOUNG_MS),
    ):
        yield


@contextmanager
def rows_leave_the_tile_they_enter() -> Iterator[None]:
    """The hash of a tile that a driver left goes stale; the city's is right."""
    show = gateway.city.drivers.DriverTable._show

    def wrong(self: gateway.city.drivers.DriverTable, slots: Any, before: Any, after: Any) -> None:
        show(self, slots, before._replace(tile=after.tile), after)

    with patch.object(gateway.city.drivers.DriverTable, "_show", wrong):
        yield


@contextmanager
def hops_are_lost() -> Iterator[None]:
    """Of each driver in a fold the newest fix alone counts: there and back looks like staying."""

    def newest_only(slot: Any, at_ms: Any) -> Succession:
        found = succession(slot, at_ms)
        last = found.chain[found.is_last]
        return Succession(last, np.ones(len(last), np.bool_), np.zeros(len(last), np.bool_))

    with patch.object(gateway.city.drivers, "succession", newest_only):
        yield


@contextmanager
def yesterdays_fixes_count() -> Iterator[None]:
    """The gateway takes every fix for what it says."""

    def however_old(at_ms: fixes.Longs, append_ms: fixes.Longs) -> np.ndarray[Any, Any]:
        return at_ms <= append_ms + fixes.AHEAD_MS_MAX

    with patch.object(gateway.city.drivers, "counts", however_old):
        yield


@contextmanager
def the_last_fix_wins() -> Iterator[None]:
    """The newest fix is the one that arrived last."""
    fold = gateway.city.drivers.DriverTable.fold

    def overwrite(self: gateway.city.drivers.DriverTable, *args: Any) -> None:
        self._at_ms[:] = 0
        fold(self, *args)

    with patch.object(gateway.city.drivers.DriverTable, "fold", overwrite):
        yield


@contextmanager
def the_gone_are_not_told() -> Iterator[None]:
    """A diff tells what is there, and forgets what is not."""
    one_block = gateway.city.blocks.one_block

    def kept(gone: Any, rows: Any) -> bytes:
        return one_block(gone[:0], rows)

    with patch.object(gateway.city.drivers, "one_block", kept):
        yield


# --- the stream -------------------------------------------------------------------------------------


@contextmanager
def what_falls_outside_stays() -> Iterator[None]:
    """A new view brings its rows, and leaves those of the old one where they are."""
    diff = gateway.city.view.View.diff

    def forgetful(self: Any, since: Any, old: Any, new: Any, **options: Any) -> bytes:
        return diff(self, since, new if options.get("generation") else old, new, **options)

    with patch.object(gateway.city.view.View, "diff", forgetful):
        yield


@contextmanager
def the_first_wish_holds() -> Iterator[None]:
    """Who pans quickly gets the view it asked for first."""

    def stubborn(self: Session, wish: Any) -> None:
        self.wish = self.wish or wish

    with patch.object(Session, "want", stubborn):
        yield


@contextmanager
def a_view_without_its_name() -> Iterator[None]:
    """The first cut of a new view does not say so."""
    with patch.object(gateway.stream.hub, "Wish", lambda area, _: Wish(area, 0)):
        yield


@contextmanager
def mismatches_only_counted() -> Iterator[None]:
    """A wrong picture is written down, and stays wrong."""
    with patch.object(gateway.stream.hub.Hub, "_mend", lambda *_: None):
        yield


@contextmanager
def the_late_stay_abreast() -> Iterator[None]:
    """Who has not read the last cut gets the next one all the same."""
    with patch.object(gateway.stream.fanout.Fanout, "_blocked", lambda *_: None):
        yield


@contextmanager
def tokens_read_once() -> Iterator[None]:
    """A session outlives its token."""
    with patch.object(gateway.stream.hub.Hub, "_expire", lambda *_: None):
        yield


@contextmanager
def everyone_leaves_at_once() -> Iterator[None]:
    """A drain that knows no rate."""
    drain = gateway.stream.drain.drain

    async def hasty(hub: gateway.stream.hub.Hub, env: Any) -> None:
        hub.terms = replace(hub.terms, drain_per_s=1e9)
        await drain(hub, env)

    with patch.object(gateway.shell, "drain", hasty):
        yield


@contextmanager
def the_missed_leave_in_a_crowd() -> Iterator[None]:
    """A drain that was held up makes up for it at once."""
    with patch.object(gateway.stream.drain.Turnstile, "free_s", lambda _: 0.0):
        yield


BUGS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        unknown_is_success,
        unknown_is_failure,
        commit_sent_again,
        transactional_id_of_the_instance,
        producer_rebuilt_on_the_spot,
        ids_forgotten,
        a_command_skipped_at_recovery,
        recovery_before_fencing,
        a_zombie_asks_nobody,
        a_gap_in_the_fixes_not_told,
        a_topic_made_anew_not_noticed,
        wall_clock_decides,
        commands_in_set_order,
        half_a_chain,
        ban_forgotten,
        age_lost,
        refused_at_any_time,
        half_a_batch_applied,
        cursor_is_the_position,
        ghosts,
        rows_leave_the_tile_they_enter,
        hops_are_lost,
        yesterdays_fixes_count,
        the_last_fix_wins,
        the_gone_are_not_told,
        what_falls_outside_stays,
        the_first_wish_holds,
        a_view_without_its_name,
        mismatches_only_counted,
        the_late_stay_abreast,
        tokens_read_once,
        everyone_leaves_at_once,
        the_missed_leave_in_a_crowd,
    )
}
