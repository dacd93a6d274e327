# SPDX-License-Identifier: Apache-2.0
"""Longer days of honest logs, which break no rule, and what may not be in the middle of them."""

import pytest

from tests.unit.audit.harness import LIMITS, Event, HandMadeLog, asked, event, honest_log
from tests.unit.audit.test_audit import exchanged, order, two_rides_under_way


def requested(ride: str) -> tuple[Event, bytes]:
    body = event("RideRequested", f"{ride}:ask", ride=ride, rider="eve", pickup=[0, 0], dropoff=[1, 1])
    return body, asked("RequestRide", f"{ride}:ask", ride=ride)


def offer(log: HandMadeLog, ride: str, driver: int, attempt: int = 1) -> Event:
    expires_ms = log.now_ms + 14_000
    return event("RideOffered", ride=ride, driver=driver, attempt=attempt, eta_s=6, expires_ms=expires_ms)


def offered(log: HandMadeLog, driver: int, ride: str = "r3") -> None:
    asks, command = requested(ride)
    log.batch(asks, offer(log, ride, driver), say=(command,))


def ends_the_shift(log: HandMadeLog, driver: int) -> None:
    text = f"{driver}:off"
    log.batch(event("DriverWentOffline", text, driver=driver), say=(asked("GoOffline", text, driver=driver),))


def test_an_offer_may_be_thought_over_until_it_lapses() -> None:
    log = honest_log()
    offered(log, driver=1)
    for _ in range(5):
        log.batch()
    log.batch(event("OfferExpired", ride="r3", driver=1, attempt=1))
    log.batch(offer(log, "r3", driver=2, attempt=2))
    assert log.broken() == set()


def test_an_offer_that_never_lapses_is_found() -> None:
    log = honest_log()
    offered(log, driver=1)
    for _ in range(8):
        log.batch()
    assert log.broken() == {"ride_never_ends"}


def test_chains_are_numbered_in_each_batch_alone() -> None:
    log = honest_log()
    exchanged(log)
    log.batch(order("r3", 1, 2, attempt=3), order("r4", 2, 1, attempt=3))
    assert log.broken() == set()


def test_who_was_lost_and_found_is_offered_rides_again() -> None:
    log = honest_log()
    for _ in range(2):
        log.batch(event("DriverLost", driver=1))
        log.batch(event("DriverFound", driver=1))
    offered(log, driver=1)
    assert log.broken() == set()


def test_who_is_lost_gives_the_ride_back_but_keeps_a_trip() -> None:
    log = honest_log()
    two_rides_under_way(log)
    for kind, text in (("DriverArrived", "r4:at"), ("TripStarted", "r4:go")):
        log.batch(event(kind, text, ride="r4", driver=2, attempt=1), say=(asked("ReportProgress", text),))
    log.batch(
        event("DriverLost", driver=1),
        event("RideReleased", ride="r3", driver=1, attempt=1, reason="driver_lost"),
        event("DriverLost", driver=2),
    )
    assert log.broken() == set()


def test_a_shift_that_ends_during_a_ride_ends_with_it_and_may_begin_again() -> None:
    log = honest_log()
    two_rides_under_way(log)
    ends_the_shift(log, 1)
    log.batch(
        event("DriverArrived", "r3:at", ride="r3", driver=1, attempt=1),
        say=(asked("ReportProgress", "r3:at"),),
    )
    log.batch(
        event("RideCancelled", "r3:no", ride="r3", driver=1, reason="rider"),
        say=(asked("CancelRide", "r3:no"),),
    )
    log.batch(event("DriverCameOnline", "1:again", driver=1), say=(asked("GoOnline", "1:again", driver=1),))
    offered(log, driver=1, ride="r5")
    assert log.broken() == set()


def test_the_name_of_a_ride_that_ended_long_ago_may_be_used_again() -> None:
    log = honest_log()
    offered(log, driver=1, ride="r1b")
    log.batch(
        event("RideCancelled", "x", ride="r1b", driver=1, reason="rider"), say=(asked("CancelRide", "x"),)
    )
    log.batch(later_ms=300_000)
    body, _ = requested("r1b")
    log.batch(
        {**body, "command_id": "again"}, offer(log, "r1b", driver=2), say=(asked("RequestRide", "again"),)
    )
    assert log.broken() == set()


@pytest.mark.parametrize("before", ["lost", "off", "leaves", "unknown"])
def test_a_ride_for_who_can_not_have_it_is_found(before: str) -> None:
    log = honest_log()
    driver = 7 if before == "unknown" else 1
    if before == "lost":
        log.batch(event("DriverLost", driver=1))
    elif before == "off":
        ends_the_shift(log, 1)
    elif before == "leaves":
        offered(log, driver=1, ride="r5")
        ends_the_shift(log, 1)
        log.batch(
            event("OfferDeclined", "r5:no", ride="r5", driver=1, attempt=1),
            say=(asked("AnswerOffer", "r5:no"),),
        )
    offered(log, driver)
    assert "illegal_transition" in log.broken()


