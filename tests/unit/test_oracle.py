# SPDX-License-Identifier: Apache-2.0
"""The oracle names the rule that a log breaks, and folds every log that breaks none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxi.bus import Damaged, Record, Writer
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.errors import BrokenLogError

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden" / "log").glob("*.jsonl"))
BIRTH_MS = 1_000_000
HERE, THERE = [-73.98, 40.75], [-73.97, 40.76]
CITY = 7
"""A producer id."""
SHIFTS: list[dict[str, Any]] = [{"type": "DriverCameOnline", "driver": driver} for driver in (1, 2, 3)]
RIDES = [{"type": "RideRequested", "ride": f"r{n}", "pickup": HERE, "dropoff": THERE} for n in (1, 2)]
LIMITS = {"type": "PolicyActivated", "parameters": {"patience_ms": 60_000, "refuse_ms": 5_000}}


class Events:
    """A log of events, batch by batch. Each batch is a second after the one before."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.number = 0
        epoch = {"type": "EpochStarted", "epoch": "e", "city": "grid", "reason": "birth"}
        self.batch(epoch, LIMITS, *SHIFTS, *RIDES)

    def batch(self, *events: dict[str, Any], producer: int = CITY, **closed: Any) -> None:
        self.number += 1
        common = {"batch": self.number, "at_ms": BIRTH_MS + 1_000 * self.number}
        for event in events:
            self.add(producer, {**common, **event})
        count = {"type": "BatchClosed", "count": len(events) + 1}
        self.add(producer, {**common, **count, "commands_offset": 0, "locations_offset": 0, **closed})

    def add(self, producer: int, body: dict[str, Any]) -> None:
        value = json.dumps(body).encode()
        self.records.append(Record(len(self.records), BIRTH_MS, None, value, (), Writer(producer, 0)))

    def fold(self) -> OracleCity:
        city = OracleCity(0)
        city.feed_events(self.records, len(self.records))
        return city


def offer(ride: str, driver: int, attempt: int = 1) -> dict[str, Any]:
    return {"type": "RideOffered", "ride": ride, "driver": driver, "attempt": attempt}


def accepted(ride: str, driver: int) -> dict[str, Any]:
    return {"type": "RideAssigned", "ride": ride, "driver": driver}


def order(ride: str, driver: int, attempt: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "type": "RideReassigned",
        "ride": ride,
        "driver": driver,
        "attempt": attempt,
        "chain": "c",
        **more,
    }


def a_hole(log: Events) -> None:
    log.number += 1
    log.batch()


def another_number(log: Events) -> None:
    log.add(CITY, {"type": "DriverLost", "driver": 1, "batch": 9, "at_ms": BIRTH_MS})
    log.batch()


def half_a_chain(log: Events) -> None:
    log.batch(offer("r1", 1), accepted("r1", 1))
    log.batch(order("r1", 2, from_driver=1, moves=2))


def a_driver_taken_away(log: Events) -> None:
    log.batch(offer("r1", 1), accepted("r1", 1))
    log.batch(order("r2", 1, attempt=1))


def an_order_to_who_refused(log: Events) -> None:
    log.batch(offer("r1", 1), {"type": "OfferDeclined", "ride": "r1", "driver": 1})
    log.batch(order("r1", 1))


def refused_too_late(log: Events) -> None:
    log.batch(order("r1", 1, attempt=1))
    log.number += 6
    log.records += []
    log.add(CITY, {"type": "RideReleased", "ride": "r1", "driver": 1, "reason": "refused"} | when(3, 8))
    log.add(CITY, {"type": "BatchClosed", "count": 2} | when(3, 8))


def when(batch: int, second: int) -> dict[str, Any]:
    return {"batch": batch, "at_ms": BIRTH_MS + 1_000 * second}


BROKEN: dict[str, Callable[[Events], None]] = {
    "batch numbers have a hole": a_hole,
    "a batch with another's events": another_number,
    "a batch is not whole": lambda log: log.batch(count=3),
    "log time went back": lambda log: log.batch(at_ms=BIRTH_MS),
    "an event of an unknown type": lambda log: log.batch({"type": "DriverDanced", "driver": 1}),
    "an event that makes no sense": lambda log: log.batch({"type": "DriverLost"}),
    "a ride requested twice": lambda log: log.batch(RIDES[0]),
    "an impossible ride id": lambda log: log.batch({**RIDES[0], "ride": "ü"}),
    "an impossible place": lambda log: log.batch({**RIDES[0], "ride": "r9", "pickup": [1e300, 0]}),
    "illegal transition": lambda log: log.batch({"type": "TripStarted", "ride": "r1", "driver": 1}),
    "another driver's event": lambda log: log.batch(offer("r1", 1), accepted("r1", 2)),
    "a ride gave up before its time": lambda log: log.batch({"type": "RideExpired", "ride": "r1"}),
    "an offer to a driver who is not idle": lambda log: log.batch(offer("r1", 1), offer("r2", 1)),
    "an offer to a driver who refused the ride": lambda log: log.batch(
        offer("r1", 1), {"type": "OfferDeclined", "ride": "r1", "driver": 1}, offer("r1", 1, 2)
    ),
    "a drive for a driver who is not idle": lambda log: log.batch(
        offer("r1", 1), {"type": "DriverRepositioned", "driver": 1}
    ),
    "an order that does not know the state of the ride": lambda log: log.batch(order("r1", 1, attempt=5)),
    "an order to a driver who can't or won't": an_order_to_who_refused,
    "an order to a driver who has a rider or an offer": lambda log: log.batch(
        offer("r1", 1), order("r2", 1, attempt=1)
    ),
    "half a chain": half_a_chain,
    "a driver twice in the chains of a batch": lambda log: log.batch(
        order("r1", 1, attempt=1, moves=2), order("r2", 1, attempt=1, moves=2)
    ),
    "a driver on two rides, or a ride with none": a_driver_taken_away,
    "refused what was no order, or too late": refused_too_late,
}


