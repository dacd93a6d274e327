# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/frames: updates as bytes, and for each the values that a decoder must read.

The updates are applied in the order of their names; each JSON file also contains the rows that a client has
afterwards. The decoders in Python and TypeScript are tested with them. These bytes define the protocol, so a
change of them is a change of its version. Run with `--check` to compare instead of writing.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.updates.blocks import BlockChanges, MovedRows, encode, joined
from gateway.updates.columns import DriverColumns
from gateway.updates.encoding import ExpectedState, Sections, seal
from gateway.updates.feed import feed_section
from gateway.updates.hash import Lanes, added_up, hash_drivers, hash_ride
from gateway.updates.rides import ride_record, rides_section
from scripts.generated import write_or_check
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.client.rows import DriverRow, RideRow, Update
from taxi.cursor import Cursor

FOLDER = Path(__file__).parent.parent / "tests" / "golden" / "frames"
EPOCH = "5e0c0ffee0ddba11"
T0 = 1_764_000_000_000
"""Cut time of the first frame."""
_WORD = 0xFFFFFFFF

Driver = tuple[int, int, int, int, int, int, int]
"""Number, lng_e5, lat_e5, device time, heading, speed, status."""


@dataclass(frozen=True)
class Block:
    """The content of one block. A row in `moved` is the row afterwards; the differences are computed."""

    gone: tuple[int, ...] = ()
    rows: tuple[Driver, ...] = ()
    status: tuple[tuple[int, int], ...] = ()
    moved: tuple[Driver, ...] = ()


def columns(rows: Sequence[Driver]) -> DriverColumns:
    """Rows as the encoder takes them, in this order."""
    kinds = (np.uint32, np.int32, np.int32, np.uint32, np.uint8, np.uint8, np.uint8)
    fields: Any = zip(*rows, strict=True) if rows else ((),) * 7
    masked = [[v & _WORD for v in f] if i == 3 else list(f) for i, f in enumerate(fields)]
    return DriverColumns(*(np.array(f, kind) for f, kind in zip(masked, kinds, strict=True)))


def ride(name: str, state: int, attempt: int, driver: int, *times_ms: int | None) -> bytes:
    """A ride between two fixed corners, one of them across the meridian."""
    times = (*times_ms, *(None,) * (5 - len(times_ms)))
    return ride_record(
        name.encode(),
        state=state,
        attempt=attempt,
        driver=driver,
        pickup_e5=(-7_398_765, 4_075_432),
        dropoff_e5=(151_209, -33_868),
        times_ms=(times[0], times[1], times[2], times[3], times[4]),
    )


class Scenario:
    """The rows as they change from update to update, so that hashes and counts are right."""

    def __init__(self) -> None:
        self.drivers: dict[int, Driver] = {}
        self.rides: dict[str, bytes] = {}
        self.cursor: Cursor | None = None

    def cut(
        self,
        to: Cursor,
        at_ms: int,
        *blocks: Block,
        image: bool = False,
        stale: bool = False,
        generation: int = 0,
        rides_gone: tuple[str, ...] = (),
        rides: dict[str, bytes] | None = None,
        feed: tuple[bytes, ...] = (),
    ) -> bytes:
        """One update from the current rows to `to`."""
        if image:
            self.drivers, self.rides = {}, {}
        drivers = self._drivers_section(blocks)
        for name in rides_gone:
            self.rides.pop(name, None)
        self.rides |= rides or {}
        gone, records = [name.encode() for name in rides_gone], [r for _, r in sorted((rides or {}).items())]
        since, self.cursor = None if image else self.cursor, to
        lanes = self.lanes()
        return seal(
            since=since,
            cursor=to,
            cut_ms=at_ms,
            expected=ExpectedState(lanes.a, lanes.b, len(self.drivers), len(self.rides)),
            sections=Sections(drivers, rides_section(gone, records), feed_section(feed)),
            stale=stale,
            generation=generation,
        )

    def _drivers_section(self, blocks: Sequence[Block]) -> bytes:
        if not blocks:
            return b""
        changes = self._changes(blocks)
        for block in blocks:
            for number in block.gone:
                self.drivers.pop(number, None)
        for block in blocks:
            self.drivers |= {row[0]: row for row in (*block.rows, *block.moved)}
            for number, status in block.status:
                self.drivers[number] = (*self.drivers[number][:-1], status)
        made = encode(changes, len(blocks))
        return joined([made[n] for n in range(len(blocks))])

    def _changes(self, blocks: Sequence[Block]) -> BlockChanges:
        def spread(name: str) -> tuple[list[Any], Any]:
            pairs = [(number, row) for number, block in enumerate(blocks) for row in getattr(block, name)]
            return [row for _, row in pairs], np.array([number for number, _ in pairs], np.intp)

        (gone, gone_at), (rows, rows_at) = spread("gone"), spread("rows")
        (status, status_at), (moved, moved_at) = spread("status"), spread("moved")
        were = columns([self.drivers[row[0]] for row in moved])
        changes = columns([(number, 0, 0, 0, 0, 0, code) for number, code in status])
        by = MovedRows(columns(moved), were.lng_e5, were.lat_e5, were.at)
        return BlockChanges(
            np.array(gone, np.uint32), gone_at, columns(rows), rows_at, changes, status_at, by, moved_at
        )

    def lanes(self) -> Lanes:
        """Both sums of the state hash over all rows."""
        lanes = added_up(hash_drivers(columns(list(self.drivers.values()))))
        for record in self.rides.values():
            lanes = lanes.plus(hash_ride(record))
        return lanes