@pytest.mark.parametrize("kind", ["DriverLost", "DriverWentOffline"])
def test_who_is_lost_or_off_can_not_become_so_again(kind: str) -> None:
    log = honest_log()
    log.batch(event(kind, driver=1))
    assert log.broken() == set()
    log.batch(event(kind, driver=1))
    assert log.broken() == {"illegal_transition"}


@pytest.mark.parametrize("forgotten", [0, 1])
def test_who_does_not_arrive_in_time_loses_the_ride(forgotten: int) -> None:
    log = honest_log()
    two_rides_under_way(log)
    log.batch(later_ms=LIMITS["pickup_ms_max"] - 2_000)
    released = [
        event("RideReleased", ride=ride, driver=driver, attempt=1, reason="overdue")
        for ride, driver in (("r3", 1), ("r4", 2))
    ]
    log.batch(*released[forgotten:])
    log.batch()
    log.batch()
    assert log.broken() == ({"ride_never_ends"} if forgotten else set())


def test_a_limit_may_wait_for_a_command_that_was_read_with_it() -> None:
    """The command is decided first, and the limit is looked at again by the next batch."""
    log = honest_log()
    offered(log, driver=1)
    for _ in range(6):
        log.batch()
    log.batch(event("OfferExpired", ride="r3", driver=1, attempt=1))
    assert log.broken() == set()


def test_a_dispatcher_that_left_commands_unread_may_leave_limits_alone() -> None:
    log = honest_log()
    offered(log, driver=1)
    for _ in range(20):
        log.batch(behind=True)
    assert log.broken() == set()
    for _ in range(3):
        log.batch()
    assert log.broken() == {"ride_never_ends"}


def test_where_many_rides_time_out_at_once_others_may_wait() -> None:
    log = honest_log()
    parameters = {**LIMITS, "timeouts_max": 1}
    log.batch(
        event("PolicyActivated", policy="fifo", parameters=parameters, seed=0, data_digest="", code_digest="")
    )
    for ride, driver in (("r3", 1), ("r4", 2)):
        log.batch(
            event("RideRequested", f"{ride}:ask", ride=ride, rider="a", pickup=[0, 0], dropoff=[1, 1]),
            offer(log, ride, driver=driver),
            say=(asked("RequestRide", f"{ride}:ask", ride=ride),),
        )
    for _ in range(5):
        log.batch()
    log.batch(event("OfferExpired", ride="r3", driver=1, attempt=1))
    log.batch()
    log.batch()
    assert log.broken() == set()
    log.batch()
    assert log.broken() == {"ride_never_ends"}, "r4 still waits"


def test_a_ride_that_is_asked_for_while_it_is_open_is_found_and_its_driver_is_free() -> None:
    log = honest_log()
    offered(log, driver=1)
    body, _ = requested("r3")
    log.batch({**body, "command_id": "again"}, say=(asked("RequestRide", "again"),))
    assert log.broken() == {"illegal_transition"}
    log.batch(event("RideCancelled", "no", ride="r3", reason="rider"), say=(asked("CancelRide", "no"),))
    offered(log, driver=1, ride="r4")
    found = log.audited()
    assert found.violations == {"illegal_transition": 1}
    assert found.open_rides == 1


# --- logs whose beginning is gone --------------------------------------------------------------------


def headless(kind: str, log: HandMadeLog) -> HandMadeLog:
    """The log from the batch of the last event of a kind on, and the end of the batch before."""
    log.cut_events = max(i for i, one in enumerate(log.events) if one["type"] == kind) - 1
    log.cut_commands = 3
    return log


def test_a_ride_whose_beginning_is_gone_is_counted_and_ends() -> None:
    found = headless("DriverArrived", honest_log()).audited()
    assert found.violations == {}
    assert (found.completed, found.open_rides) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "rule"), [({"driver": 2}, "ride_with_two_drivers"), ({"attempt": 2}, "illegal_transition")]
)
def test_what_was_said_first_of_a_ride_whose_beginning_is_gone_is_believed(changes: Event, rule: str) -> None:
    log = headless("DriverArrived", honest_log())
    log.rewrite("TripStarted", lambda body: body.update(changes))
    assert rule in log.broken()


def test_a_driver_who_was_on_a_ride_when_the_log_begins_is_not_idle() -> None:
    log = honest_log()
    two_rides_under_way(log)
    log.batch(
        event("DriverArrived", "r3:at", ride="r3", driver=1, attempt=1),
        say=(asked("ReportProgress", "r3:at"),),
    )
    headless("DriverArrived", log)
    assert log.broken() == set()
    offered(log, driver=1, ride="r5")
    assert log.broken() == {"driver_on_two_rides"}


def test_what_is_said_in_another_attempt_is_found() -> None:
    log = honest_log()
    log.rewrite("TripStarted", lambda body: body.update(attempt=2))
    assert log.broken() == {"illegal_transition"}
