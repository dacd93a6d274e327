# SPDX-License-Identifier: Apache-2.0
"""Executes runs in several processes. The results do not depend on the number of processes."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from dispatcher.policies.plugins import load
from dispatcher.policies.tuning import Tuning
from simulator.streets import Streets
from taxi.roads.network import RoadNetwork, TripDemand
from taxistream.tools.evaluate.bound import SPAN_S, Free, free_at, hindsight_s, regret
from taxistream.tools.evaluate.city import VirtualCity
from taxistream.tools.evaluate.metrics import EvaluationMetrics, waits_s
from taxistream.tools.evaluate.scenario import CITY, Scenario

Row = dict[str, Any]


class Task(NamedTuple):
    """The parameters of one run. `bound`: also compute its bound."""

    setting: Scenario
    policy: str
    """As `dispatcher.policies.plugins.load` takes it: another process has to load it, too."""
    seed: int
    tuning: Tuning
    bound: bool


def run_all(tasks: Iterable[Task], jobs: int, tell: Callable[[Task, Row], None]) -> list[Row]:
    """A row for each task, in their order. `tell` is called after each."""
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
    """Execute one run and return its row."""
    setting, policy = task.setting, load(task.policy).name
    city = VirtualCity(_streets(), setting, policy, task.seed, tuning=task.tuning)
    opening = free_at(city, 0) if task.bound else None
    meter = EvaluationMetrics(city)
    meter.run()
    about = {"policy": policy, "load": setting.load, "seed": task.seed}
    row = {**about, **meter.row()}
    hindsight = _hindsight(city, meter, opening) if opening else None
    return {**row, "hindsight": hindsight} if hindsight else row


def _hindsight(city: VirtualCity, meter: EvaluationMetrics, opening: Free) -> Row | None:
    """The bound of the first hour's rides and the regret; None if no ride was served."""
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
    """The streets, loaded once in each process."""
    return Streets(RoadNetwork.load(CITY).prepare(), TripDemand.load(CITY))
