# SPDX-License-Identifier: Apache-2.0
"""Many runs, in as many processes as asked for; the same whatever their number."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from dispatcher.policies.tuning import Tuning
from evaluate.bound import SPAN_S, Free, free_at, hindsight_s, regret
from evaluate.city import VirtualCity
from evaluate.meter import Meter, waits_s
from evaluate.setting import CITY, Setting
from simulator.streets import Streets
from taxi.roads import RoadNetwork, TripDemand

Row = dict[str, Any]


class Task(NamedTuple):
    """One run."""

    setting: Setting
    policy: str
    seed: int
    tuning: Tuning
    bound: bool


def run_all(tasks: Iterable[Task], jobs: int, tell: Callable[[Task, Row], None]) -> list[Row]:
    """A row for each task, in their order; `tell` hears of each as it is done."""
    tasks, rows = list(tasks), []
    if jobs == 1:
        for task in tasks:
            rows.append(run(task))
            tell(task, rows[-1])
        return rows
    with ProcessPoolExecutor(jobs, mp_context=get_context("forkserver")) as pool:
        for task, row in zip(tasks, pool.map(run, tasks), strict=True):
            rows.append(row)
            tell(task, row)
    return rows


def run(task: Task) -> Row:
    """Let one city live, and say what came of it."""
    setting = task.setting
    city = VirtualCity(_streets(), setting, task.policy, task.seed, tuning=task.tuning)
    opening = free_at(city, 0) if task.bound else None
    meter = Meter(city)
    meter.run()
    about = {"policy": task.policy, "load": setting.load, "seed": task.seed}
    row = {**about, **meter.row()}
    hindsight = _hindsight(city, meter, opening) if opening else None
    return {**row, "hindsight": hindsight} if hindsight else row


def _hindsight(city: VirtualCity, meter: Meter, opening: Free) -> Row | None:
    """The bound for the rides of the first hour; how far above it this is. None if none was picked up."""
    until_s = min(SPAN_S, city.setting.counts_until_s)
    rides = [ride for ride in meter.rides.values() if ride.requested_s < until_s]
    served_s = waits_s(rides)
    if not len(served_s):
        return None
    nearest = city.roads.nearest_node
    best_s = hindsight_s(
        city.roads,
        opening,
        np.array([ride.requested_s for ride in rides]),
        np.array([nearest(*ride.ends[0])[0] for ride in rides], np.intp),
        np.array([nearest(*ride.ends[1])[0] for ride in rides], np.intp),
    )
    return {"rides": len(rides), **regret(float(best_s.mean()), float(served_s.mean()))}


@cache
def _streets() -> Streets:
    """Once a process."""
    return Streets(RoadNetwork.load(CITY).prepare(), TripDemand.load(CITY))
