# SPDX-License-Identifier: Apache-2.0
"""Snapshots on the log: whole or not there at all, the newest first."""

import asyncio
import base64
import random
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from taxi import codec, snapshots
from taxi import messages as m
from taxi.bus import Outgoing, Record
from taxi.bus.memory import MemoryBus, plain_broker
from taxi.city import CityState
from taxi.fix_columns import columns_of
from taxi.newest import NewestFixes
from taxi.snapshots import MINUTE_MS, PART_BYTES_MAX, SLOTS, Snapshot
from taxi.topics import SNAPSHOTS

T0 = 1_750_000_020_000
MINUTE = T0 // MINUTE_MS


class Shelf:
    """A snapshots topic."""

    def __init__(self) -> None:
        self.broker = plain_broker()
        self.broker.create_topic(SNAPSHOTS)
        self.bus = MemoryBus(self.broker)

    def put(self, *records: Outgoing) -> None:
        self.broker.partition(SNAPSHOTS, 0).append(list(records), T0)

    async def newest(self, wanted: Callable[[m.SnapshotPart], bool] = lambda _: True) -> Snapshot | None:
        return await snapshots.newest(self.bus, 0, wanted)

    async def batch(self) -> int:
        """Of the newest snapshot; 0: there is none."""
        found = await self.newest()
        return 0 if found is None else found.state.batch


def on_shelf(story: Callable[[Shelf], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(whole())

    async def whole() -> None:
        await story(Shelf())

    run.__name__ = story.__name__
    return run


def city(batch: int, *, minute: int = MINUTE, drivers: int = 3) -> CityState:
    """Some state; many drivers make it one of several parts."""
    state = CityState(city="grid", epoch="e", batch=batch, now_ms=minute * MINUTE_MS)
    rng = random.Random(batch)
    state.commands = {f"{rng.getrandbits(96):x}": state.now_ms for _ in range(drivers)}
    for driver in range(1, 4):
        online = m.DriverCameOnline(batch=batch, at_ms=state.now_ms, driver=driver, command_id=f"on{driver}")
        state.apply(online)
    return state


def heard(drivers: int = 2) -> NewestFixes:
    newest = NewestFixes()
    for driver in range(drivers):
        newest.fold(columns_of([m.Fix(driver=driver + 1, at_ms=T0, lng=-73.9, lat=40.7)], [driver], [T0]))
    return newest


def pack(batch: int, **changes: Any) -> list[Outgoing]:
    return snapshots.pack(city(batch, **changes), heard(), 10 * batch)


def large(batch: int) -> list[Outgoing]:
    return pack(batch, drivers=60_000)


@on_shelf
async def test_what_was_packed_is_found_as_it_was(shelf: Shelf) -> None:
    shelf.put(*snapshots.pack(city(7), heard(), 71))
    found = await shelf.newest()
    assert found is not None
    assert (found.state, found.newest, found.events_offset) == (city(7), heard(), 71)
    assert found.state.to_bytes() == city(7).to_bytes()


@on_shelf
async def test_an_empty_shelf_has_none(shelf: Shelf) -> None:
    assert await shelf.newest() is None


@on_shelf
async def test_a_large_state_comes_in_parts_that_fit_into_a_message(shelf: Shelf) -> None:
    parts = large(7)
    assert len(parts) > 2
    assert all(len(part.value or b"") < PART_BYTES_MAX + 1024 for part in parts)
    assert len({part.key for part in parts}) == len(parts)
    shelf.put(*parts)
    assert await shelf.batch() == 7


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_one_of_which_a_part_is_missing_is_passed_over(missing: int) -> None:
    async def story(shelf: Shelf) -> None:
        parts = large(8)
        shelf.put(*pack(7))
        shelf.put(*(part for number, part in enumerate(parts) if number != missing))
        assert await shelf.batch() == 7

    on_shelf(story)()


def damaged(record: Outgoing, **changes: Any) -> Outgoing:
    part = codec.decode(SNAPSHOTS, Record(0, T0, record.key, record.value))
    return Outgoing(record.key, codec.encode(msgspec.structs.replace(part, **changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "0" * 32},
        {"body": "AAAA"},
        {"body": base64.b64encode(b"{}").decode()},
        {"parts": 2},
        {"parts": 10**12},
        {"part": 1},
    ],
    ids=str,
)
def test_a_damaged_one_is_passed_over(changes: dict[str, Any]) -> None:
    async def story(shelf: Shelf) -> None:
        shelf.put(*pack(7))
        [part] = pack(8)
        shelf.put(damaged(part, **changes))
        assert await shelf.batch() == 7

    on_shelf(story)()


@on_shelf
async def test_rubbish_and_tombstones_are_passed_over(shelf: Shelf) -> None:
    shelf.put(*pack(7), Outgoing(b"k", b"rubbish"), Outgoing(b"k", None))
    assert await shelf.batch() == 7


@on_shelf
async def test_a_well_sealed_body_that_is_no_state_is_passed_over(shelf: Shelf) -> None:
    text = base64.b64encode(b"no deflated state").decode()
    [part] = pack(8)
    shelf.put(*pack(7), damaged(part, body=text, digest=snapshots._digest(text)))
    assert await shelf.batch() == 7


@on_shelf
async def test_the_newest_is_the_last_on_the_log_even_where_batches_were_counted_anew(shelf: Shelf) -> None:
    shelf.put(*pack(900), *pack(2))
    assert await shelf.batch() == 2


@on_shelf
async def test_a_reader_may_want_an_older_one(shelf: Shelf) -> None:
    for batch in range(1, 60):
        shelf.put(*pack(batch, minute=MINUTE + batch))
    found = await shelf.newest(lambda part: part.at_ms <= (MINUTE + 5) * MINUTE_MS)
    assert found is not None
    assert found.state.batch == 5
    assert await shelf.newest(lambda part: part.at_ms < T0) is None


@on_shelf
async def test_slots_are_used_again_and_compaction_keeps_an_hour_and_a_half(shelf: Shelf) -> None:
    for batch in range(1, SLOTS + 6):
        shelf.put(*pack(batch, minute=MINUTE + batch))
    shelf.broker.partition(SNAPSHOTS, 0).compact()
    assert await shelf.batch() == SLOTS + 5
    oldest = await shelf.newest(lambda part: part.batch <= 6)
    assert oldest is not None
    assert oldest.state.batch == 6
    assert await shelf.newest(lambda part: part.batch <= 5) is None


@on_shelf
async def test_a_slot_that_held_more_parts_before_gives_none_of_them_away(shelf: Shelf) -> None:
    shelf.put(*large(1))
    shelf.put(*pack(2, minute=MINUTE))
    shelf.broker.partition(SNAPSHOTS, 0).compact()
    assert await shelf.batch() == 2
    assert await shelf.newest(lambda part: part.batch == 1) is None


def test_the_same_state_gives_the_same_records() -> None:
    assert pack(3) == pack(3)
