# SPDX-License-Identifier: Apache-2.0
"""The fold of a city: which event may happen when, and what it leaves behind."""

from collections.abc import Callable
from typing import Any

import pytest

from taxi import messages as m
from taxi.city import ENDED_KEPT_MS, MOVES, REMEMBERED_MS, CityState, IllegalTransitionError, Touched
from taxi.states import ENDED, DriverStatus, RideState

T0 = 1_750_000_000_000
HERE, THERE = (-73.98, 40.75), (-73.97, 40.76)

TABLE = """
                 unknown REQUESTED OFFERED   ASSIGNED  ARRIVED   ON_TRIP   COMPLETED CANCELLED NO_SHOW EXPIRED
RideRequested  REQUESTED .         .         .         .         .         .         .         .       .
RideOffered      .       OFFERED   .         .         .         .         .         .         .       .
OfferDeclined    .       .         REQUESTED .         .         .         .         .         .       .
OfferExpired     .       .         REQUESTED .         .         .         .         .         .       .
RideAssigned     .       .         ASSIGNED  .         .         .         .         .         .       .
RideReassigned   .       ASSIGNED  .         ASSIGNED  .         .         .         .         .       .
RideReleased     .       .         REQUESTED REQUESTED REQUESTED .         .         .         .       .
DriverArrived    .       .         .         ARRIVED   .         .         .         .         .       .
TripStarted      .       .         .         .         ON_TRIP   .         .         .         .       .
TripCompleted    .       .         .         .         .         COMPLETED .         .         .       .
RideCancelled    .       CANCELLED CANCELLED CANCELLED CANCELLED CANCELLED .         .         .       .
RideNoShow       .       .         .         .         NO_SHOW   .         .         .         .       .
RideExpired      .       EXPIRED   .         .         .         .         .         .         .       .
"""
"""Event × state of the ride → the state it leads to; a dot: it may not be."""

DRIVER_TABLE = """
                   unknown  off   idle  offered leaving lost  lost_off
DriverCameOnline   yes      yes   .     .       yes     .     yes
DriverWentOffline  .        .     yes   yes     .       yes   .
DriverLost         .        .     yes   yes     yes     .     .
DriverFound        .        .     .     .       .       yes   yes
"""


def cells(table: str) -> list[tuple[str, str, str]]:
    """(row, column, what stands there)."""
    head, *rows = [line.split() for line in table.strip().splitlines()]
    return [(row[0], column, cell) for row in rows for column, cell in zip(head, row[1:], strict=True)]


class Story:
    """A city, one event after another; driver 1 is on shift, driver 2 too."""

    def __init__(self) -> None:
        self.city = CityState()
        self.at_ms = T0
        for driver in (1, 2):
            self.add(m.DriverCameOnline, driver=driver)

    def add(self, kind: Callable[..., Any], **fields: Any) -> Touched:
        return self.city.apply(kind(batch=self.city.batch + 1, at_ms=self.at_ms, **fields))

    def close(self, after_ms: int = 0) -> None:
        """The end of a batch."""
        self.at_ms += after_ms
        self.add(m.BatchClosed, count=1, commands_offset=0, locations_offset=0)

    def ride(self, name: str = "RideRequested", driver: int = 1) -> Touched:
        """This event of ride r1, with all the fields its kind has."""
        kind = getattr(m, name)
        fields = {
            "ride": "r1",
            "rider": "ann",
            "pickup": HERE,
            "dropoff": THERE,
            "driver": driver,
            "attempt": 1,
            "eta_s": 60,
            "expires_ms": self.at_ms + 12_000,
            "reason": "why",
            "trip_s": 300,
        }
        return self.add(kind, **{key: fields[key] for key in fields if key in kind.__struct_fields__})

    def until(self, state: str) -> "Story":
        """Ride r1 has come to this state."""
        for event in PATHS[state]:
            self.ride(event)
        return self


