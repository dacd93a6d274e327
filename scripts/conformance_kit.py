# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/kit: recorded logs, and the rows and hashes at positions in them.

For people who write a gateway or a client in another language: fold a log as docs/protocol.md says, and
compare at each position. The rows come from the gateway's city view. Those of recorded logs are checked
against an independent fold before they are written, those of `scripts.conformance_cases` against what the
cases state. The logs are recordings and stay as they are; `--record` makes new ones, `--check` compares what
is expected instead of writing it.
"""

import base64
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.updates.city_view import CityView, Span
from scripts.conformance_cases import EXPIRY_MS, T0, Case, Expectation, cases
from scripts.generated import write_or_check
from taxi import messages as m
from taxi import topics
from taxi.bus import Record, Writer
from taxi.bus.memory.bus import plain_broker
from taxi.bus.memory.log import LogEntry
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.client.rows import Update
from taxi.messages import codec
from taxi.positions.newest import NewestFixes
from taxi.state import CityState, snapshots
from taxi.state.snapshots import Body, Snapshot
from testing import gateway_log, recorded_log
from testing.foreign import FOREIGN_EVENTS, foreign_events
from testing.gateway_log import Log, Oracle, advance, booted
from testing.still_bus import StillBus, at_once

FOLDER: Final = Path(__file__).resolve().parents[1] / "tests" / "golden" / "kit"
POSITIONS: Final = 60
"""The number of positions in each log with expected rows."""
_DRAWN_SEED: Final = 23
_DRAWN_STEPS: Final = 400


_FOREIGN_SEED: Final = 31
_FOREIGN_STEPS: Final = 250
_GONE: Final = Record(0, 0, None, None)
_CITYS: Final = (7_001, 7_002)
"""Producer ids of the city in the log `foreign`: the second one succeeds the first in the middle."""

SPANS: Final = {
    "recorded": recorded_log.SPAN,
    "drawn": gateway_log.SPAN,
    "foreign": gateway_log.SPAN,
}
"""Log → how long rows live in it: shorter than in a real city, so that a small log shows expiry."""


def record() -> dict[Path, str]:
    """Make new recordings: a small city in virtual time, and random logs.

    One has late and invalid records, the other one events of other producers.
    """
    made = {
        "recorded": recorded_log.record(),
        "drawn": gateway_log.written(_DRAWN_SEED, _DRAWN_STEPS),
        "foreign": with_foreign_events(gateway_log.written(_FOREIGN_SEED, _FOREIGN_STEPS)),
    }
    return {FOLDER / f"{name}.log.jsonl": _jsonl(lines(log)) for name, log in made.items()}


def with_foreign_events(log: Log) -> Log:
    """The same city, written by two successive producers, with events of other producers between them."""
    draw, events = random.Random("foreign events"), list(log.events)
    log.events = []
    batches, change_at = len(log.closed) - 1, len(log.closed) // 2
    number = 1
    for record in events:
        event = codec.decode(topics.EVENTS, record)
        if isinstance(event, m.BatchClosed) and number == change_at:
            event = msgspec.structs.replace(event, previous_producer=_CITYS[0])
        _append(log, record.timestamp_ms, codec.encode(event), _CITYS[number >= change_at])
        if isinstance(event, m.BatchClosed):
            number += 1
        if draw.random() < (0.6 if isinstance(event, m.BatchClosed) else 0.1):
            for value in _foreign_values(draw, event.batch, event.at_ms):
                _append(log, record.timestamp_ms, value, draw.choice([None, 9_009, 9_010]))
    assert number == batches + 1
    return log


def _foreign_values(draw: random.Random, batch: int, at_ms: int) -> list[bytes]:
    """What another producer writes after a batch of the city."""
    kind = draw.choice([*FOREIGN_EVENTS, "junk", "a succession of somebody else"])
    if kind == "junk":
        return [draw.choice(gateway_log.JUNK)]
    if kind in FOREIGN_EVENTS:
        return [codec.encode(event) for event in foreign_events(kind, batch, at_ms)]
    when: dict[str, Any] = {"batch": batch + 1, "at_ms": at_ms}
    closed = m.BatchClosed(**when, count=1, commands_offset=0, locations_offset=0, previous_producer=9_008)
    return [codec.encode(closed)]


def _append(log: Log, append_ms: int, value: bytes, producer_id: int | None) -> None:
    offset = log.events[-1].offset + 1 if log.events else 0
    writer = Writer(producer_id, 0) if producer_id is not None else None
    log.events.append(Record(offset, append_ms, b"", value, (), writer))


def of_the_city(log: Log) -> Log:
    """Remove the events of other producers from a log of `with_foreign_events`."""
    events = [record for record in log.events if record.writer and record.writer.producer_id in _CITYS]
    return Log(log.locations, events or log.events)


def read(name: str) -> Log:
    """A recorded log. Raises OSError if there is none."""
    log = Log()
    for line in (FOLDER / f"{name}.log.jsonl").read_text(encoding="utf-8").splitlines():
        about = json.loads(line)
        is_text = "value" in about
        value = about["value"].encode() if is_text else base64.b64decode(about["value_base64"])
        topic = log.locations if about["topic"] == topics.LOCATIONS else log.events
        writer = Writer(about["producer_id"], 0) if "producer_id" in about else None
        topic.append(Record(about["offset"], about["append_ms"], b"", value, (), writer))
    return log


def lines(log: Log) -> Iterator[dict[str, Any]]:
    """The records of both topics as JSON objects, in the order of their append times."""
    records = [(topics.LOCATIONS, record) for record in log.locations]
    records += [(topics.EVENTS, record) for record in log.events]
    for topic, record in sorted(records, key=lambda each: (each[1].timestamp_ms, each[0], each[1].offset)):
        yield _line(topic, record)


def _line(topic: str, record: Record) -> dict[str, Any]:
    about = {"topic": topic, "offset": record.offset, "append_ms": record.timestamp_ms}
    by = {"producer_id": record.writer.producer_id} if record.writer is not None else {}
    return {**about, **by, **_value(record)}


def _value(record: Record) -> dict[str, str]:
    """A value as text if it is UTF-8, otherwise in base64."""
    value = record.value or b""
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def positions(oracle: Oracle) -> list[tuple[int, int]]:
    """Pairs (loc, ev) in ascending order, spread over the log."""
    log, draw = oracle.log, random.Random("conformance kit")
    pairs = []
    for loc in sorted(draw.sample(range(1, len(log.locations) + 1), min(POSITIONS, len(log.locations)))):
        append_ms = log.locations[loc - 1].timestamp_ms
        ev = max((ev for ev, at_ms in log.closed if at_ms <= append_ms), default=0)
        pairs.append((loc, max(ev, log.closed[1][0])))
    return pairs


def expected(oracle: Oracle, log: Log) -> Iterator[dict[str, Any]]:
    """The rows of a client of the whole city at each position. The oracle has only the city's events."""
    city_view: CityView | None = None
    for loc, ev in positions(oracle):
        if city_view is None and log.events == oracle.log.events:
            city_view = booted(oracle, loc, ev)
        elif city_view is None:
            city_view = CityView(CityState(), loc=0, ev=0, span=oracle.span, grid=oracle.grid)
            city_view.went_live(0)
        advance(city_view, log, loc, ev)
        cut = decode_update(city_view.diff(None, None, None))
        client = Replica(epoch=oracle.log.epoch)
        client.apply(cut)
        oracle.assert_right(client)
        yield _rows(client, cut)


