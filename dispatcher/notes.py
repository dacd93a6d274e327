# SPDX-License-Identifier: Apache-2.0
"""What is counted and traced of a committed batch. Nothing here has a say in a decision."""

from collections import Counter
from typing import Final

from dispatcher.batch import Decided
from dispatcher.settings import Settings
from taxi import messages as m
from taxi.city import CityState
from taxi.runtime.env import Env
from taxi.states import RideState

METRICS: Final = {
    "dispatcher_batch_seconds": "From the cut of a batch to its commit.",
    "dispatcher_events_total": "Events committed, by type.",
    "dispatcher_rejections_total": "Commands refused, by reason.",
    "dispatcher_waiting_rides": "Rides that wait for a driver.",
    "dispatcher_lag_seconds": "How far log time is behind the clock.",
    "dispatcher_dead_letters_total": "Messages that could not be read, by topic.",
    "dispatcher_restarts_total": "Times that a city had to be taken over anew, by reason.",
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
        if event.command_id is not None:
            env.tracer.record(m.tag_of(event), trace, parent, event.at_ms, now_ms)
    waiting = sum(ride.state is RideState.REQUESTED for ride in city.rides.values())
    metrics.gauge("dispatcher_waiting_rides", waiting)
    metrics.gauge("dispatcher_lag_seconds", max(0, now_ms - city.now_ms) / 1000)