_TAKEN = ["RideRequested", "RideOffered", "RideAssigned"]
PATHS: dict[str, list[str]] = {
    "unknown": [],
    "REQUESTED": _TAKEN[:1],
    "OFFERED": _TAKEN[:2],
    "ASSIGNED": _TAKEN,
    "ARRIVED": [*_TAKEN, "DriverArrived"],
    "ON_TRIP": [*_TAKEN, "DriverArrived", "TripStarted"],
    "COMPLETED": [*_TAKEN, "DriverArrived", "TripStarted", "TripCompleted"],
    "CANCELLED": [*_TAKEN, "RideCancelled"],
    "NO_SHOW": [*_TAKEN, "DriverArrived", "RideNoShow"],
    "EXPIRED": ["RideRequested", "RideExpired"],
}


def test_the_table_speaks_of_every_event_of_a_ride_in_every_state() -> None:
    assert {event for event, _, _ in cells(TABLE)} == {kind.__name__ for kind in MOVES} | {"RideRequested"}
    assert {state for _, state, _ in cells(TABLE)} == {"unknown", *RideState.__members__}


@pytest.mark.parametrize(("event", "state", "after"), cells(TABLE))
def test_what_may_happen_to_a_ride(event: str, state: str, after: str) -> None:
    story = Story().until(state)
    before = story.city.to_bytes()
    if after == ".":
        with pytest.raises(IllegalTransitionError):
            story.ride(event)
        assert story.city.to_bytes() == before
    else:
        touched = story.ride(event, driver=2 if event == "RideReassigned" else 1)
        assert story.city.rides["r1"].state is RideState[after]
        assert touched.rides == ("r1",)


@pytest.mark.parametrize(
    "event",
    sorted(
        kind.__name__
        for kind in MOVES
        if "driver" in kind.__struct_fields__
        and kind not in {m.RideOffered, m.RideCancelled, m.RideReassigned}
    ),
)
def test_nobody_moves_the_ride_of_another_driver(event: str) -> None:
    state = next(state for name, state, after in cells(TABLE) if name == event and after != ".")
    story = Story().until(state)
    with pytest.raises(IllegalTransitionError):
        story.ride(event, driver=2)


@pytest.mark.parametrize("state", ["unknown", "off", "leaving", "lost", "busy"])
def test_only_who_is_idle_is_offered_a_ride(state: str) -> None:
    story = Story().until("OFFERED")
    match state:
        case "unknown":
            driver = 3
        case "off":
            driver = 2
            story.add(m.DriverWentOffline, driver=2)
        case "lost":
            driver = 2
            story.add(m.DriverLost, driver=2)
        case _:
            driver = 1
    if state == "leaving":
        story.add(m.DriverWentOffline, driver=1)
    with pytest.raises(IllegalTransitionError):
        story.add(m.RideOffered, ride="r1", driver=driver, attempt=2, eta_s=1, expires_ms=T0)


@pytest.mark.parametrize(("event", "state", "may"), cells(DRIVER_TABLE))
def test_what_may_happen_to_a_driver(event: str, state: str, may: str) -> None:
    story = Story()
    driver = 3 if state == "unknown" else 1
    if state in {"offered", "leaving"}:
        story.until("OFFERED")
    if state in {"lost", "lost_off"}:
        story.add(m.DriverLost, driver=1)
    if state in {"off", "leaving", "lost_off"}:
        story.add(m.DriverWentOffline, driver=1)
    before = story.city.to_bytes()
    kind = getattr(m, event)
    if may == ".":
        with pytest.raises(IllegalTransitionError):
            story.add(kind, driver=driver)
        assert story.city.to_bytes() == before
    else:
        assert story.add(kind, driver=driver) == Touched((driver,), ())


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("unknown", DriverStatus.IDLE),
        ("REQUESTED", DriverStatus.IDLE),
        ("OFFERED", DriverStatus.OFFERED),
        ("ASSIGNED", DriverStatus.TO_PICKUP),
        ("ARRIVED", DriverStatus.AT_PICKUP),
        ("ON_TRIP", DriverStatus.ON_TRIP),
        ("COMPLETED", DriverStatus.IDLE),
        ("CANCELLED", DriverStatus.IDLE),
        ("NO_SHOW", DriverStatus.IDLE),
        ("EXPIRED", DriverStatus.IDLE),
    ],
)
def test_a_status_follows_from_the_ride_and_a_lost_signal_hides_it(state: str, status: DriverStatus) -> None:
    story = Story().until(state)
    assert story.city.status(1) is status
    story.add(m.DriverLost, driver=1)
    assert story.city.status(1) is DriverStatus.LOST
    story.add(m.DriverFound, driver=1)
    assert story.city.status(1) is status
    assert story.city.status(77) is DriverStatus.OFFLINE


