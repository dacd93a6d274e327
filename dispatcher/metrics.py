# SPDX-License-Identifier: Apache-2.0
"""What is counted and traced of a committed batch. Nothing here has a say in a decision."""

from collections import Counter
from typing import Final

from dispatcher.batch import Decided
from dispatcher.market import OffMap
from dispatcher.settings import Settings
from taxi import messages as m
from taxi.city_time import CityTime
from taxi.messages.states import RideState
from taxi.runtime.env import Env
from taxi.state import CityState, Ride

METRICS: Final = {
    "dispatcher_batch_seconds": "From the end of a batch's input to its commit.",
    "dispatcher_events_total": "Events committed, by type.",
    "dispatcher_rejections_total": "Commands refused, by reason.",
    "dispatcher_eta_error_seconds": "How much later or earlier than promised a driver arrived, either way.",
    "dispatcher_late_seconds_total": "By how much drivers were later than promised, summed.",
    "dispatcher_early_seconds_total": "By how much drivers were earlier than promised, summed.",
    "dispatcher_speed": "How many times as fast as the clock the people of a city live.",
    "dispatcher_waiting_rides": "Rides that wait for a driver, by city.",
    "dispatcher_commands_behind": "Commands on the log that are not decided yet, by city.",
    "dispatcher_positions_behind": "Positions on the log that no batch has read yet, by city.",
    "dispatcher_drivers_off_map": "Idle drivers too far from any street to be offered rides, by city.",
    "dispatcher_lag_seconds": "How far log time is behind the clock, by city.",
    "dispatcher_dead_letters_total": "Messages that could not be read, by topic.",
    "dispatcher_dropped_positions_total": "Positions that do not count, by reason and city.",
    "dispatcher_passed_over_total": "Events of other producers on the log of a city.",
    "dispatcher_restarts_total": "Times that a city had to be taken over again, by reason.",
    "dispatcher_fenced_total": "Times that it lost its cities: by=group or producer says who refused it.",
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
        if isinstance(event, m.ClockSetBack):
            env.log.warning("the broker's clock was set back", city=city.city, shift_s=event.shift_ms / 1000)
        if isinstance(event, m.DriverArrived):
            _note_eta(env, city.time, city.rides[event.ride])
        if event.command_id is not None:
            env.tracer.record(m.tag_of(event), trace, parent, event.at_ms, now_ms)
    waiting = len(city.by_state[RideState.REQUESTED])
    metrics.gauge("dispatcher_waiting_rides", waiting, city=city.city)
    metrics.gauge("dispatcher_speed", city.time.speed, city=city.city)
    _note_off_map(env, city)
    metrics.gauge(
        "dispatcher_lag_seconds", max(0, now_ms + city.shift_ms - city.now_ms) / 1000, city=city.city
    )


def count_dropped(env: Env[Settings], city: str, reason: str, count: int) -> None:
    """So many positions do not count, for this reason."""
    env.metrics.count("dispatcher_dropped_positions_total", count, reason=reason, city=city)


def clear_metrics(env: Env[Settings], city: str) -> None:
    """Clear what was measured of the city, because this dispatcher no longer decides for it."""
    env.metrics.gauge("dispatcher_waiting_rides", 0, city=city)
    env.metrics.gauge("dispatcher_lag_seconds", 0, city=city)
    env.metrics.gauge("dispatcher_drivers_off_map", 0, city=city)
    env.faults.clear("drivers_off_the_map", about=city)


def _note_off_map(env: Env[Settings], city: CityState) -> None:
    """Idle drivers that get no offers because of their positions."""
    drivers = city.derived.get(OffMap, OffMap()).drivers
    env.metrics.gauge("dispatcher_drivers_off_map", len(drivers), city=city.city)
    if not drivers:
        env.faults.clear("drivers_off_the_map", about=city.city)
        return
    some = ", ".join(map(str, drivers[:3])) + (", …" if len(drivers) > 3 else "")
    text = (
        f"{len(drivers)} idle drivers are far from any street of {city.city} and get no offers ({some}): "
        "are their positions longitude and latitude, and is it their city?"
    )
    env.faults.report("drivers_off_the_map", text, about=city.city)


def _note_eta(env: Env[Settings], time: CityTime, ride: Ride) -> None:
    """The promise was made when this driver took the ride."""
    error_s = time.between(ride.driver_since_ms, ride.arrived_ms) / 1000 - ride.eta_s
    env.metrics.observe("dispatcher_eta_error_seconds", abs(error_s))
    name = "dispatcher_late_seconds_total" if error_s > 0 else "dispatcher_early_seconds_total"
    env.metrics.count(name, abs(error_s))
