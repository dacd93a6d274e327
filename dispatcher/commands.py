# SPDX-License-Identifier: Apache-2.0
"""What riders and drivers ask for: each command is accepted by an event, or rejected by one that says why."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from dispatcher.batch import BatchInProgress
from dispatcher.batch_input import ReadCommand
from taxi import messages as m
from taxi.messages.states import ENDED, RideState
from taxi.state import REMEMBERED_MS, Ride
from taxi.tariff import fare_cents

_CLOCKS_APART_MS: Final = 60_000
"""By how much a sender's clock may be ahead of the broker's."""
_SUBJECT_MAX: Final = 40
"""Characters of a ride or driver id: the limit of what a sender can write to the log in its own words."""
SCENARIOS_MAX: Final = 8
"""So many may be under way at once: clients are sent all of them."""
_RIDE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)


def prepare(batch: BatchInProgress, commands: Iterable[ReadCommand]) -> None:
    """Find the streets of all requests in one go: one by one this is most of what a request costs."""
    requests = [read.command for read in commands if isinstance(read.command, m.RequestRide)]
    places = [place for request in requests for place in (request.pickup, request.dropoff)]
    batch.roads.nodes_of([place for place in places if batch.roads.city.in_bbox(*place)])


def run_command(batch: BatchInProgress, read: ReadCommand) -> None:
    """Answer one command by at least one event that carries its id; a repeat by none.

    Unless it was rejected as `NOT_YET` before: then nothing was decided, and the repeat is answered, too.
    """
    command = read.command
    if command.command_id in batch.city.commands:
        return
    batch.answering, batch.append_ms = (command.command_id, read.trace), read.append_ms
    if _is_too_old(read, batch.now_ms):
        batch.reject("too_old", _subject(command))
    else:
        _HANDLERS[type(command)](batch, command)
    batch.answering = None


def _is_too_old(read: ReadCommand, now_ms: int) -> bool:
    """Whether its id may have been answered and forgotten.

    An id is forgotten an hour after its answer, and the answer came no earlier than its sender asked, if the
    sender's clock is right to a minute: so a minute before the hour is over, nothing is decided any more.
    """
    asked_ms = read.command.asked_ms
    if asked_ms is None:
        return read.append_ms <= now_ms - REMEMBERED_MS
    return min(asked_ms, read.append_ms) <= now_ms - REMEMBERED_MS + _CLOCKS_APART_MS


def _subject(command: m.AnyCommand) -> str:
    """The ride, driver or scenario that a command is about: the key of its rejection."""
    return m.subject_of(command)[:_SUBJECT_MAX]


def _request(batch: BatchInProgress, command: m.RequestRide) -> None:
    if not _RIDE_ID.fullmatch(command.ride):
        batch.reject("bad_ride_id", _subject(command))
    elif command.ride in batch.city.rides:
        batch.reject("ride_exists", command.ride)
    elif batch.append_ms <= batch.city.time.before(batch.now_ms, batch.limits.patience_ms):
        batch.reject("patience_over", command.ride)
    elif not (batch.roads.contains(*command.pickup) and batch.roads.contains(*command.dropoff)):
        batch.reject("outside_city", command.ride)
    elif len(set(_ends(batch, command))) == 1:
        batch.reject("same_corner", command.ride)
    else:
        batch.emit(
            m.RideRequested,
            ride=command.ride,
            rider=command.rider,
            pickup=command.pickup,
            dropoff=command.dropoff,
        )


def _cancel(batch: BatchInProgress, command: m.CancelRide) -> None:
    ride = batch.city.rides.get(command.ride)
    if ride is None:
        batch.reject("unknown_ride", _subject(command))
    elif ride.state in ENDED:
        batch.reject("ended", ride.ride)
    elif ride.state is RideState.ON_TRIP:
        batch.reject("on_trip", ride.ride)
    else:
        batch.emit(m.RideCancelled, ride=ride.ride, driver=ride.driver, reason=command.reason[:_SUBJECT_MAX])


def _go_online(batch: BatchInProgress, command: m.GoOnline) -> None:
    driver = batch.city.drivers.get(command.driver)
    if not 0 < command.driver < 1 << 32:
        batch.reject("bad_driver", _subject(command))
    elif driver is not None and driver.on_shift and not driver.leaving:
        batch.reject("already_online", _subject(command))
    else:
        batch.emit(m.DriverCameOnline, driver=command.driver)


def _go_offline(batch: BatchInProgress, command: m.GoOffline) -> None:
    driver = batch.city.drivers.get(command.driver)
    if driver is None or not driver.on_shift or driver.leaving:
        batch.reject("not_online", _subject(command))
    else:
        batch.emit(m.DriverWentOffline, driver=command.driver)


def _answer(batch: BatchInProgress, command: m.AnswerOffer) -> None:
    ride = _ride_of(batch, command)
    if ride is not None and ride.ordered and ride.state is RideState.ASSIGNED and not command.accept:
        refuse_order(batch, ride)
        return
    if ride is None or ride.state is not RideState.OFFERED:
        batch.reject(_why_not(batch, command, "stale_offer"), _subject(command))
        return
    kind = m.RideAssigned if command.accept else m.OfferDeclined
    eta = {"eta_s": ride.eta_s} if command.accept else {}
    batch.emit(kind, ride=ride.ride, driver=command.driver, attempt=ride.attempt, **eta)


def refuse_order(batch: BatchInProgress, ride: Ride) -> None:
    """The driver won't take over: this ride alone waits again, whatever its chain became."""
    if batch.city.time.after(ride.driver_since_ms, batch.limits.refuse_ms) < batch.now_ms:
        batch.reject("too_late", ride.ride)
    else:
        batch.emit(m.RideReleased, ride=ride.ride, driver=ride.driver, attempt=ride.attempt, reason="refused")


