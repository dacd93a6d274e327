# SPDX-License-Identifier: Apache-2.0
"""Scenarios do what their files say while the log says that they are under way, and nothing otherwise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from simulator.draws import Floats
from simulator.riders import Riders
from simulator.scenario_effects import ScenarioEffects
from simulator.settings import OWN_SCENARIOS, CityBehavior, Settings
from simulator.streets import Streets
from simulator.world import World
from taxi import messages as m
from taxi.roads.city import city_names
from taxi.runtime.settings import SettingsError
from taxi.scenarios import DemandStep, ScenarioArea, ScenarioError, ScenarioPlan, load_plans
from taxi.state import CityState
from testing.simulator_obliging import Obliging
from testing.simulator_worlds import QUICK, START_MS, world_of
from tests.unit.simulator.harness import SimulatorHarness

PLANS = load_plans(OWN_SCENARIOS)
NAMES = [
    "demand-double",
    "demand-half",
    "demand-triple",
    "no-network",
    "rain",
    "rush-hour",
    "stadium",
    "strike",
]
MINUTE_MS = 60_000


def plan(**fields: object) -> ScenarioPlan:
    usual = {"title": "T", "about": "A.", "lasts_s": 600, "assumptions": ("a",), "sources": ("s",)}
    return ScenarioPlan(**(usual | fields))  # type: ignore[arg-type]


def disc(streets: Streets, radius_m: int = 250) -> ScenarioArea:
    lng, lat = streets.roads.nodes.mean(axis=0).tolist()
    return ScenarioArea(lng, lat, radius_m)


class ScenarioWorld:
    """A world, its dispatcher, and one scenario `s`."""

    def __init__(self, streets: Streets, of: ScenarioPlan, *, n: int = 40, rate_per_s: float = 0.2) -> None:
        self.dispatcher = Obliging()
        self.world = self._made(streets, of, n, rate_per_s)
        self.now_ms = START_MS
        self.said: list[m.AnyCommand] = []
        self._waiting: list[m.AnyCommand] = []
        self.plan = of

    @staticmethod
    def _made(streets: Streets, of: ScenarioPlan, n: int, rate_per_s: float) -> World:
        world = world_of(streets, n, rate_per_s=rate_per_s)
        world.scenarios = ScenarioEffects({"s": of}, streets, 7)
        return world

    def live(self, seconds: float) -> list[m.AnyCommand]:
        """What was said meanwhile."""
        first = len(self.said)
        for _ in range(int(seconds * 10)):
            tick = (self.now_ms - START_MS) // 100
            self.world.tick(tick, self.now_ms)
            self._waiting += self.world.take_commands()
            if tick % 10 == 9:
                self._decide()
            self.now_ms += 100
        return self.said[first:]

    def start(self) -> None:
        self._waiting.append(self.plan.start("s", "grid", "start"))
        self._decide()

    def stop(self) -> None:
        self._waiting.append(m.StopScenario(command_id="stop", scenario="s"))
        self._decide()

    def _decide(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.said += waiting
        self.world.hear(self.dispatcher.decide(waiting, self.now_ms), self.now_ms)


def requests(said: list[m.AnyCommand]) -> list[m.RequestRide]:
    return [command for command in said if isinstance(command, m.RequestRide)]


# --- files ---------------------------------------------------------------------------------------------


def test_the_scenarios_of_the_package_are_these() -> None:
    assert list(PLANS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_scenario_can_take_place_in_each_city(name: str) -> None:
    for city in city_names():
        command = PLANS[name].start(name, city, "c")
        assert (command.area is None) == (not PLANS[name].areas)


@pytest.mark.parametrize("name", NAMES)
def test_areas_have_streets_and_riders(name: str, manhattan: Streets) -> None:
    if (area := PLANS[name].areas.get("manhattan")) is None:
        return
    effects = ScenarioEffects({}, manhattan, 1)
    inside = effects._inside(area.disc, manhattan.roads.nodes)
    begun = np.isin(manhattan.demand.from_node, np.flatnonzero(inside))
    assert manhattan.demand.count[begun].sum() / manhattan.demand.trips > 0.01


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    (folder / name).write_text(text)
    return folder


GOOD = """
title = "Mine"
about = "Something."
lasts_s = 60
assumptions = ["a"]
sources = ["s"]
"""


def test_a_folder_of_ones_own_is_read(tmp_path: Path) -> None:
    plans = load_plans(write(tmp_path, f"{GOOD}drive_percent = 150"))
    assert plans["mine"].drive_percent == 150


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "mine.toml: "),
        ("", "missing required field `title`"),
        (f"{GOOD}drivepercent = 150", "unknown field `drivepercent`"),
        (f"{GOOD}drive_percent = 5", "`int` >= 20"),
        (GOOD, "it does nothing"),
        (f"{GOOD}silent = true", "needs `areas`"),
        (f"{GOOD}demand = [{{after_s = 60, factor = 2}}]", "begins after `lasts_s`"),
        (f"{GOOD}demand = [{{after_s = 5, factor = 2}}, {{after_s = 5, factor = 3}}]", "must grow"),
        (f"{GOOD}demand = [{{after_s = 5, factor = -2}}]", ">= 0"),
        (f"{GOOD}offline_share = 1.5", "<= 1"),
        (f"{GOOD}silent = true\n[areas.grid]\nlng = 200\nlat = 0\nradius_m = 5", "<= 180"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ScenarioError, match=r"mine\.toml: ") as raised:
        load_plans(write(tmp_path, text))
    assert says in str(raised.value)


def test_a_file_with_an_impossible_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="name is a letter"):
        load_plans(write(tmp_path, GOOD, "My Scenario.toml"))


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"TAXI_SCENARIOS": "rain,snow"}, "no scenario 'snow'; there are: demand-double, demand-half"),
        ({"TAXI_SCENARIOS_DIR": "/nowhere"}, "it can't be read"),
    ],
)
def test_a_setting_that_names_what_is_not_there_is_an_error(variables: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(variables)
    assert says in str(raised.value)


def test_a_scenario_without_an_area_in_the_city_is_an_error(tmp_path: Path) -> None:
    text = f"{GOOD}silent = true\n[areas.atlantis]\nlng = 0\nlat = 0\nradius_m = 5"
    variables = {"TAXI_SCENARIOS": "mine", "TAXI_SCENARIOS_DIR": str(write(tmp_path, text))}
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(variables)
    assert "has no area in manhattan" in str(raised.value)


# --- effects -------------------------------------------------------------------------------------------


class Demand:
    """The rides that are asked for in a scenario `s` that began at START_MS and was not stopped."""

    def __init__(self, streets: Streets, of: ScenarioPlan, rate_per_s: float = 1.0) -> None:
        self.streets, self.plan = streets, of
        self.riders = Riders(streets.roads, streets.demand, QUICK, seed=7, rate_per_s=rate_per_s)
        self.effects = ScenarioEffects({"s": of}, streets, 7)
        state = CityState()
        common = {"batch": 1, "at_ms": START_MS, "scenario": "s", "title": "T", "lasts_s": of.lasts_s}
        area = of.areas["grid"].disc if of.areas else None
        state.apply(m.ScenarioStarted(**common, area=area))  # type: ignore[arg-type]
        self.effects.follow(state)

    def between(self, from_s: int, until_s: int) -> list[m.RequestRide]:
        times = START_MS + from_s * 1000, START_MS + until_s * 1000
        return self.riders.with_excess(self.riders.requests(*times), *times, self.effects)

    def inside(self, from_s: int, until_s: int) -> int:
        """How many begin in the area."""
        plane, area = self.streets.roads.plane, self.plan.areas["grid"]
        points = plane.metres([request.pickup for request in self.between(from_s, until_s)])
        return int((np.hypot(*(points - plane.metres((area.lng, area.lat))).T) <= area.radius_m).sum())


def test_demand_rises_in_its_area_step_by_step_and_falls_again(grid: Streets) -> None:
    steps = (DemandStep(0, 20.0), DemandStep(300, 5.0))
    demand = Demand(grid, plan(demand=steps, areas={"grid": disc(grid)}))
    usual = demand.inside(-1500, 0) / 5
    assert usual > 20
    assert demand.inside(0, 299) == pytest.approx(20 * usual, rel=0.25)
    assert demand.inside(301, 599) == pytest.approx(5 * usual, rel=0.25)
    assert demand.inside(601, 2101) / 5 == pytest.approx(usual, rel=0.25)
    beside = len(demand.between(-300, 0)) - demand.inside(-300, 0)
    assert len(demand.between(0, 300)) - demand.inside(0, 300) == pytest.approx(beside, rel=0.25)


def test_demand_falls(grid: Streets) -> None:
    demand = Demand(grid, plan(demand=(DemandStep(0, 0.25),)), rate_per_s=2.0)
    assert len(demand.between(0, 599)) == pytest.approx(0.25 * len(demand.between(-599, 0)), rel=0.2)


def test_the_riders_of_a_scenario_ask_for_rides(grid: Streets) -> None:
    scenario = ScenarioWorld(grid, plan(demand=(DemandStep(0, 10.0),)), rate_per_s=0.1)
    assert len(requests(scenario.live(60))) < 15
    scenario.start()
    assert len(requests(scenario.live(60))) > 40
    scenario.stop()
    assert len(requests(scenario.live(60))) < 15


def test_each_ride_that_a_scenario_adds_has_an_id_and_a_rider_of_its_own(grid: Streets) -> None:
    demand = Demand(grid, plan(demand=(DemandStep(0, 10.0),)))
    rides = [request.ride for request in demand.between(0, 300)]
    assert len(rides) == len(set(rides)) > 2500
    behaviour = CityBehavior(no_show_share=0.5)
    riders = Riders(grid.roads, grid.demand, behaviour, seed=7, rate_per_s=1.0)
    assert sum(riders.comes(ride) for ride in rides) == pytest.approx(len(rides) / 2, rel=0.1)


def test_a_restarted_simulator_asks_for_the_same_rides(grid: Streets) -> None:
    of = plan(demand=(DemandStep(0, 4.0),))
    again = {request.ride: request for request in Demand(grid, of).between(50, 60)}
    before = {request.ride: request for request in Demand(grid, of).between(0, 55)}
    both = again.keys() & before.keys()
    assert len(both) > 10
    assert all(again[ride] == before[ride] for ride in both)


def test_drives_take_longer(manhattan: Streets) -> None:
    def driven_m(percent: int) -> float:
        of = plan(drive_percent=percent, demand=(DemandStep(0, 1.0),))
        scenario = ScenarioWorld(manhattan, of, n=60, rate_per_s=0.0)
        scenario.start()
        scenario.live(10)
        before_m = scenario.world.fleet.driven_m.sum()
        scenario.live(120)
        return float(scenario.world.fleet.driven_m.sum() - before_m)

    usual_m = driven_m(100)
    assert usual_m > 60 * 120
    assert driven_m(200) == pytest.approx(usual_m / 2, rel=0.2)


def test_traffic_is_as_before_when_its_time_is_over(grid: Streets) -> None:
    scenario = ScenarioWorld(grid, plan(drive_percent=200, lasts_s=60))
    scenario.start()
    scenario.live(10)
    assert scenario.world.fleet.drive_percent == 200
    scenario.live(60)  # this dispatcher never ends it
    assert scenario.world.state.scenarios
    assert scenario.world.fleet.drive_percent == 100


def test_a_share_of_the_drivers_goes_offline_and_comes_back_within_the_hour(grid: Streets) -> None:
    scenario = ScenarioWorld(grid, plan(offline_share=0.6), n=200, rate_per_s=0.02)
    scenario.live(60)
    assert online(scenario) == 200
    scenario.start()
    scenario.live(600)
    assert 200 * 0.3 < online(scenario) < 200 * 0.5
    assert scenario.world.missing == 0
    scenario.stop()
    scenario.live(30)
    assert online(scenario) == 200


def online(scenario: ScenarioWorld) -> int:
    return sum(driver.on_shift for driver in scenario.world.state.drivers.values())


def test_a_driver_with_a_rider_ends_the_ride_before_the_strike(grid: Streets) -> None:
    scenario = ScenarioWorld(grid, plan(offline_share=1.0, lasts_s=3_000), n=20, rate_per_s=0.05)
    scenario.live(120)
    busy = {row + 1 for row in range(20) if scenario.world.job_of(row + 1) is not None}
    assert busy
    scenario.start()
    said = scenario.live(20)
    assert not {c.driver for c in said if isinstance(c, m.GoOffline)} & busy_all(scenario, busy)


def busy_all(scenario: ScenarioWorld, busy: set[int]) -> set[int]:
    """Those of `busy` who still have a ride."""
    return {driver for driver in busy if scenario.world.job_of(driver) is not None}


def test_taxis_in_a_district_without_network_send_no_positions(grid: Streets) -> None:
    area = disc(grid)
    points: Floats = grid.roads.nodes
    scenario = ScenarioWorld(grid, plan(silent=True, areas={"grid": area}))
    scenario.live(2)
    assert not scenario.world.is_silent(points, scenario.now_ms).any()
    scenario.start()
    scenario.live(2)
    silent = scenario.world.is_silent(points, scenario.now_ms)
    plane = grid.roads.plane
    near = np.hypot(*(plane.metres(points) - plane.metres((area.lng, area.lat))).T) <= area.radius_m
    assert 0 < near.sum() < len(points)
    assert (silent == near).all()
    scenario.stop()
    scenario.live(1)
    assert not scenario.world.is_silent(points, scenario.now_ms).any()


# --- the shell -----------------------------------------------------------------------------------------


@pytest.fixture
def harness(grid: Streets) -> Iterator[SimulatorHarness]:
    harness = SimulatorHarness(grid)
    yield harness
    harness.loop.shut_down()


def silent_folder(tmp_path: Path, area: ScenarioArea) -> Path:
    text = f"{GOOD.replace('60', '6000')}silent = true\n[areas.manhattan]\n"
    return write(tmp_path, f"{text}lng = {area.lng}\nlat = {area.lat}\nradius_m = {area.radius_m}")


def test_the_simulator_starts_the_scenarios_of_its_settings_once(
    harness: SimulatorHarness, tmp_path: Path, grid: Streets
) -> None:
    harness.configure(
        scenarios="mine",
        scenarios_dir=str(silent_folder(tmp_path, disc(grid))),
        scenarios_asked_ms=harness.now_ms(),
    )

    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        node, _, _ = harness.start()
        state = harness.dispatcher.state
        await harness.until(lambda: "mine" in state.scenarios)
        since_ms = harness.now_ms()
        await harness.until(lambda: harness.now_ms() > since_ms + 20_000)
        plane, area = grid.roads.plane, disc(grid)
        late = [fix for fix in harness.fixes() if fix.at_ms > since_ms + 3_000]
        apart_m = np.hypot(
            *(plane.metres([(f.lng, f.lat) for f in late]) - plane.metres((area.lng, area.lat))).T
        )
        assert len(late) > 20
        assert (apart_m > area.radius_m - 1).all()
        harness.loop.kill(node)
        harness.start()
        heard = len(harness.fixes())
        await harness.until(lambda: len(harness.fixes()) > heard + 50)
        started = [event for event in harness.dispatcher.history if isinstance(event, m.ScenarioStarted)]
        assert len(started) == 1
        assert list(state.scenarios) == ["mine"]

    harness.loop.run_until_complete(scenario())
    assert harness.loop.errors == []


def test_a_scenario_that_the_simulator_does_not_know_is_reported(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        _, spy, _ = harness.start()
        await harness.until(lambda: spy.is_ready)
        unknown = {"scenario": "unheard-of", "title": "?", "lasts_s": 600}
        harness.say(m.StartScenario(command_id="u", **unknown))  # type: ignore[arg-type]
        await harness.until(lambda: "scenario_unknown" in codes(harness))
        harness.say(m.StopScenario(command_id="v", scenario="unheard-of"))
        await harness.until(lambda: "scenario_unknown" not in codes(harness))

    harness.loop.run_until_complete(scenario())


def codes(harness: SimulatorHarness) -> set[str]:
    return {fault.code for faults in harness.faults for fault in faults.current}
