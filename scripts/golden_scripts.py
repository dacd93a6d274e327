# SPDX-License-Identifier: Apache-2.0
"""Completes the fault scripts of tests/golden/scripts: the bytes of each update, the client's rows after it.

A script contains the cursors and the viewport of each update. This file contains the small city of the
updates and encodes them from docs/protocol.md alone, without code of the gateway. Run with `--check` to
compare instead of writing.
"""

import itertools
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent.parent / "tests" / "golden" / "scripts"
EPOCH: Final = "5e00c0ffee00beef"
GRID: Final = {"west_e5": -7_402_000, "south_e5": 4_070_000, "shift": 11, "columns": 4, "rows": 4}
T0: Final = 1_790_000_000_000
READY: Final = {
    "type": "ready",
    "v": 1,
    "session": "5e551011",
    "gateway": "gateway-1",
    "mode": "image",
    "epoch": EPOCH,
    "grid": GRID,
    "cut_interval_ms": 100,
    "beat_interval_ms": 1000,
}
_WORD: Final = 0xFFFFFFFF

Bbox = list[float] | None
Json = dict[str, Any]


class Row(NamedTuple):
    """A driver row."""

    driver: int
    lng: int
    lat: int
    at: int
    heading: int
    speed: int
    status: int


class City(NamedTuple):
    """The rows of the little city at a cursor, within a view."""

    cut_ms: int
    drivers: dict[int, Row]
    rides: dict[str, bytes]

    def lanes(self) -> tuple[int, int]:
        """The state hash."""
        parts = [_hash_driver(row) for row in self.drivers.values()]
        parts += [_hash_ride(record) for record in self.rides.values()]
        return sum(a for a, _ in parts) & _WORD, sum(b for _, b in parts) & _WORD


# --- the little city: six taxis and two rides; `loc` counts in tens, each batch has three events


def city_at(cursor: str, view: Bbox) -> City:
    """The rows at a cursor `loc:ev`."""
    loc, ev = (int(part) for part in cursor.split(":"))
    cut_ms, batch = T0 + loc * 10, (ev - 5) // 3
    rows = {row.driver: row for row in _drivers(loc, batch) if _tile(row.lng, row.lat) in _tiles(view)}
    return City(cut_ms, rows, _rides(batch))


def _drivers(loc: int, batch: int) -> list[Row]:
    at, step = (T0 + loc * 10 - 400) & _WORD, loc // 10
    rows = [
        Row(1, -7_401_500 + 30 * step, 4_071_000, at, 64, 16, 5),
        Row(2, -7_401_000, 4_076_000, at, 0, 0, min(1 + batch, 4)),
        Row(3, -7_399_990 + 15 * step, 4_073_000, at, 64, 12, 5),  # crosses into the next tile at loc 30
        Row(4, -7_396_500, 4_071_500 - 70 * step, at, 128, 20, 1),
    ]
    if loc < 40:
        rows.append(Row(5, -7_394_500, 4_077_700, (T0 - 30_000) & _WORD, 10, 0, 6))
    if loc >= 30:
        rows.append(Row(4_000_000_006, -7_399_000, 4_074_000, at, 250, 4, 1))
    return rows


def _rides(batch: int) -> dict[str, bytes]:
    rides = {"r-1": _ride("r-1", min(1 + batch, 4), 2 if batch else 0)}
    if batch < 2:
        rides["web-0"] = _ride("web-0", 6, 3)
    return rides


def _ride(name: str, state: int, driver: int) -> bytes:
    times = [T0 - 9_000, *(T0 - 8_000 if state > 2 else 0,), 0, 0, T0 - 10 if state == 6 else 0]
    head = struct.pack("<BBHI", len(name), state, 1 if driver else 0, driver)
    places = struct.pack("<4i", -7_400_900, 4_076_100, -7_396_000, 4_071_000)
    return _padded(head + places + struct.pack("<5I", *(time & _WORD for time in times)) + name.encode())


def _feed(old_ev: int, ev: int) -> list[Any]:
    events: list[Any] = []
    for end in range(old_ev + 3, ev + 1, 3):
        batch = (end - 5) // 3
        events += [
            [end - 3, T0 + batch, "RideOffered", {"ride": "r-1", "driver": 2, "attempt": 1, "eta_s": 90}],
            [end - 2, T0 + batch, "DriverCameOnline", {"driver": 9}],
            [end - 1, T0 + batch, "BatchClosed", {"batch": batch, "count": 3}],
        ]
    return events


