# SPDX-License-Identifier: Apache-2.0
"""Scenarios are marked on the log: when one began, and when it ended by itself or was stopped."""

from dataclasses import replace

import pytest

from dispatcher.commands import SCENARIOS_MAX
from taxi import messages as m
from taxi.state import CityState, IllegalTransitionError
from testing.core_harness import CoreHarness

AREA = m.Disc(-73.98, 40.75, 300)


def start(name: str = "rain", *, lasts_s: int = 60, command_id: str = "") -> m.StartScenario:
    return m.StartScenario(
        command_id=command_id or f"{name} start", scenario=name, title="Rain", lasts_s=lasts_s, area=AREA
    )


def stop(name: str = "rain") -> m.StopScenario:
    return m.StopScenario(command_id=f"{name} stop", scenario=name)


def reasons(events: list[m.AnyEvent]) -> list[str]:
    return [event.reason for event in events if isinstance(event, m.CommandRejected)]


@pytest.fixture
def core() -> CoreHarness:
    core = CoreHarness()
    core.drivers(d1=0)
    return core


def test_a_scenario_begins_and_ends_by_itself_when_its_time_has_passed(core: CoreHarness) -> None:
    [started] = core.step(start(lasts_s=60))
    assert isinstance(started, m.ScenarioStarted)
    assert (started.command_id, started.area) == ("rain start", AREA)
    began_ms = core.now_ms
    ended: list[m.ScenarioEnded] = []
    while not ended:
        ended = [event for event in core.step() if isinstance(event, m.ScenarioEnded)]
    assert [(event.reason, event.command_id) for event in ended] == [("over", None)]
    assert core.now_ms == began_ms + 60_000
    assert core.city.scenarios == {}
    assert core.city.scenarios_changed_ms == core.now_ms


def test_a_scenario_lasts_its_time_in_the_city(core: CoreHarness) -> None:
    core.decision_config = replace(core.decision_config, speed=10)
    core.step(start(lasts_s=60))
    began_ms = core.now_ms
    while core.city.scenarios:
        core.step()
    assert core.now_ms == began_ms + 6_000


def test_a_scenario_is_stopped_before_its_time(core: CoreHarness) -> None:
    core.step(start())
    [ended] = core.step(stop())
    assert isinstance(ended, m.ScenarioEnded)
    assert (ended.reason, ended.command_id) == ("stopped", "rain stop")
    assert core.step(start(command_id="again"))[0].command_id == "again"


def test_what_makes_no_sense_is_rejected(core: CoreHarness) -> None:
    assert reasons(core.step(stop())) == ["scenario_not_under_way"]
    assert reasons(core.step(start("Rain!"))) == ["bad_scenario"]
    core.step(start())
    assert reasons(core.step(start(command_id="twice"))) == ["scenario_under_way"]
    others = [start(f"s{n}") for n in range(SCENARIOS_MAX)]
    assert reasons(core.step(*others)) == ["too_many_scenarios"]
    assert len(core.city.scenarios) == SCENARIOS_MAX


def test_a_repeated_command_starts_nothing_again(core: CoreHarness) -> None:
    core.step(start())
    core.step(stop())
    assert core.step(start()) == []


def test_a_snapshot_keeps_scenarios(core: CoreHarness) -> None:
    core.step(start())
    assert CityState.from_bytes(core.city.to_bytes()).scenarios == core.city.scenarios != {}


def test_an_epoch_that_begins_empty_has_no_scenario(core: CoreHarness) -> None:
    core.step(start())
    lost = m.EpochStarted(
        batch=core.city.batch + 1, at_ms=core.now_ms, epoch="f" * 16, city="grid", reason="events_lost"
    )
    core.city.apply(lost)
    assert (core.city.scenarios, core.city.scenarios_changed_ms) == ({}, 0)


@pytest.mark.parametrize("kind", ["ScenarioStarted", "ScenarioEnded"])
def test_a_scenario_that_begins_twice_or_ends_without_a_beginning_is_illegal(
    core: CoreHarness, kind: str
) -> None:
    common = {"batch": core.city.batch + 1, "at_ms": core.now_ms, "scenario": "rain"}
    if kind == "ScenarioStarted":
        core.step(start())
    event = (
        m.ScenarioEnded(**common)  # type: ignore[arg-type]
        if kind == "ScenarioEnded"
        else m.ScenarioStarted(**common, title="Rain", lasts_s=60)  # type: ignore[arg-type]
    )
    with pytest.raises(IllegalTransitionError):
        core.city.apply(event)
