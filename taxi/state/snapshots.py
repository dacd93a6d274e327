# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a city's state in `taxi.snapshots`, split into parts.

A reader uses a snapshot only if all of its parts are there and match their digest. The keys contain the
minute modulo 90, so the compacted topic keeps the snapshots of the last hour and a half. A reader goes
backwards from the end of the topic until it finds a suitable one; it needs no clock.
"""

import base64
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from taxi.bus import Bus, Damaged, OffsetOutOfRange, Offsets, Outgoing, Record
from taxi.bus.ranges import read_range, read_record
from taxi.messages import BatchClosed, SnapshotPart, codec
from taxi.messages.codec import DecodeError
from taxi.positions.newest import NewestFixes
from taxi.state import CityState
from taxi.topics import EVENTS, SNAPSHOTS

SLOTS: Final = 90
"""How many keys each part number has; a snapshot replaces the one of 90 minutes before."""
PART_BYTES_MAX: Final = 480 * 1024
"""Maximum of a part's text, so that a record is smaller than a topic's `max.message.bytes`."""
BODY_BYTES_MAX: Final = 256 << 20
"""Maximum of the decompressed body. 10,000 drivers with 300,000 commands in the last hour take 20 MB."""
MINUTE_MS: Final = 60_000
BODY_UNREADABLE: Final = "its body cannot be read"
_RECORDS_AT_FIRST: Final = 8


class SnapshotTooLargeError(ValueError):
    """The encoded state of a city has more bytes than readers accept."""


class Body(Struct, kw_only=True):
    """The content of a snapshot: the state after a batch, and the newest positions before its cut."""

    state: CityState
    newest: NewestFixes


class Snapshot(Struct, kw_only=True):
    """A snapshot that was read from the log."""

    events_offset: int
    """The offset after the `BatchClosed` of `state.batch`, where to continue reading events."""
    body: Body
    producer_id: int | None = None
    """The producer id of its transaction; None if it was written outside of one."""

    @property
    def state(self) -> CityState:
        """The state folded from the events before `events_offset`."""
        return self.body.state

    @property
    def newest(self) -> NewestFixes:
        """The newest position of each driver before the state's cut."""
        return self.body.newest


class _Closed(NamedTuple):
    """The `BatchClosed` at an offset of the log."""

    batch: int | None
    """None if the record no longer exists or is damaged."""
    producer_id: int | None
    """The producer id of its transaction; None if it was written outside of one."""


UNKNOWN: Final = _Closed(None, None)


class Stored:
    """The parts of a snapshot in the log, perhaps not all of them, not yet decoded."""

    def __init__(self, parts: dict[int, SnapshotPart], last: Record) -> None:
        self._parts = parts
        self._last = last
        any_part = next(iter(parts.values()))
        self.batch, self.events_offset = any_part.batch, any_part.events_offset
        self.producer_id = last.writer.producer_id if last.writer is not None else None

    @property
    def key(self) -> int:
        """The offset of its last part, which identifies it."""
        return self._last.offset

    @property
    def is_whole(self) -> bool:
        """Whether all parts are there. If a later snapshot reused its slot, some are missing."""
        parts = next(iter(self._parts.values())).parts
        return len(self._parts) == parts and sorted(self._parts) == list(range(parts))

    def load(self) -> Snapshot | None:
        """Decode the snapshot; None if a part is missing or damaged."""
        if not self.is_whole:
            return None
        try:
            return Snapshot(
                events_offset=self.events_offset, body=_unpack(self._parts), producer_id=self.producer_id
            )
        except (ValueError, zlib.error, msgspec.DecodeError, RecursionError):
            return None

    def error(self, reason: str) -> DecodeError:
        """An error for the dead letters, about its last part."""
        return DecodeError(SNAPSHOTS, self._last, f"snapshot of batch {self.batch}: {reason}")


_DECODER: Final = msgspec.json.Decoder(Body)