def frames() -> dict[str, bytes]:
    """All frames by name, in the order in which they are applied."""
    scenario = Scenario()
    return {name: message for part in (_beginning, _rows, _views, _edges) for name, message in part(scenario)}


Named = Iterator[tuple[str, bytes]]


def _beginning(scenario: Scenario) -> Named:
    yield "01-empty-image", scenario.cut(Cursor(EPOCH, 0, 1), T0, image=True)
    first: tuple[Driver, ...] = (
        (1, -7_398_000, 4_075_000, T0 - 900, 0, 0, 0),
        (13, -7_397_123, 4_076_543, T0 + 99, 64, 24, 1),
        (4_294_967_295, 18_000_000, -9_000_000, T0 - 4_900, 255, 255, 6),
    )
    yield "02-first-drivers", scenario.cut(Cursor(EPOCH, 3, 1), T0 + 100, Block(rows=first))
    yield (
        "03-rides-and-feed",
        scenario.cut(
            Cursor(EPOCH, 5, 9),
            T0 + 2_000,
            Block(rows=((13, -7_397_100, 4_076_550, T0 + 1_100, 65, 25, 2),)),
            rides={
                "r-1": ride("r-1", 1, 0, 0, T0 + 1_500),
                "Zz_09": ride("Zz_09", 2, 1, 13, T0 - 30_000),
                "a" * 40: ride(
                    "a" * 40, 5, 65_535, 1, T0 - 900_000, T0 - 890_000, T0 - 600_000, T0 - 580_000
                ),
            },
            feed=(
                b'[5,%d,"RideRequested",{"ride":"r-1"}]' % (T0 + 2_000),
                b'[6,%d,"RideOffered",{"ride":"Zz_09","driver":13,"attempt":1,"eta_s":240}]' % (T0 + 2_000),
                '[7,%d,"CommandRejected",{"reason":"Zürich is not here"}]'.encode() % (T0 + 2_000),
                b'[8,%d,"BatchClosed",{"batch":4,"count":4}]' % (T0 + 2_000),
            ),
        ),
    )


def _rows(scenario: Scenario) -> Named:
    moved: tuple[Driver, ...] = (
        (1, -7_397_990, 4_074_936, T0 + 100, 3, 20, 0),
        (13, -7_397_100, 4_076_550, T0 + 2_100, 65, 0, 2),
    )
    yield "04-moved", scenario.cut(Cursor(EPOCH, 7, 9), T0 + 2_200, Block(moved=moved))
    both: Driver = (13, -7_397_101, 4_076_614, T0 + 3_099, 66, 24, 2)
    yield (
        "05-moved-and-status",
        scenario.cut(
            Cursor(EPOCH, 9, 12),
            T0 + 3_200,
            Block(rows=((2, -7_390_000, 4_070_000, T0 + 3_000, 9, 9, 1),)),
            Block(status=((1, 1), (13, 3), (4_294_967_295, 0)), moved=(both,)),
            feed=(b'[11,%d,"BatchClosed",{"batch":5,"count":1}]' % (T0 + 3_200),),
        ),
    )
    crosses: Driver = (13, -7_396_100, 4_076_615, T0 + 4_100, 66, 24, 3)
    yield (
        "06-from-tile-to-tile",
        scenario.cut(
            Cursor(EPOCH, 12, 12),
            T0 + 4_200,
            Block(rows=(crosses,)),
            Block(gone=(2, 13)),
            Block(moved=((1, -7_397_800, 4_074_000, T0 + 4_000, 128, 30, 1),)),
        ),
    )


