# SPDX-License-Identifier: Apache-2.0
"""The fold of a city: which event may happen when, and what it leaves behind."""

from collections.abc import Callable
from typing import Any

import pytest

from taxi import messages as m
from taxi.messages.states import ENDED, DriverStatus, RideState
from taxi.state import ENDED_KEPT_MS, MOVES, REMEMBERED_MS, CityState, IllegalTransitionError, Touched

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
    """(row, column, what is there)."""
    head, *rows = [line.split() for line in table.strip().splitlines()]
    return [(row[0], column, cell) for row in rows for column, cell in zip(head, row[1:], strict=True)]


class Scenario:
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

    def until(self, state: str) -> "Scenario":
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
    scenario = Scenario().until(state)
    before = scenario.city.to_bytes()
    if after == ".":
        with pytest.raises(IllegalTransitionError):
            scenario.ride(event)
        assert scenario.city.to_bytes() == before
    else:
        touched = scenario.ride(event, driver=2 if event == "RideReassigned" else 1)
        assert scenario.city.rides["r1"].state is RideState[after]
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
def test_no_driver_moves_the_ride_of_another(event: str) -> None:
    state = next(state for name, state, after in cells(TABLE) if name == event and after != ".")
    scenario = Scenario().until(state)
    with pytest.raises(IllegalTransitionError):
        scenario.ride(event, driver=2)


@pytest.mark.parametrize("state", ["unknown", "off", "leaving", "lost", "busy"])
def test_only_who_is_idle_is_offered_a_ride(state: str) -> None:
    scenario = Scenario().until("OFFERED")
    match state:
        case "unknown":
            driver = 3
        case "off":
            driver = 2
            scenario.add(m.DriverWentOffline, driver=2)
        case "lost":
            driver = 2
            scenario.add(m.DriverLost, driver=2)
        case _:
            driver = 1
    if state == "leaving":
        scenario.add(m.DriverWentOffline, driver=1)
    with pytest.raises(IllegalTransitionError):
        scenario.add(m.RideOffered, ride="r1", driver=driver, attempt=2, eta_s=1, expires_ms=T0)


@pytest.mark.parametrize(("event", "state", "may"), cells(DRIVER_TABLE))
def test_what_may_happen_to_a_driver(event: str, state: str, may: str) -> None:
    scenario = Scenario()
    driver = 3 if state == "unknown" else 1
    if state in {"offered", "leaving"}:
        scenario.until("OFFERED")
    if state in {"lost", "lost_off"}:
        scenario.add(m.DriverLost, driver=1)
    if state in {"off", "leaving", "lost_off"}:
        scenario.add(m.DriverWentOffline, driver=1)
    before = scenario.city.to_bytes()
    kind = getattr(m, event)
    if may == ".":
        with pytest.raises(IllegalTransitionError):
            scenario.add(kind, driver=driver)
        assert scenario.city.to_bytes() == before
    else:
        assert scenario.add(kind, driver=driver) == Touched((driver,), ())


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
    scenario = Scenario().until(state)
    assert scenario.city.status(1) is status
    scenario.add(m.DriverLost, driver=1)
    assert scenario.city.status(1) is DriverStatus.LOST
    scenario.add(m.DriverFound, driver=1)
    assert scenario.city.status(1) is status
    assert scenario.city.status(77) is DriverStatus.OFFLINE


def test_a_driver_that_ends_the_shift_is_no_longer_lost() -> None:
    scenario = Scenario()
    scenario.add(m.DriverLost, driver=1)
    assert scenario.city.status(1) is DriverStatus.LOST
    scenario.add(m.DriverWentOffline, driver=1)
    assert scenario.city.status(1) is DriverStatus.OFFLINE
    again = Scenario()
    again.city = CityState.from_bytes(scenario.city.to_bytes())
    again.add(m.DriverCameOnline, driver=1)
    assert again.city.status(1) is DriverStatus.LOST, "nothing was heard of the driver since"
    again.add(m.DriverFound, driver=1)
    assert again.city.status(1) is DriverStatus.IDLE
    scenario.add(m.DriverFound, driver=1)
    assert scenario.city.status(1) is DriverStatus.OFFLINE


def test_a_driver_that_ends_the_shift_during_a_trip_is_lost_until_the_trip_is_over() -> None:
    scenario = Scenario().until("ON_TRIP")
    scenario.add(m.DriverLost, driver=1)
    scenario.add(m.DriverWentOffline, driver=1)
    assert scenario.city.status(1) is DriverStatus.LOST
    touched = scenario.add(m.RideCancelled, ride="r1", driver=1, reason="driver_lost")
    assert scenario.city.status(1) is DriverStatus.OFFLINE
    assert touched.drivers == (1,)