def _rows(client: Replica, cut: Update) -> dict[str, Any]:
    return {
        "cursor": f"{client.epoch}:{cut.loc}:{cut.ev}",
        "cut_ms": cut.at_ms,
        "hash": list(cut.hash),
        "drivers": [list(client.drivers[number]) for number in sorted(client.drivers)],
        "rides": [list(client.rides[name]) for name in sorted(client.rides)],
    }


def case_lines() -> Iterator[dict[str, Any]]:
    """The hand-written cases, one object each. Raises AssertionError if the city view contradicts one."""
    for name, case in cases():
        log = [_line(topics.LOCATIONS, record) for record in case.log.locations]
        log += [_line(topics.EVENTS, record) for record in case.log.events]
        log += [_line(topics.SNAPSHOTS, record) for record in case.snapshots]
        expectations = [_expected_of(name, case, each) for each in case.expectations]
        about = {"name": name, "decides": case.decides, "row_expiry_ms": EXPIRY_MS}
        yield {**about, "log": log, "expected": expectations}


def _expected_of(name: str, case: Case, expectation: Expectation) -> dict[str, Any]:
    """What the city view holds after the records before two offsets, which is what the case states."""
    loc, events_end = expectation.locations_end, expectation.events_end
    span = Span(expiry_ms=EXPIRY_MS)
    begin = _snapshot_of(case) or Snapshot(
        events_offset=0, body=Body(state=CityState(), newest=NewestFixes())
    )
    ev, producer_id = begin.events_offset, begin.producer_id
    city_view = CityView(begin.state, loc=0, ev=ev, span=span, grid=gateway_log.GRID, producer_id=producer_id)
    city_view.fold_events([record for record in case.log.events if ev <= record.offset < events_end])
    city_view.fold_positions([record for record in case.log.locations if record.offset < loc])
    read: dict[str, Any] = {"locations_end": loc, "events_end": events_end}
    where = f"{name!r} after {events_end} events"
    assert (city_view.batches.gap is not None) == expectation.is_gap, f"{where}: {city_view.batches.gap}"
    if expectation.cursor_ev is None:
        if not expectation.is_gap:
            city_view.close()
            assert city_view.cursor is None, where
        return {**read, "cursor": None, "gap": expectation.is_gap}
    city_view.went_live(0)
    city_view.close()
    assert city_view.cursor is not None, where
    cut = decode_update(city_view.diff(None, None, None))
    client = Replica(epoch=city_view.cursor.epoch)
    client.apply(cut)
    cursor_loc = loc if expectation.cursor_loc is None else expectation.cursor_loc
    assert city_view.cursor == (expectation.epoch, cursor_loc, expectation.cursor_ev), (
        f"{where}: {city_view.cursor}"
    )
    _compare(client, cut.at_ms, expectation, where)
    return {**read, **_rows(client, cut)}