@pytest.mark.parametrize("state", ["OFFERED", "ASSIGNED", "ARRIVED"])
def test_a_ride_that_was_given_back_keeps_its_age_and_forgets_its_driver(state: str) -> None:
    story = Story().until(state)
    story.at_ms += 50_000
    assert story.ride("RideReleased").drivers == (1,)
    ride = story.city.rides["r1"]
    assert (ride.requested_ms, ride.driver, ride.refused, ride.attempt) == (T0, None, [1], 1)
    assert (ride.expires_ms, ride.assigned_ms, ride.arrived_ms) == (0, 0, 0)
    assert story.city.ride_of(1) is None


@pytest.mark.parametrize(("state", "total"), [(state.name, state.name.lower()) for state in sorted(ENDED)])
def test_every_end_is_counted_and_outlives_the_ride(state: str, total: str) -> None:
    story = Story().until(state)
    story.close()
    assert getattr(story.city.totals, total) == 1
    story.close(after_ms=ENDED_KEPT_MS - 1)
    assert "r1" in story.city.rides
    story.close(after_ms=1)
    assert not story.city.rides
    assert sum(getattr(story.city.totals, name) for name in story.city.totals.__struct_fields__) == 1


def test_a_ride_that_has_not_ended_is_never_forgotten() -> None:
    story = Story().until("ON_TRIP")
    story.close(after_ms=100 * ENDED_KEPT_MS)
    assert "r1" in story.city.rides


def test_a_command_is_known_for_exactly_an_hour_of_log_time() -> None:
    story = Story()
    story.add(m.CommandRejected, reason="why", subject="r1", command_id="early")
    story.close(after_ms=1_000)
    story.add(m.CommandRejected, reason="why", subject="r1", command_id="late")
    story.close()
    story.close(after_ms=REMEMBERED_MS - 1_001)
    assert set(story.city.commands) == {"early", "late"}
    story.close(after_ms=1)
    assert set(story.city.commands) == {"late"}
    story.close(after_ms=1_000)
    assert story.city.commands == {}


def test_the_command_of_an_event_that_can_not_be_is_not_remembered() -> None:
    story = Story()
    with pytest.raises(IllegalTransitionError):
        story.add(m.DriverFound, driver=1, command_id="c")
    assert story.city.commands == {}


@pytest.mark.parametrize(("batch", "at_ms"), [(1, T0), (3, T0), (2, T0 - 1)])
def test_batches_are_counted_one_by_one_and_time_never_goes_back(batch: int, at_ms: int) -> None:
    story = Story()
    story.close()
    with pytest.raises(IllegalTransitionError):
        story.city.apply(
            m.BatchClosed(batch=batch, at_ms=at_ms, count=1, commands_offset=0, locations_offset=0)
        )


@pytest.mark.parametrize("state", PATHS)
def test_a_state_survives_its_bytes(state: str) -> None:
    story = Story().until(state)
    story.add(m.PolicyActivated, policy="p", parameters={"a": 1}, seed=0, data_digest="", code_digest="")
    story.close(after_ms=5)
    again = CityState.from_bytes(story.city.to_bytes())
    assert again == story.city
    assert again.to_bytes() == story.city.to_bytes()


def test_where_rides_stand_is_known_after_the_facts_are_lost() -> None:
    story = Story()
    story.add(m.RideRequested, ride="r", rider="a", pickup=HERE, dropoff=THERE)
    assert list(story.city.by_state[RideState.REQUESTED]) == ["r"]
    story.add(m.EpochStarted, epoch="e", city="c", reason="events_lost")
    assert not any(story.city.by_state.values())
