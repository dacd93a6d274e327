# SPDX-License-Identifier: Apache-2.0
"""What is counted and traced of a committed batch. Nothing here has a say in a decision."""

from collections import Counter
from typing import Final

from dispatcher.batch import Decided
from dispatcher.settings import Settings
from taxi import messages as m
from taxi.city import CityState, Ride
from taxi.runtime.env import Env
from taxi.states import RideState

METRICS: Final = {
    "dispatcher_batch_seconds": "From the cut of a batch to its commit.",
    "dispatcher_events_total": "Events committed, by type.",
    "dispatcher_rejections_total": "Commands refused, by reason.",
    "dispatcher_eta_error_seconds": "How much later or earlier than promised a driver arrived, either way.",
    "dispatcher_late_seconds_total": "By how much drivers were later than promised, summed.",
    "dispatcher_early_seconds_total": "By how much drivers were earlier than promised, summed.",
    "dispatcher_waiting_rides": "Rides that wait for a driver, by city.",
    "dispatcher_lag_seconds": "How far log time is behind the clock, by city.",
    "dispatcher_dead_letters_total": "Messages that could not be read, by topic.",
    "dispatcher_restarts_total": "Times that a city had to be taken over anew, by reason.",
    "dispatcher_fenced_total": "Times that a city was found in another's hands; by whom one learned it.",
    "dispatcher_cities": "Cities that this dispatcher decides for now.",
}


def note(env: Env[Settings], city: CityState, decided: list[Decided]) -> None:
    """Count and trace what was committed."""
    metrics, now_ms = env.metrics, env.now_ms()
    for kind, count in sorted(Counter(m.tag_of(one.event) for one in decided).items()):
        metrics.count("dispatcher_events_total", count, type=kind)
    for event, trace, parent in decided:
        if isinstance(event, m.CommandRejected):
            metrics.count("dispatcher_rejections_total", reason=event.reason)
        if isinstance(event, m.DriverArrived):
            _note_eta(env, city.rides[event.ride])
        if event.command_id is not None:
            env.tracer.record(m.tag_of(event), trace, parent, event.at_ms, now_ms)
    waiting = sum(ride.state is RideState.REQUESTED for ride in city.rides.values())
    metrics.gauge("dispatcher_waiting_rides", waiting, city=city.city)
    metrics.gauge("dispatcher_lag_seconds", max(0, now_ms - city.now_ms) / 1000, city=city.city)


def forget(env: Env[Settings], city: str) -> None:
    """The city is another's now: what was measured of it here says nothing any more."""
    env.metrics.gauge("dispatcher_waiting_rides", 0, city=city)
    env.metrics.gauge("dispatcher_lag_seconds", 0, city=city)


def _note_eta(env: Env[Settings], ride: Ride) -> None:
    """The promise was made when this driver took the ride."""
    error_s = (ride.arrived_ms - ride.driver_since_ms) / 1000 - ride.eta_s
    env.metrics.observe("dispatcher_eta_error_seconds", abs(error_s))
    name = "dispatcher_late_seconds_total" if error_s > 0 else "dispatcher_early_seconds_total"
    env.metrics.count(name, abs(error_s))