def _snapshot_of(case: Case) -> Snapshot | None:
    """The snapshot at which a reader begins; None if the case has none that belongs to its log."""
    broker = plain_broker()
    for topic, records in ((topics.EVENTS, case.log.events), (topics.SNAPSHOTS, case.snapshots)):
        broker.create_topic(topic)
        partition = broker.partition(topic, 0)
        partition.entries += [LogEntry(_GONE, None, is_marker=True)] * (records[0].offset if records else 0)
        partition.entries += [LogEntry(record, None, is_marker=False) for record in records]
        partition.start = records[0].offset if records else 0
    bus = StillBus(broker, everything=False)
    bounds = at_once(bus.offsets(topics.EVENTS, 0))
    return at_once(snapshots.newest_of_log(bus, 0, bounds))


def _compare(client: Replica, cut_ms: int, stated: Expectation, where: str) -> None:
    rows, rides = client.drivers, client.rides
    statuses = {number: row.status for number, row in rows.items()}
    states = {ride: (row.state, row.attempt, row.driver) for ride, row in rides.items()}
    assert stated.cut_ms in (None, cut_ms), f"{where}: cut time {cut_ms}"
    assert stated.drivers in (None, statuses), f"{where}: {statuses}"
    assert stated.rides in (None, states), f"{where}: {states}"
    for number, at_ms in (stated.device_ms or {}).items():
        assert rows[number].at_ms == at_ms, f"{where}: {rows[number]}"
    for number, place in (stated.places or {}).items():
        row = rows[number]
        assert (row.lng_e5, row.lat_e5, row.heading, row.speed) == place, f"{where}: {row}"
    for ride, times_ms in (stated.times_ms or {}).items():
        found = tuple(at_ms and at_ms - T0 for at_ms in rides[ride][-5:])
        assert found == times_ms, f"{where}: {ride} {found}"


def files() -> dict[Path, str]:
    """Path → what is expected of each log, and the settings it was recorded with."""
    made = {FOLDER / "cases.jsonl": _jsonl(case_lines())}
    for name, span in SPANS.items():
        log = read(name)
        citys = of_the_city(log)
        citys.index()
        made[FOLDER / f"{name}.expected.jsonl"] = _jsonl(expected(Oracle(citys, span), log))
        made[FOLDER / f"{name}.settings.json"] = json.dumps({"row_expiry_ms": span.expiry_ms}) + "\n"
    return made


def _jsonl(objects: Iterator[dict[str, Any]]) -> str:
    return "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in objects)


def main() -> int:
    """Record, write or check. Returns the exit code."""
    if "--record" in sys.argv[1:]:
        write_or_check(record(), [])
    return write_or_check(files(), sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