def _report(batch: BatchInProgress, command: m.ReportProgress) -> None:
    ride, wanted = _ride_of(batch, command), _STAGES.get(command.stage)
    if wanted is None:
        batch.reject("unknown_stage", _subject(command))
        return
    if ride is None or ride.state is not wanted:
        is_early = ride is not None and ride.state < wanted
        reason = "too_early" if is_early else _why_not(batch, command, "stale_report")
        batch.reject(reason, _subject(command))
        return
    who = {"ride": ride.ride, "driver": command.driver}
    match command.stage:
        case "arrived":
            batch.emit(m.DriverArrived, **who, attempt=ride.attempt)
        case "picked_up":
            batch.emit(m.TripStarted, **who, attempt=ride.attempt)
        case "dropped_off":
            batch.emit(m.TripCompleted, **who, attempt=ride.attempt, **_trip(batch, ride))
        case _ if batch.city.time.after(ride.arrived_ms, batch.limits.no_show_ms) <= batch.now_ms:
            batch.emit(m.RideNoShow, **who)
        case _:
            batch.reject("too_early", ride.ride)


def _trip(batch: BatchInProgress, ride: Ride) -> dict[str, int]:
    """How long it took (city time), how far it was, what it costs."""
    trip_s = batch.city.time.between(ride.started_ms, batch.now_ms) // 1000
    trip_m = round(batch.roads.length_m(batch.roads.route(*_ends(batch, ride))))
    return {"trip_s": trip_s, "trip_m": trip_m, "fare_cents": fare_cents(trip_m, trip_s)}


def _ends(batch: BatchInProgress, ride: Ride | m.RequestRide) -> tuple[int, int]:
    return batch.roads.nearest_node(*ride.pickup)[0], batch.roads.nearest_node(*ride.dropoff)[0]


_STAGES: Final = {
    "arrived": RideState.ASSIGNED,
    "picked_up": RideState.ARRIVED,
    "no_show": RideState.ARRIVED,
    "dropped_off": RideState.ON_TRIP,
}
"""What a driver may report, and the state of the ride in which it makes sense."""


def _ride_of(batch: BatchInProgress, command: m.AnswerOffer | m.ReportProgress) -> Ride | None:
    """The ride that the driver is on, if it is the one and the attempt that the command means."""
    ride = batch.city.ride_of(command.driver)
    meant = ride is not None and (ride.ride, ride.attempt) == (command.ride, command.attempt)
    return ride if meant else None


def _why_not(batch: BatchInProgress, command: m.AnswerOffer | m.ReportProgress, stale: str) -> str:
    """Whether the ride or the attempt that it means is still to come, or is over (`stale`)."""
    ride = batch.city.rides.get(command.ride)
    if ride is None:
        return "unknown_ride"
    return "too_early" if ride.state not in ENDED and command.attempt > ride.attempt else stale


def _start_scenario(batch: BatchInProgress, command: m.StartScenario) -> None:
    if not m.SCENARIO_NAME.fullmatch(command.scenario):
        batch.reject("bad_scenario", _subject(command))
    elif command.scenario in batch.city.scenarios:
        batch.reject("scenario_under_way", command.scenario)
    elif len(batch.city.scenarios) >= SCENARIOS_MAX:
        batch.reject("too_many_scenarios", command.scenario)
    else:
        batch.emit(
            m.ScenarioStarted,
            scenario=command.scenario,
            title=command.title,
            lasts_s=command.lasts_s,
            area=command.area,
        )


def _stop_scenario(batch: BatchInProgress, command: m.StopScenario) -> None:
    if command.scenario not in batch.city.scenarios:
        batch.reject("scenario_not_under_way", _subject(command))
    else:
        batch.emit(m.ScenarioEnded, scenario=command.scenario, reason="stopped")


_HANDLERS: Final[dict[type[m.Command], Callable[[BatchInProgress, Any], None]]] = {
    m.RequestRide: _request,
    m.CancelRide: _cancel,
    m.GoOnline: _go_online,
    m.GoOffline: _go_offline,
    m.AnswerOffer: _answer,
    m.ReportProgress: _report,
    m.StartScenario: _start_scenario,
    m.StopScenario: _stop_scenario,
}
