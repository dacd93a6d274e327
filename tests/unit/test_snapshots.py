# SPDX-License-Identifier: Apache-2.0
"""Snapshots on the log: whole or not there at all, the newest first."""

import asyncio
import base64
import random
import tracemalloc
import zlib
from collections.abc import Callable, Coroutine, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
import pytest

from taxi import messages as m
from taxi.bus import Outgoing, Record
from taxi.bus.memory.bus import MemoryBus, plain_broker
from taxi.bus.memory.log import Fate
from taxi.messages import codec
from taxi.positions.columns import columns_of
from taxi.positions.newest import NewestFixes
from taxi.state import CityState, snapshots
from taxi.state.snapshots import MINUTE_MS, PART_BYTES_MAX, SLOTS, Snapshot
from taxi.topics import EVENTS, SNAPSHOTS

T0 = 1_750_000_020_000
MINUTE = T0 // MINUTE_MS


class Shelf:
    """A snapshots topic."""

    def __init__(self) -> None:
        self.broker = plain_broker()
        self.broker.create_topic(SNAPSHOTS)
        self.broker.create_topic(EVENTS)
        self.bus = MemoryBus(self.broker)

    def put(self, *records: Outgoing, writer: str = "") -> None:
        self._append(SNAPSHOTS, records, writer)

    def events(self, *batches: int, writer: str = "") -> None:
        """Batches of ten records, each of which ends just before ten times its number."""
        for batch in batches:
            place = self.broker.partition(EVENTS, 0)
            closed = m.BatchClosed(batch=batch, at_ms=T0, count=10, commands_offset=0, locations_offset=0)
            missing = 10 * batch - 1 - place.end
            self._append(EVENTS, [Outgoing(None, b"{}")] * missing, "")
            self._append(EVENTS, [Outgoing(None, codec.encode(closed))], writer)

    def _append(self, topic: str, records: Sequence[Outgoing], writer: str) -> None:
        place = self.broker.partition(topic, 0)
        if not writer:
            place.append(list(records), T0)
            return
        epoch = self.broker.start_writer(writer, 60.0)
        transaction = self.broker._opened_by(writer, self.broker._writers[writer])
        assert transaction.writer.producer_epoch == epoch
        transaction.fate = Fate.COMMITTED
        place.append(list(records), T0, transaction)
        del place._open[transaction]

    async def newest_of_log(self, unreadable: list[codec.DecodeError] | None = None) -> Snapshot | None:
        bounds = await self.bus.offsets(EVENTS, 0)
        return await snapshots.newest_of_log(self.bus, 0, bounds, unreadable=unreadable)

    async def newest(self, wanted: Callable[[m.SnapshotPart], bool] = lambda _: True) -> Snapshot | None:
        return await snapshots.newest(self.bus, 0, wanted)

    async def batch(self) -> int:
        """Of the newest snapshot; 0: there is none."""
        found = await self.newest()
        return 0 if found is None else found.state.batch


def on_shelf(scenario: Callable[[Shelf], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(whole())

    async def whole() -> None:
        await scenario(Shelf())

    run.__name__ = scenario.__name__
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
    async def scenario(shelf: Shelf) -> None:
        parts = large(8)
        shelf.put(*pack(7))
        shelf.put(*(part for number, part in enumerate(parts) if number != missing))
        assert await shelf.batch() == 7

    on_shelf(scenario)()


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
    async def scenario(shelf: Shelf) -> None:
        shelf.put(*pack(7))
        [part] = pack(8)
        shelf.put(damaged(part, **changes))
        assert await shelf.batch() == 7

    on_shelf(scenario)()


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
async def test_the_newest_is_the_last_on_the_log_even_where_the_count_of_batches_restarted(
    shelf: Shelf,
) -> None:
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


# --- what others, or a disk, make of them -----------------------------------------------------------


def inflated(body: bytes, batch: int = 8) -> Outgoing:
    """A part whose digest fits, and whose body is this, deflated."""
    text = base64.b64encode(zlib.compress(body, 9)).decode()
    fitting = blake2b(text.encode(), digest_size=16).hexdigest()
    return damaged(pack(batch)[0], body=text, digest=fitting)


UNREADABLE_BODIES = {
    "not ASCII": damaged(pack(8)[0], body="é"),
    "a lone surrogate": Outgoing(
        b"grid/0/0", (pack(8)[0].value or b"").replace(b'"body":"', b'"body":"\\ud800')
    ),
    "not base64": damaged(pack(8)[0], body="a!", digest=blake2b(b"a!", digest_size=16).hexdigest()),
    "not deflated": damaged(pack(8)[0], body="abcd", digest=blake2b(b"abcd", digest_size=16).hexdigest()),
    "empty": inflated(b""),
    "nested arrays": inflated(b"[" * 5_000_000),
    "nested in what is not expected": inflated(b'{"state":{},"newest":{},"x":' + b"[" * 1_000_000),
    "300 MB": inflated(b"[" + b" " * 300_000_000 + b"]"),
    "of another type": inflated(b'{"state":[],"newest":7}'),
    "a state of another batch": inflated(msgspec.json.encode({"state": {"batch": 3}, "newest": {}})),
}


@pytest.mark.parametrize("what", UNREADABLE_BODIES)
def test_a_body_that_cannot_be_read_is_passed_over_and_reported(what: str) -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.events(7, 8)
        shelf.put(*pack(7))
        shelf.put(UNREADABLE_BODIES[what])
        unreadable: list[codec.DecodeError] = []
        found = await shelf.newest_of_log(unreadable)
        assert found is not None
        assert found.state.batch == 7
        [error] = unreadable
        assert (error.topic, error.record.offset) == (SNAPSHOTS, 1)

    on_shelf(scenario)()


def test_of_a_compressed_body_no_more_is_inflated_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "BODY_BYTES_MAX", 4 << 20)

    async def scenario(shelf: Shelf) -> None:
        shelf.put(UNREADABLE_BODIES["300 MB"])
        tracemalloc.start()
        assert await shelf.newest() is None
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 << 20

    on_shelf(scenario)()


@on_shelf
async def test_a_snapshot_that_another_producer_wrote_is_passed_over_and_reported(shelf: Shelf) -> None:
    shelf.events(7, 8, writer="dispatcher")
    shelf.put(*pack(7), writer="dispatcher")
    shelf.put(*pack(8))
    shelf.put(*pack(8), writer="stranger")
    unreadable: list[codec.DecodeError] = []
    found = await shelf.newest_of_log(unreadable)
    assert found is not None
    assert found.state.batch == 7
    assert len(unreadable) == 2
    assert all("another producer" in error.reason for error in unreadable)


@on_shelf
async def test_a_part_that_another_producer_wrote_takes_no_place_of_ours(shelf: Shelf) -> None:
    shelf.events(7, writer="dispatcher")
    parts = large(7)
    shelf.put(*parts, writer="dispatcher")
    shelf.put(damaged(parts[1], body="rubbish"), writer="stranger")
    assert await shelf.newest_of_log() is not None


@on_shelf
async def test_a_snapshot_of_no_offset_is_none_of_this_log(shelf: Shelf) -> None:
    """Retention has taken nothing there that it could have been folded from."""
    shelf.put(*snapshots.pack(city(9), heard(), 0))
    assert await shelf.newest_of_log() is None


@on_shelf
async def test_one_whose_batch_the_disk_damaged_is_believed(shelf: Shelf) -> None:
    shelf.events(7)
    shelf.put(*pack(7))
    events = shelf.broker.partition(EVENTS, 0)
    events.corrupt(60, 70)
    assert await shelf.newest_of_log() is not None