@pytest.mark.parametrize("rule", BROKEN)
def test_the_rule_that_a_log_breaks_is_named(rule: str) -> None:
    log = Events()
    BROKEN[rule](log)
    with pytest.raises(BrokenLogError) as error:
        log.fold()
    assert error.value.args[0] == rule
    assert str(error.value).startswith(f"{rule}: ")


def test_what_another_producer_writes_is_passed_over() -> None:
    log = Events()
    log.batch({"type": "DriverDanced", "driver": 1}, producer=8)
    log.number -= 1
    log.batch({"type": "DriverLost", "driver": 1})
    city = log.fold()
    assert city.events.last.batch == 2
    assert len(city.events.source.foreign) == 2


def test_what_is_left_of_a_batch_that_the_disk_damaged_does_not_count() -> None:
    log = Events()
    log.add(CITY, {"type": "DriverLost", "driver": 1} | when(2, 2))
    at = len(log.records)
    log.records.append(Damaged(at, 0, None, None, reason="checksum", end=at + 1))
    log.number = 4
    log.batch({"type": "EpochStarted", "epoch": "f", "city": "grid", "reason": "events_lost"})
    assert (log.fold().events.last.epoch, log.fold().events.last.rides) == ("f", {})


def test_the_id_of_a_ride_may_come_again_four_minutes_after_its_end() -> None:
    log = Events()
    log.batch({"type": "RideCancelled", "ride": "r1"})
    late_ms = BIRTH_MS + 2_000 + 240_000
    log.batch(at_ms=late_ms)
    log.batch({**RIDES[0], "at_ms": late_ms + 5}, at_ms=late_ms + 5)
    assert log.fold().events.last.rides["r1"].requested_ms == late_ms + 5


def fix(driver: int, at_ms: int) -> bytes:
    return json.dumps({"type": "Fix", "driver": driver, "at_ms": at_ms, "lng": -73.98, "lat": 40.75}).encode()


def test_a_clock_that_was_set_back_before_reading_begins_is_taken_from_the_events() -> None:
    log = Events()
    log.batch({"type": "ClockSetBack", "locations_from": 50, "shift_ms": 90_000})
    city = OracleCity(100)
    city.feed_events(log.records, len(log.records))
    city.feed_positions([Record(100, BIRTH_MS, None, fix(1, BIRTH_MS))], 101)
    assert city.positions.clock_ms(101) == BIRTH_MS + 90_000


def test_positions_wait_for_the_event_that_says_by_how_much_the_clock_was_set_back() -> None:
    log, city = Events(), OracleCity(0)
    times_ms = [BIRTH_MS] * 5 + [BIRTH_MS - 60_000] * 5
    city.feed_positions([Record(at, ms, None, fix(1, ms)) for at, ms in enumerate(times_ms)], 10)
    assert city.positions.end == 7, "the median of five has not fallen before"
    log.batch({"type": "ClockSetBack", "locations_from": 7, "shift_ms": 60_000})
    city.feed_events(log.records, len(log.records))
    assert (city.positions.end, city.positions.set_backs) == (10, [(7, 60_000)])
    whole = OracleCity(0, is_whole=True)
    whole.feed_positions([Record(at, ms, None, fix(1, ms)) for at, ms in enumerate(times_ms)], 10)
    assert whole.positions.set_backs == [(7, 60_000)], "computed without any event"


def test_records_behind_the_last_position_are_known() -> None:
    """Control records of a transaction have offsets, but no reader gets them."""
    city = OracleCity(0)
    city.feed_positions([Record(0, BIRTH_MS, None, fix(1, BIRTH_MS))], 2)
    assert city.knows((2, 0))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_log_of_each_schema_version_breaks_no_rule(path: Path) -> None:
    records = [Record(at, 0, None, line) for at, line in enumerate(path.read_bytes().splitlines())]
    city = OracleCity(0, is_whole=True)
    city.feed_events(records, len(records))
    assert city.events.last.ev == len(records)
    assert len(city.events.events) == len(records)


RAIN: dict[str, Any] = {"type": "ScenarioStarted", "scenario": "rain", "title": "Rain", "lasts_s": 60}
RAIN_OVER: dict[str, Any] = {"type": "ScenarioEnded", "scenario": "rain"}


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        ([[RAIN], [RAIN]], "under way already"),
        ([[RAIN_OVER]], "not under way"),
        ([[RAIN], [RAIN_OVER], [RAIN_OVER]], "not under way"),
    ],
)
def test_a_scenario_that_begins_twice_or_ends_unbegun_breaks_the_log(
    batches: list[list[dict[str, Any]]], says: str
) -> None:
    events = Events()
    for batch in batches:
        events.batch(*batch)
    with pytest.raises(BrokenLogError, match=says):
        events.fold()


def test_the_feed_says_which_scenario_began_and_why_it_ended() -> None:
    events = Events()
    events.batch(RAIN)
    events.batch(RAIN_OVER)
    fed = [entry[2:] for entry in events.fold().events.feed_between(0, len(events.records))]
    assert ["ScenarioStarted", {"scenario": "rain", "title": "Rain"}] in fed
    assert ["ScenarioEnded", {"scenario": "rain", "reason": "over"}] in fed
