# SPDX-License-Identifier: Apache-2.0
"""Cities in virtual time: repeatable, measured rightly, bounded from below."""

import json
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from dispatcher.policies.tuning import Tuning
from simulator.riders import EPOCH_MS, SLOT_MS
from simulator.settings import CityBehavior
from simulator.streets import Streets
from taxi.roads.grid import grid_city
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.runtime.machine_errors import LocalError
from taxistream.cli import app
from taxistream.cli.evaluate import numbers
from taxistream.tools.evaluate.bound import Free, hindsight_s
from taxistream.tools.evaluate.city import VirtualCity, tuned
from taxistream.tools.evaluate.demand import TestRiders
from taxistream.tools.evaluate.main import evaluate
from taxistream.tools.evaluate.metrics import EvaluationMetrics, gini
from taxistream.tools.evaluate.report import AGAINST, FIGURES, bound, summary, table, value
from taxistream.tools.evaluate.scenario import START_MS, Scenario

GRID = grid_city(8, 8)
STREETS = Streets(GRID, TripDemand.uniform(GRID.n_nodes))
SMALL = Scenario(drivers=30, hours=0.15, load=3.0, patience_s=90)


@cache
def metered(
    policy: str = "batched", seed: int = 1, setting: Scenario = SMALL, **tuning: int
) -> EvaluationMetrics:
    meter = EvaluationMetrics(VirtualCity(STREETS, setting, policy, seed, tuning=tuned(**tuning)))
    meter.run()
    return meter


def without_cpu(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("cpu")}


@pytest.mark.parametrize("policy", ["batched", "greedy", "fifo"])
def test_the_same_seed_gives_the_same_result(policy: str) -> None:
    again = metered.__wrapped__(policy)
    assert without_cpu(metered(policy).row()) == without_cpu(again.row())
    assert without_cpu(metered(policy, seed=2).row()) != without_cpu(metered(policy).row())


def test_every_ride_that_counts_was_picked_up_or_lost_patience() -> None:
    meter = metered(setting=Scenario(drivers=10, hours=0.15, load=20.0, patience_s=90))
    state = meter.city.city
    assert meter.row()["served"] < meter.row()["requests"]
    assert meter.row()["served"] == sum(ride.arrived_s is not None for ride in meter.counted())
    assert state.totals.expired > 0


def test_waits_and_kilometres_are_those_of_the_city() -> None:
    meter = metered()
    row = meter.row()
    assert row["requests"] > 20
    assert row["served"] == row["requests"]
    assert 0 < row["wait_s"]["p50"] <= row["wait_s"]["p99"]
    assert 0 < row["empty_km_share"] < 0.8
    assert 0 < row["utilisation"] < 1
    driven_m = meter.city.fleet.driven_m
    assert 0 < (meter.empty_m + meter.laden_m).sum() <= driven_m.sum() + 1e-6