def pack(state: CityState, newest: NewestFixes, events_offset: int) -> list[Outgoing]:
    """Encode a snapshot: JSON, zlib, base64, split into parts.

    Args:
        state: The state after a batch.
        newest: The newest positions before the state's cut.
        events_offset: The offset after the batch's `BatchClosed`.

    Returns:
        Its records for `taxi.snapshots`, in order.

    Raises:
        SnapshotTooLargeError: Readers would not accept it, so it must not be written.
    """
    encoded = msgspec.json.encode(Body(state=state, newest=newest))
    if len(encoded) > BODY_BYTES_MAX:
        message = f"{len(encoded):,} bytes, and a reader accepts {BODY_BYTES_MAX:,}"
        raise SnapshotTooLargeError(message)
    packed = zlib.compress(encoded, 1)
    text = base64.b64encode(packed).decode("ascii")
    pieces = [text[at : at + PART_BYTES_MAX] for at in range(0, len(text), PART_BYTES_MAX)]
    slot = state.now_ms // MINUTE_MS % SLOTS
    return [
        Outgoing(
            f"{state.city}/{slot}/{part}".encode(),
            codec.encode(
                SnapshotPart(
                    city=state.city,
                    batch=state.batch,
                    at_ms=state.now_ms,
                    events_offset=events_offset,
                    part=part,
                    parts=len(pieces),
                    digest=_digest(text),
                    body=piece,
                )
            ),
        )
        for part, piece in enumerate(pieces)
    ]


async def newest(
    bus: Bus,
    partition: int,
    wanted: Callable[[SnapshotPart], bool] = lambda _: True,
    unreadable: list[DecodeError] | None = None,
) -> Snapshot | None:
    """The newest complete and undamaged snapshot, without a check against the log of events.

    Args:
        bus: The log.
        partition: The city's partition.
        wanted: Only snapshots whose parts satisfy it are considered.
        unreadable: Gets an error for each damaged record and snapshot on the way.

    Returns:
        The snapshot, or None if there is none.

    Raises:
        BusError: Raised by the bus.
    """
    async with aclosing(_newest_first(bus, partition, wanted, unreadable)) as found:
        async for stored in found:
            snapshot = stored.load()
            if snapshot is not None:
                return snapshot
            _note(unreadable, stored, BODY_UNREADABLE)
    return None


async def newest_of_log(
    bus: Bus,
    partition: int,
    events: Offsets,
    wanted: Callable[[SnapshotPart], bool] = lambda _: True,
    unreadable: list[DecodeError] | None = None,
) -> Snapshot | None:
    """The newest complete and undamaged snapshot that belongs to this log of events (`belongs_to_log`).

    Args:
        bus: The log.
        partition: The city's partition.
        events: The bounds of the partition of `taxi.events`.
        wanted: Only snapshots whose parts satisfy it are considered.
        unreadable: Gets an error for each damaged record and snapshot on the way.

    Returns:
        The snapshot, or None if there is none. The events from its `events_offset` on can be read.

    Raises:
        BusError: Raised by the bus.
    """
    async with aclosing(_newest_first(bus, partition, wanted, unreadable)) as found:
        async for stored in found:
            if not await belongs_to_log(bus, partition, events, stored, unreadable):
                continue
            snapshot = stored.load()
            if snapshot is not None and snapshot.state.batch == stored.batch:
                return snapshot
            _note(unreadable, stored, BODY_UNREADABLE)
    return None


async def belongs_to_log(
    bus: Bus,
    partition: int,
    events: Offsets,
    stored: Stored,
    unreadable: list[DecodeError] | None = None,
) -> bool:
    """Whether a snapshot belongs to this log of events: the one rule for everything that starts from one.

    The events behind it must be there, and the record before its `events_offset` must be the `BatchClosed` of
    its batch, written by the same producer. Otherwise the topic of events was created again while old
    snapshots stayed, or another producer wrote the snapshot. If retention deleted exactly that record, or it
    is damaged on disk, the snapshot is trusted.

    Args:
        bus: The log.
        partition: The city's partition.
        events: The bounds of the partition of `taxi.events`.
        stored: The snapshot.
        unreadable: Gets an error if another producer than the snapshot's wrote its batch.

    Raises:
        BusError: Raised by the bus.
    """
    if not max(events.start, 1) <= stored.events_offset <= events.stable:
        return False
    closed = await _closed_at(bus, partition, events, stored.events_offset - 1)
    if closed in {UNKNOWN, (stored.batch, stored.producer_id)}:
        return True
    if closed is not None and closed.batch == stored.batch:
        _note(unreadable, stored, "another producer wrote its batch")
    return False