def _tile(lng: int, lat: int) -> tuple[int, int]:
    column = (lng - GRID["west_e5"]) >> GRID["shift"]
    row = (lat - GRID["south_e5"]) >> GRID["shift"]
    return min(max(column, 0), GRID["columns"] - 1), min(max(row, 0), GRID["rows"] - 1)


def _tiles(view: Bbox) -> set[tuple[int, int]]:
    """The tiles of a bounding box. The scripts' boxes do not touch edges of tiles."""
    west, south, east, north = view or [-180.0, -90.0, 180.0, 90.0]
    low = _tile(round(west * 1e5), round(south * 1e5))
    high = _tile(round(east * 1e5), round(north * 1e5))
    return {(c, r) for c in range(low[0], high[0] + 1) for r in range(low[1], high[1] + 1)}


# --- encoding


def encode(cut: Json) -> bytes:
    """Encode an update as the script describes it, with its faults."""
    old_view, view = cut.get("old_view", cut.get("view")), cut.get("view")
    since, to = cut.get("from"), cut["to"]
    held = city_at(to, view)
    before = city_at(since, old_view) if since else City(0, {}, {})
    row = Row(*held.drivers[1]) if cut.get("spoil") == "row" else None
    if row:
        held.drivers[1] = row._replace(lat=row.lat + 1)
    drivers = _driver_section(before, held, moves=_is_step(cut))
    rides = _ride_section(before, held)
    events = _feed(*(int(c.split(":")[1]) for c in (since, to))) if since else []
    feed = struct.pack("<I", len(events)) + json.dumps(events).encode() if events else b""
    lanes = city_at(to, view).lanes()
    lane_a = lanes[0] ^ 1 if cut.get("spoil") == "hash" else lanes[0]
    old_loc, old_ev = (int(part) for part in since.split(":")) if since else (0, 0)
    loc, ev = (int(part) for part in to.split(":"))
    check = zlib.crc32(cut.get("epoch", EPOCH).encode())
    count = len(held.drivers) + (cut.get("spoil") == "count")
    header = struct.pack(
        "<BBH3I5Q6I",
        1,
        (not since) + 2 * cut.get("stale", False),
        cut.get("generation", 0),
        *(len(drivers), len(rides), len(feed)),
        *(old_loc, old_ev, loc, ev, held.cut_ms),
        *(check, lane_a, lanes[1], count, len(held.rides), 0),
    )
    whole = header + drivers + rides + feed
    return whole[:-5] if cut.get("spoil") == "short" else whole


def _is_step(cut: Json) -> bool:
    """Whether it may contain differences of rows: from the previous cursor, with the same viewport."""
    since = cut.get("from")
    if not since or "old_view" in cut:
        return False
    return int(cut["to"].split(":")[0]) - int(since.split(":")[0]) <= 10


def _driver_section(before: City, held: City, *, moves: bool) -> bytes:
    tiles = sorted({_tile(row.lng, row.lat) for row in (*before.drivers.values(), *held.drivers.values())})
    blocks = [_block(before, held, tile, moves=moves) for tile in tiles]
    blocks = [block for block in blocks if any(block[:20])]
    return struct.pack("<I", len(blocks)) + b"".join(blocks) if blocks else b""


def _block(before: City, held: City, tile: tuple[int, int], *, moves: bool) -> bytes:
    """The block of one tile: rows that left it, entered it, or changed in it."""
    old = {n: row for n, row in before.drivers.items() if _tile(row.lng, row.lat) == tile}
    new = {n: row for n, row in sorted(held.drivers.items()) if _tile(row.lng, row.lat) == tile}
    gone = sorted(n for n in old if n not in new)
    stay = {n: row for n, row in new.items() if n in old and moves}
    rows = [row for n, row in new.items() if n not in stay and old.get(n) != row]
    status = [row for n, row in stay.items() if row.status != old[n].status]
    moved = [(old[n], row) for n, row in stay.items() if row[:6] != old[n][:6]]
    moved_part = _moved(moved) if moved else b""
    head = struct.pack("<5I", len(gone), len(rows), len(status), len(moved), len(moved_part))
    return head + struct.pack(f"<{len(gone)}I", *gone) + _set(rows) + _status(status) + moved_part


def _set(rows: list[Row]) -> bytes:
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * 7
    return _padded(
        b"".join(struct.pack(f"<{len(rows)}{kind}", *c) for kind, c in zip("IiiIBBB", columns, strict=True))
    )


def _status(rows: list[Row]) -> bytes:
    numbers, states = [row.driver for row in rows], [row.status for row in rows]
    return _padded(struct.pack(f"<{len(rows)}I{len(rows)}B", *numbers, *states))