def test_who_goes_far_is_counted_apart() -> None:
    busy = Scenario(drivers=20, hours=0.3, load=12.0, patience_s=120)
    alike, short_first = metered(setting=busy, trip_permille=0), metered(setting=busy, trip_permille=1_000)
    for meter in (alike, short_first):
        row = meter.row()
        long = sorted(meter.counted(), key=lambda ride: ride.trip_s)[row["requests"] * 3 // 4 :]
        assert row["long_trips"]["served_share"] == pytest.approx(
            np.mean([ride.arrived_s is not None for ride in long]), abs=1e-4
        )
    assert short_first.row()["long_trips"]["served_share"] < alike.row()["long_trips"]["served_share"]


def test_promises_are_kept_within_a_block() -> None:
    meter = metered(rematch_interval_ms=10**12)
    assert abs(meter.row()["eta_error_s"]["bias"]) < 200 / 6
    assert meter.row()["eta_error_s"]["p90"] < 2 * 200 / 6


def test_noise_makes_promises_worse_and_refusals_release_rides() -> None:
    noisy = metered(setting=msgspec.structs.replace(SMALL, noise=0.5, refuse=1.0), swap_price_ms=0)
    assert noisy.row()["eta_error_s"]["mean"] > metered().row()["eta_error_s"]["mean"]
    assert any(ride.refused for ride in noisy.city.city.rides.values())


def test_an_evening_peak_has_more_rides_in_its_middle() -> None:
    slots = [(START_MS - EPOCH_MS) // SLOT_MS + second for second in (0, 5_400)]
    riders = TestRiders(GRID, STREETS.demand, CityBehavior(), Scenario(load=1.0, peak=True), seed=1)
    before, top = (riders.mean_in(slot) for slot in slots)
    assert top == pytest.approx(0.884)
    assert before < 0.7 * top


def test_the_gini_coefficient() -> None:
    assert gini(np.array([3.0, 3.0, 3.0])) == pytest.approx(0)
    assert gini(np.array([0.0, 0.0, 0.0, 8.0])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0


def test_hindsight_takes_the_driver_that_an_earlier_ride_sets_free() -> None:
    roads = grid_city(6, 6)
    block_s = round(200 / 6)
    free = Free(np.zeros(1), np.array([0]))
    asked_s = np.array([0.0, 10_000.0])
    wait_s = hindsight_s(roads, free, asked_s, np.array([1, 3]), np.array([2, 5]))
    assert wait_s.tolist() == pytest.approx([block_s, block_s], abs=1)


def test_who_moves_only_after_a_request_waits_longer_than_hindsight() -> None:
    about: dict[str, Any] = {"drivers": 60, "hours": 0.2, "load": 0.6}
    report = evaluate(["greedy", "fifo"], [3], lambda _: None, with_bound=True, **about)
    regrets = report["bound"]["regret"]
    assert set(regrets) == {"greedy", "fifo"}
    assert all(regret > 0 for regret in regrets.values())
    assert len({row["bound_s"] for row in report["bound"]["rows"]}) == 1  # one for all policies
    assert bound(report["rows"]) == report["bound"]
    assert [row["policy"] for row in summary(report["rows"])] == ["greedy", "fifo"]


def test_where_no_rider_was_picked_up_there_is_no_bound() -> None:
    report = evaluate(["greedy"], [3], lambda _: None, with_bound=True, drivers=5, hours=0.01, load=0.001)
    assert [row["requests"] for row in report["rows"]] == [0]
    assert report["bound"] == {"rows": [], "regret": {}}


def test_the_command_prints_what_scripts_rely_on(tmp_path: Path) -> None:
    view = tmp_path / "waits.png"
    words = "evaluate --drivers 30 --hours 0.1 --patience 60 --seeds 4-5 --policy greedy --no-bound --json"
    done = CliRunner().invoke(app, [*words.split(), "--chart", str(view)])
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["seed"] for row in rows] == [4, 5]
    wanted = {"policy", "load", "seed", "requests", "served", "wait_s", "empty_km_share", "utilisation"}
    assert wanted | {"fairness_gini", "cpu_ms_per_batch"} <= set(rows[0])
    assert set(rows[0]["wait_s"]) == {"mean", "p50", "p90", "p99"}
    assert view.read_bytes().startswith(b"\x89PNG")


def test_the_table_is_whole_in_a_terminal_of_eighty_columns() -> None:
    row = {**metered().row(), "hindsight": {"regret": 0.371}}
    rows = [{**row, "policy": policy} for policy in ("batched", "greedy", "fifo")]
    terminal = StringIO()
    Console(width=80, file=terminal).print(table(rows, "load 0.9"))
    printed = terminal.getvalue()
    assert "…" not in printed
    for head, path, form in FIGURES:
        [line] = [line for line in printed.splitlines() if f"│ {head} " in line]
        if path == AGAINST:
            assert line.count("100.0%") == len(rows) - 1  # all but the baseline, in the same city
        else:
            assert line.count(form.format(value(row, path))) == len(rows)


def test_an_unknown_policy_is_named() -> None:
    done = CliRunner().invoke(app, ["evaluate", "--policy", "best"])
    assert done.exit_code == 2
    assert "--policy best: one of batched, greedy, fifo is wanted" in done.stderr


def test_seeds_are_ranges_and_lists() -> None:
    assert numbers("1-3,7") == [1, 2, 3, 7]
    assert numbers("1-3,2,1") == [1, 2, 3], "each counts once"
    for bad in ("", "a", "3-1", "3-1,7"):
        with pytest.raises(LocalError):
            numbers(bad)


def test_a_tuning_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError):
        tuned(nonsense=1)
    assert tuned() == Tuning()


def test_what_policies_learn_from_is_not_what_they_are_tested_on() -> None:
    demand = TripDemand.load("manhattan")
    halves = [demand.half(which) for which in (0, 1)]
    nodes = RoadNetwork.load("manhattan").n_nodes
    learned, tested = ({*(h.from_node.astype(int) * nodes + h.to_node).tolist()} for h in halves)
    assert not learned & tested
    assert sum(half.trips for half in halves) == demand.trips
    assert 0.45 < halves[0].trips / demand.trips < 0.55
