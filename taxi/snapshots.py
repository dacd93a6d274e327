# SPDX-License-Identifier: Apache-2.0
"""A city's state in `taxi.snapshots`: in parts, whole or not there at all.

Slots are reused (minute modulo 90), so the compacted topic holds the last hour and a half. A reader
walks backwards from the end until it has what it wants; it needs no clock for that.
"""

import base64
import zlib
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from taxi import codec
from taxi.bus import Bus, Outgoing, Record
from taxi.city import CityState
from taxi.messages import SnapshotPart
from taxi.newest import NewestFixes
from taxi.topics import SNAPSHOTS

SLOTS: Final = 90
PART_BYTES_MAX: Final = 480 * 1024
MINUTE_MS: Final = 60_000
_RECORDS_AT_FIRST: Final = 8


class Body(Struct, kw_only=True):
    """What a snapshot holds: the state after a batch, and the newest fixes before its cut."""

    state: CityState
    newest: NewestFixes


class Snapshot(Struct, kw_only=True):
    """A snapshot as read back."""

    events_offset: int
    """The offset after the `BatchClosed` of `state.batch`: where to go on reading."""
    body: Body

    @property
    def state(self) -> CityState:
        """The folded events."""
        return self.body.state

    @property
    def newest(self) -> NewestFixes:
        """The folded locations."""
        return self.body.newest


class Stored:
    """A snapshot as it lies in the log: its parts, not yet unpacked."""

    def __init__(self, parts: dict[int, SnapshotPart]) -> None:
        self._parts = parts
        any_part = next(iter(parts.values()))
        self.batch, self.events_offset = any_part.batch, any_part.events_offset

    def load(self) -> Snapshot | None:
        """None where a part is missing or damaged."""
        return _join(self._parts)


_DECODER: Final = msgspec.json.Decoder(Body)


def pack(state: CityState, newest: NewestFixes, events_offset: int) -> list[Outgoing]:
    """The records of one snapshot, in order."""
    packed = zlib.compress(msgspec.json.encode(Body(state=state, newest=newest)), 1)
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
    bus: Bus, partition: int, wanted: Callable[[SnapshotPart], bool] = lambda _: True
) -> Snapshot | None:
    """The newest whole snapshot of which `wanted` is true, or None.

    Damaged and half-written ones are passed over. Raises what a bus raises.
    """
    bounds = await bus.offsets(SNAPSHOTS, partition)
    records = _RECORDS_AT_FIRST
    while True:
        start = max(bounds.start, bounds.stable - records)
        found = _newest_in(await _read(bus, partition, start, bounds.stable), wanted)
        if found is not None or start == bounds.start:
            return found
        records *= 4


async def every(bus: Bus, partition: int) -> list[Stored]:
    """All snapshots that are left, whole or not, in the order of the log."""
    bounds = await bus.offsets(SNAPSHOTS, partition)
    groups = _grouped(await _read(bus, partition, bounds.start, bounds.stable), lambda _: True)
    return [Stored(parts) for parts in groups]


async def _read(bus: Bus, partition: int, start: int, end: int) -> list[Record]:
    reader = await bus.reader(SNAPSHOTS, partition, start)
    records: list[Record] = []
    try:
        while reader.position < end:
            records += await reader.fetch()
    finally:
        await reader.close()
    return records


def _newest_in(records: list[Record], wanted: Callable[[SnapshotPart], bool]) -> Snapshot | None:
    for parts in reversed(_grouped(records, wanted)):
        snapshot = _join(parts)
        if snapshot is not None:
            return snapshot
    return None


def _grouped(records: list[Record], wanted: Callable[[SnapshotPart], bool]) -> list[dict[int, SnapshotPart]]:
    """The parts of each snapshot by their number, in the order of the log.

    Not in the order of batches: where the log was made anew, they are counted from 1 again.
    """
    groups: dict[tuple[int, str, int], dict[int, SnapshotPart]] = {}
    written: dict[tuple[int, str, int], int] = {}
    for record in records:
        try:
            part: SnapshotPart = codec.decode(SNAPSHOTS, record)
        except codec.DecodeError:
            continue
        if wanted(part):
            key = part.batch, part.digest, part.events_offset
            groups.setdefault(key, {})[part.part] = part
            written[key] = record.offset
    return [groups[key] for key in sorted(groups, key=written.__getitem__)]


def _join(parts: dict[int, SnapshotPart]) -> Snapshot | None:
    """The snapshot of these parts; None if one is missing or they don't match their digest."""
    any_part = next(iter(parts.values()))
    if len(parts) != any_part.parts or sorted(parts) != list(range(len(parts))):
        return None
    text = "".join(parts[number].body for number in range(any_part.parts))
    if _digest(text) != any_part.digest:
        return None
    try:
        body = _DECODER.decode(zlib.decompress(base64.b64decode(text, validate=True)))
    except (ValueError, zlib.error, msgspec.DecodeError):
        return None
    return Snapshot(events_offset=any_part.events_offset, body=body)


def _digest(text: str) -> str:
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()