async def every(bus: Bus, partition: int) -> list[Stored]:
    """All snapshots in the topic, complete or not, in the order of the log. Raises BusError."""
    bounds = await bus.offsets(SNAPSHOTS, partition)
    return _grouped(await _read(bus, partition, bounds.start, bounds.stable), lambda _: True, None)


async def _newest_first(
    bus: Bus,
    partition: int,
    wanted: Callable[[SnapshotPart], bool],
    unreadable: list[DecodeError] | None,
) -> AsyncGenerator[Stored, None]:
    """Complete snapshots, newest first, damaged or not. Reads further back only if more are requested."""
    bounds = await bus.offsets(SNAPSHOTS, partition)
    end, records = bounds.stable, _RECORDS_AT_FIRST
    read: list[Record] = []
    given: set[int] = set()
    while end > bounds.start:
        start = max(bounds.start, end - records)
        read = [*await _read(bus, partition, start, end), *read]
        errors: list[DecodeError] = []
        groups = _grouped(read, wanted, errors)
        if unreadable is not None:
            unreadable += [error for error in errors if error.record.offset < end]
        for stored in reversed(groups):
            if stored.is_whole and stored.key not in given:
                given.add(stored.key)
                yield stored
        end, records = start, records * 4


def _note(unreadable: list[DecodeError] | None, stored: Stored, reason: str) -> None:
    if unreadable is not None:
        unreadable.append(stored.error(reason))


async def _closed_at(bus: Bus, partition: int, events: Offsets, at: int) -> "_Closed | None":
    """The `BatchClosed` at offset `at`; UNKNOWN if deleted or damaged on disk, None for another record."""
    if at < events.start:
        return UNKNOWN
    try:
        record = await read_record(bus, EVENTS, partition, at)
    except OffsetOutOfRange:
        return UNKNOWN  # retention deleted it meanwhile
    if record is None:
        return None
    if isinstance(record, Damaged):
        return UNKNOWN if record.is_on_disk else None
    try:
        event = codec.decode(EVENTS, record)
    except DecodeError:
        return None
    writer = record.writer.producer_id if record.writer is not None else None
    return _Closed(event.batch, writer) if isinstance(event, BatchClosed) else None


async def _read(bus: Bus, partition: int, start: int, end: int) -> list[Record]:
    async with read_range(bus, SNAPSHOTS, partition, start, end) as chunks:
        return [record async for records in chunks for record in records]


def _grouped(
    records: list[Record], wanted: Callable[[SnapshotPart], bool], unreadable: list[DecodeError] | None
) -> list[Stored]:
    """Group parts into snapshots, in the order of the log. Parts of different producers are not combined.

    The order is not that of batch numbers, because those begin at 1 again if the log was created again.
    """
    groups: dict[Any, dict[int, SnapshotPart]] = {}
    last: dict[Any, Record] = {}
    for record in records:
        try:
            part: SnapshotPart = codec.decode(SNAPSHOTS, record)
        except DecodeError as error:
            if unreadable is not None:
                unreadable.append(error)
            continue
        if wanted(part):
            writer = record.writer.producer_id if record.writer is not None else None
            key = part.batch, part.digest, part.events_offset, part.parts, writer
            groups.setdefault(key, {})[part.part] = part
            last[key] = record
    return [Stored(groups[key], last[key]) for key in sorted(groups, key=lambda key: last[key].offset)]


def _unpack(parts: dict[int, SnapshotPart]) -> Body:
    """Decode the body of all parts. Raises ValueError, zlib.error, msgspec.DecodeError, RecursionError."""
    text = "".join(parts[number].body for number in range(len(parts)))
    if _digest(text) != parts[0].digest:
        message = "it does not match its digest"
        raise ValueError(message)
    inflate = zlib.decompressobj()
    data = inflate.decompress(base64.b64decode(text, validate=True), BODY_BYTES_MAX)
    if not inflate.eof:
        message = f"it is cut off, or larger than {BODY_BYTES_MAX} bytes"
        raise ValueError(message)
    return _DECODER.decode(data)


def _digest(text: str) -> str:
    """A digest of the text. Raises ValueError if it is not ASCII."""
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()