def _moved(rows: list[tuple[Row, Row]]) -> bytes:
    out = bytes(new.heading for _, new in rows) + bytes(new.speed for _, new in rows)
    numbers = [0, *(new.driver for _, new in rows)]
    out += b"".join(_varint(b - a) for a, b in itertools.pairwise(numbers))
    out += b"".join(_varint(_zigzag(new.lng - old.lng)) for old, new in rows)
    out += b"".join(_varint(_zigzag(new.lat - old.lat)) for old, new in rows)
    return _padded(out + b"".join(_varint(_zigzag(_signed(new.at - old.at - 1000))) for old, new in rows))


def _signed(word: int) -> int:
    word &= _WORD
    return word - 2**32 if word >= 2**31 else word


def _zigzag(value: int) -> int:
    return (value << 1 ^ value >> 31) & _WORD


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _ride_section(before: City, held: City) -> bytes:
    gone = sorted(before.rides.keys() - held.rides.keys())
    rides = [record for name, record in sorted(held.rides.items()) if before.rides.get(name) != record]
    if not gone and not rides:
        return b""
    names = b"".join(bytes([len(name)]) + name.encode() for name in gone)
    return struct.pack("<II", len(gone), len(rides)) + _padded(names) + b"".join(rides)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _fmix(h: int) -> int:
    h = (h ^ h >> 16) * 0x85EBCA6B & _WORD
    h = (h ^ h >> 13) * 0xC2B2AE35 & _WORD
    return h ^ h >> 16


def _hash_driver(row: Row) -> tuple[int, int]:
    x, y, s = row.lng & _WORD, row.lat & _WORD, row.status | row.heading << 8 | row.speed << 16
    k = _fmix(row.driver * 0x9E3779B1 + s * 0x27D4EB2F + row.at * 0x165667B1 + 1 & _WORD)
    return _fmix((x ^ k) * 0x85EBCA77 + y & _WORD), _fmix((y ^ k) * 0xC2B2AE3D + x & _WORD)


def _hash_ride(record: bytes) -> tuple[int, int]:
    a, b = 0x9747B28C, 0x5BD1E995
    for (word,) in struct.iter_unpack("<I", record):
        a = _fmix((a ^ word) * 0x85EBCA77 + 0x165667B1 & _WORD)
        b = _fmix((b + word & _WORD) * 0xC2B2AE3D + 0x27D4EB2F & _WORD)
    return a, b


# --- filling in


def fill(script: Json) -> Json:
    """The script with bytes, hashes and rows filled in."""
    spoiled: Json = {}
    for step in script["steps"]:
        if "cut" in step:
            step["hex"] = encode(step).hex()
            spoiled = step if "spoil" in step else spoiled
        elif step.get("message", {}).get("type") == "mismatch":
            step["message"] |= _lanes_of(spoiled)
        elif step.get("message", {}).get("type") == "ready":
            step["message"] = READY | step["message"]
        elif step.get("holds", {}).get("trusted"):
            step["holds"] |= _rows(step["holds"])
    return script


def _lanes_of(cut: Json) -> Json:
    """The hash that a client computes after a faulty update, and the one in the update."""
    held = city_at(cut["to"], cut.get("view"))
    received = list(held.lanes())
    if cut["spoil"] == "row":
        held.drivers[1] = held.drivers[1]._replace(lat=held.drivers[1].lat + 1)
    own = list(held.lanes())
    if cut["spoil"] == "hash":
        received[0] ^= 1
    return {"own": own, "received": received}


def _rows(holds: Json) -> Json:
    city = city_at(holds["cursor"].split(":", 1)[1], holds.get("view"))
    return {
        "drivers": {str(n): list(row[1:]) for n, row in sorted(city.drivers.items())},
        "rides": {name: record[1] for name, record in sorted(city.rides.items())},
        "hash": list(city.lanes()),
    }


def written(script: Json) -> str:
    """The script as JSON with one step in each line."""
    head = {name: value for name, value in script.items() if name != "steps"}
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    steps = [f"  {json.dumps(step, ensure_ascii=False)}" for step in script["steps"]]
    return "\n".join(["{", *lines, ' "steps": [', ",\n".join(steps), " ]", "}", ""])


def main() -> int:
    """Write all scripts, or compare them with `--check`. Returns the exit code."""
    changed = []
    for path in sorted(FOLDER.glob("*.json")):
        text = path.read_text("utf-8")
        wanted = written(fill(json.loads(text)))
        if wanted != text:
            changed.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(wanted, "utf-8")
    print(*changed, sep="\n", file=sys.stderr)
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
