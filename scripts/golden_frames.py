# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/frames: cuts as bytes, and beside each what a decoder must read in it.

The frames are one exchange, to be applied in the order of their names: each JSON also holds the rows that
a client has afterwards. Decoders in Python and TypeScript are held against them, so these bytes are the
protocol: a change here is a change of version. Run with --check to compare instead of writing.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gateway.columns import DriverColumns
from gateway.frame import Frame, ride_record
from gateway.hash import Lanes, hash_drivers, hash_ride
from taxi.cursor import Cursor
from taxi.stream import ClientState, Cut, DriverRow, RideRow, decode_cut

FOLDER = Path(__file__).parent.parent / "tests" / "golden" / "frames"
EPOCH = "5e0c0ffee0ddba11"
T0 = 1_764_000_000_000
"""Cut time of the first frame."""

Driver = tuple[int, int, int, int, int, int, int]
"""Number, lng_e5, lat_e5, device time, heading, speed, status."""


def columns(rows: list[Driver]) -> DriverColumns:
    """Rows as the encoder takes them."""
    kinds = (np.uint32, np.int32, np.int32, np.uint32, np.uint8, np.uint8, np.uint8)
    fields: Any = zip(*sorted(rows), strict=True) if rows else ((),) * 7
    masked = [[v & 0xFFFFFFFF for v in f] if i == 3 else list(f) for i, f in enumerate(fields)]
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


class Story:
    """Rows as they change from cut to cut, so that hashes and counts are told rightly."""

    def __init__(self) -> None:
        self.drivers: dict[int, Driver] = {}
        self.rides: dict[str, bytes] = {}
        self.cursor: Cursor | None = None

    def cut(
        self,
        to: Cursor,
        at_ms: int,
        *,
        image: bool = False,
        stale: bool = False,
        gone: tuple[int, ...] = (),
        drivers: tuple[Driver, ...] = (),
        rides_gone: tuple[str, ...] = (),
        rides: dict[str, bytes] | None = None,
        feed: tuple[bytes, ...] = (),
    ) -> bytes:
        """One frame from where the story stands to `to`."""
        if image:
            self.drivers, self.rides = {}, {}
        for number in gone:
            self.drivers.pop(number, None)
        for name in rides_gone:
            self.rides.pop(name, None)
        self.drivers |= {row[0]: row for row in drivers}
        self.rides |= rides or {}
        frame = Frame(
            since=None if image else self.cursor,
            cursor=to,
            at_ms=at_ms,
            stale=stale,
            lanes=self.lanes(),
            drivers_held=len(self.drivers),
            rides_held=len(self.rides),
            gone=gone,
            drivers=columns(list(drivers)),
            rides_gone=[name.encode() for name in rides_gone],
            rides=[record for _, record in sorted((rides or {}).items())],
            feed=feed,
        )
        self.cursor = to
        return frame.encode()

    def lanes(self) -> Lanes:
        """Over all rows held."""
        lanes = hash_drivers(columns(list(self.drivers.values())))
        for record in self.rides.values():
            lanes = lanes.plus(hash_ride(record))
        return lanes


def frames() -> dict[str, bytes]:
    """All frames by name, in the order in which they are applied."""
    story, made = Story(), {}
    made["01-empty-image"] = story.cut(Cursor(EPOCH, 0, 1), T0, image=True)
    made["02-first-drivers"] = story.cut(
        Cursor(EPOCH, 3, 1),
        T0 + 100,
        drivers=(
            (1, -7_398_000, 4_075_000, T0 - 900, 0, 0, 0),
            (13, -7_397_123, 4_076_543, T0 + 99, 64, 24, 1),
            (4_294_967_295, 18_000_000, -9_000_000, T0 - 4_900, 255, 255, 6),
        ),
    )
    made["03-rides-and-feed"] = story.cut(
        Cursor(EPOCH, 5, 9),
        T0 + 2_000,
        drivers=((13, -7_397_100, 4_076_550, T0 + 1_100, 65, 25, 2),),
        rides={
            "r-1": ride("r-1", 1, 0, 0, T0 + 1_500),
            "Zz_09": ride("Zz_09", 2, 1, 13, T0 - 30_000),
            "a" * 40: ride("a" * 40, 5, 65_535, 1, T0 - 900_000, T0 - 890_000, T0 - 600_000, T0 - 580_000),
        },
        feed=(
            b'[5,%d,"RideRequested",{"ride":"r-1"}]' % (T0 + 2_000),
            b'[6,%d,"RideOffered",{"ride":"Zz_09","driver":13,"attempt":1,"eta_s":240}]' % (T0 + 2_000),
            '[7,%d,"CommandRejected",{"reason":"Zürich is not here"}]'.encode() % (T0 + 2_000),
            b'[8,%d,"BatchClosed",{"batch":4,"count":4}]' % (T0 + 2_000),
        ),
    )
    made["04-gone"] = story.cut(
        Cursor(EPOCH, 2**53 - 1, 12),
        T0 + 61_000,
        stale=True,
        gone=(1, 4_294_967_295),
        rides_gone=("Zz_09", "r-1"),
        feed=(b'[11,%d,"BatchClosed",{"batch":5,"count":1}]' % (T0 + 61_000),),
    )
    made["05-beat"] = story.cut(Cursor(EPOCH, 2**53 - 1, 12), T0 + 61_000, stale=True)
    wrapped = T0 + 2**32 - T0 % 2**32
    made["06-image-after-the-low-bits-wrapped"] = story.cut(
        Cursor(EPOCH, 70, 20),
        wrapped + 10,
        image=True,
        drivers=(
            (7, -7_399_999, 4_070_001, wrapped - 1, 128, 1, 3),
            (8, -7_399_998, 4_070_002, wrapped + 5, 129, 2, 4),
            (9, -7_399_997, 4_070_003, wrapped + 10, 130, 3, 5),
        ),
        rides={"r2": ride("r2", 6, 2, 7, wrapped - 9, wrapped - 8, wrapped - 7, wrapped - 1, wrapped + 1)},
    )
    return made


def _driver(row: DriverRow) -> dict[str, Any]:
    return row._asdict()


def _ride(row: RideRow) -> dict[str, Any]:
    return row._asdict()


def described(cut: Cut, client: ClientState) -> dict[str, Any]:
    """What a decoder must read in a frame, and what a client holds after it."""
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
        "gone": list(cut.gone),
        "drivers": [_driver(row) for row in cut.drivers],
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
    client, made = ClientState(epoch=EPOCH), {}
    for name, message in frames().items():
        cut = decode_cut(message)
        client.apply(cut)
        text = json.dumps(described(cut, client), indent=1, ensure_ascii=False)
        made[f"{name}.bin"], made[f"{name}.json"] = message, (text + "\n").encode()
    return made


def main() -> int:
    """Write the folder, or compare with it."""
    wanted = files()
    if "--check" in sys.argv:
        found = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
        return 0 if found == wanted else 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in wanted.items():
        (FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