def test_a_ride_counts_from_the_first_driver_who_was_on_the_way() -> None:
    scenario = Scenario().until("ASSIGNED")
    first_ms = scenario.city.rides["r1"].assigned_ms
    scenario.at_ms += 10_000
    scenario.add(m.RideReassigned, ride="r1", driver=2, attempt=2, eta_s=30, from_driver=1)
    ride = scenario.city.rides["r1"]
    assert (ride.assigned_ms, ride.driver_since_ms, ride.driver) == (first_ms, first_ms + 10_000, 2)
    assert (ride.attempt, ride.eta_s) == (2, 30)
    scenario.add(m.RideReleased, ride="r1", driver=2, attempt=2, reason="refused")
    assert (ride.assigned_ms, ride.driver_since_ms) == (0, 0)
    scenario.at_ms += 10_000
    scenario.add(m.RideReassigned, ride="r1", driver=1, attempt=3, eta_s=20)
    assert ride.assigned_ms == ride.driver_since_ms == first_ms + 20_000


@pytest.mark.parametrize("state", ["OFFERED", "ASSIGNED", "ARRIVED"])
def test_a_ride_that_was_given_back_keeps_its_age_and_forgets_its_driver(state: str) -> None:
    scenario = Scenario().until(state)
    scenario.at_ms += 50_000
    assert scenario.ride("RideReleased").drivers == (1,)
    ride = scenario.city.rides["r1"]
    assert (ride.requested_ms, ride.driver, ride.refused, ride.attempt) == (T0, None, [1], 1)
    assert (ride.expires_ms, ride.assigned_ms, ride.arrived_ms) == (0, 0, 0)
    assert scenario.city.ride_of(1) is None


@pytest.mark.parametrize(("state", "total"), [(state.name, state.name.lower()) for state in sorted(ENDED)])
def test_every_end_is_counted_and_outlives_the_ride(state: str, total: str) -> None:
    scenario = Scenario().until(state)
    scenario.close()
    assert getattr(scenario.city.totals, total) == 1
    scenario.close(after_ms=ENDED_KEPT_MS - 1)
    assert "r1" in scenario.city.rides
    scenario.close(after_ms=1)
    assert not scenario.city.rides
    assert sum(getattr(scenario.city.totals, name) for name in scenario.city.totals.__struct_fields__) == 1


def test_rides_are_forgotten_in_the_order_in_which_they_ended_also_after_a_snapshot() -> None:
    scenario = Scenario()
    for name in ("r1", "r2", "r3"):
        scenario.add(m.RideRequested, ride=name, rider="ann", pickup=(0.0, 0.0), dropoff=(0.0, 1.0))
    scenario.close()
    for name in ("r3", "r1"):
        scenario.add(m.RideCancelled, ride=name, reason="rider")
        scenario.close(after_ms=1_000)
    scenario.city = CityState.from_bytes(scenario.city.to_bytes())
    scenario.close(after_ms=ENDED_KEPT_MS - 2_000)
    assert list(scenario.city.rides) == ["r1", "r2"]
    scenario.close(after_ms=1_000)
    assert list(scenario.city.rides) == ["r2"]


def test_a_ride_that_has_not_ended_is_never_forgotten() -> None:
    scenario = Scenario().until("ON_TRIP")
    scenario.close(after_ms=100 * ENDED_KEPT_MS)
    assert "r1" in scenario.city.rides


def test_a_command_is_known_for_exactly_an_hour_of_log_time() -> None:
    scenario = Scenario()
    scenario.add(m.CommandRejected, reason="why", subject="r1", command_id="early")
    scenario.close(after_ms=1_000)
    scenario.add(m.CommandRejected, reason="why", subject="r1", command_id="late")
    scenario.close()
    scenario.close(after_ms=REMEMBERED_MS - 1_001)
    assert set(scenario.city.commands) == {"early", "late"}
    scenario.close(after_ms=1)
    assert set(scenario.city.commands) == {"late"}
    scenario.close(after_ms=1_000)
    assert scenario.city.commands == {}


def test_the_command_of_an_event_that_can_not_be_is_not_remembered() -> None:
    scenario = Scenario()
    with pytest.raises(IllegalTransitionError):
        scenario.add(m.DriverFound, driver=1, command_id="c")
    assert scenario.city.commands == {}


@pytest.mark.parametrize(("batch", "at_ms"), [(1, T0), (3, T0), (2, T0 - 1)])
def test_batches_are_counted_one_by_one_and_time_never_goes_back(batch: int, at_ms: int) -> None:
    scenario = Scenario()
    scenario.close()
    with pytest.raises(IllegalTransitionError):
        scenario.city.apply(
            m.BatchClosed(batch=batch, at_ms=at_ms, count=1, commands_offset=0, locations_offset=0)
        )


@pytest.mark.parametrize("state", PATHS)
def test_a_state_survives_its_bytes(state: str) -> None:
    scenario = Scenario().until(state)
    scenario.add(m.PolicyActivated, policy="p", parameters={"a": 1}, seed=0, data_digest="", code_digest="")
    scenario.close(after_ms=5)
    again = CityState.from_bytes(scenario.city.to_bytes())
    assert again == scenario.city
    assert again.to_bytes() == scenario.city.to_bytes()


def test_where_rides_stand_is_known_after_the_facts_are_lost() -> None:
    scenario = Scenario()
    scenario.add(m.RideRequested, ride="r", rider="a", pickup=HERE, dropoff=THERE)
    assert list(scenario.city.by_state[RideState.REQUESTED]) == ["r"]
    scenario.add(m.EpochStarted, epoch="e", city="c", reason="events_lost")
    assert not any(scenario.city.by_state.values())