def _views(scenario: Scenario) -> Named:
    row: Driver = (77, -7_395_000, 4_077_000, T0 + 4_001, 1, 2, 5)
    inside = Block(gone=(1, 13, 99), rows=(row,))
    yield "07-a-new-view", scenario.cut(Cursor(EPOCH, 13, 12), T0 + 4_300, inside, generation=513)
    yield (
        "08-gone",
        scenario.cut(
            Cursor(EPOCH, 2**53 - 1, 15),
            T0 + 65_000,
            Block(gone=(77, 4_294_967_295)),
            stale=True,
            rides_gone=("Zz_09", "r-1"),
            feed=(b'[14,%d,"BatchClosed",{"batch":6,"count":1}]' % (T0 + 65_000),),
        ),
    )
    yield "09-beat", scenario.cut(Cursor(EPOCH, 2**53 - 1, 15), T0 + 65_000, stale=True)


def _edges(scenario: Scenario) -> Named:
    wrapped = T0 + 2**32 - T0 % 2**32
    west, east = -18_000_000, 18_000_000
    yield (
        "10-image-after-the-low-bits-wrapped",
        scenario.cut(
            Cursor(EPOCH, 70, 20),
            wrapped + 10,
            Block(
                rows=(
                    (7, west, -9_000_000, wrapped - 1, 128, 1, 3),
                    (8, east, 4_070_002, wrapped + 5, 129, 2, 4),
                    (9, -7_399_997, 4_070_003, wrapped + 10, 130, 3, 5),
                    (4_294_967_295, 0, 0, wrapped - 900, 0, 0, 1),
                )
            ),
            image=True,
            rides={
                "r2": ride("r2", 6, 2, 7, wrapped - 9, wrapped - 8, wrapped - 7, wrapped - 1, wrapped + 1)
            },
        ),
    )
    yield (
        "11-far-moves-across-the-wrap",
        scenario.cut(
            Cursor(EPOCH, 74, 20),
            wrapped + 1_100,
            Block(
                moved=(
                    (7, east, 9_000_000, wrapped + 999, 255, 255, 3),
                    (8, west, 4_070_001, wrapped + 4, 0, 0, 4),
                    (9, -7_400_061, 4_070_067, wrapped - 2_147_481_548, 1, 127, 5),
                    (4_294_967_295, -64, 63, wrapped + 36, 2, 128, 1),
                )
            ),
        ),
    )


def _driver(row: DriverRow) -> dict[str, Any]:
    return row._asdict()


def _ride(row: RideRow) -> dict[str, Any]:
    return row._asdict()


def described(cut: Update, client: Replica) -> dict[str, Any]:
    """The values that a decoder must read in an update, and the rows of a client after it."""
    return {
        "image": cut.is_image,
        "stale": cut.is_stale,
        "generation": cut.generation,
        "previous": {"loc": cut.loc_before, "ev": cut.ev_before},
        "next": {"epoch": EPOCH, "loc": cut.loc, "ev": cut.ev},
        "at_ms": cut.at_ms,
        "epoch_check": cut.epoch_check,
        "hash": list(cut.hash),
        "drivers_held": cut.drivers_held,
        "rides_held": cut.rides_held,
        "blocks": cut.blocks,
        "gone": list(cut.gone),
        "drivers": [_driver(row) for row in cut.drivers],
        "status": [list(pair) for pair in cut.status],
        "moved": [one._asdict() for one in cut.moved],
        "rides_gone": list(cut.rides_gone),
        "rides": [_ride(row) for row in cut.rides],
        "feed": [list(event) for event in cut.feed],
        "held": {
            "drivers": [_driver(client.drivers[k]) for k in sorted(client.drivers)],
            "rides": [_ride(client.rides[k]) for k in sorted(client.rides)],
        },
    }


def files() -> dict[str, bytes]:
    """Name → content of everything in the folder."""
    client, made = Replica(epoch=EPOCH), {}
    for name, message in frames().items():
        cut = decode_update(message)
        client.apply(cut)
        text = json.dumps(described(cut, client), indent=1, ensure_ascii=False)
        made[f"{name}.bin"], made[f"{name}.json"] = message, (text + "\n").encode()
    return made


def main() -> int:
    """Write the folder, or compare it with `--check`. Returns the exit code."""
    wanted = {FOLDER / name: content for name, content in files().items()}
    left_over = set(FOLDER.iterdir()) - wanted.keys()
    if left_over:
        print(f"delete what no frame is called any more: {sorted(left_over)}", file=sys.stderr)
    return write_or_check(wanted, sys.argv[1:]) or int(bool(left_over))


if __name__ == "__main__":
    sys.exit(main())
