# SPDX-License-Identifier: Apache-2.0
"""Drives take longer at some hours of the day: promises, and which driver a ride waits for, follow that."""

import dataclasses

import pytest
from msgspec.structs import replace

from taxi.roads.grid import grid_city
from taxi.roads.network import RoadNetwork
from testing import core_harness as place
from testing.core_harness import START_MS, STEP_MS, CoreHarness, request
from tests.unit.dispatcher.test_dispatcher_ahead import TRIP_S, offers

HOUR_MS = 3_600_000
WEST_H = -5
"""The town's clock is so many hours behind UTC."""


def rush_hour(percent: int, at_ms: int) -> RoadNetwork:
    """The town, where drives take so long in the hour of this moment, and what the tables say in others."""
    roads = grid_city(6, 6)
    local_h = (at_ms // HOUR_MS + WEST_H) % 24
    percents = tuple(percent if hour == local_h else 100 for hour in range(24))
    return dataclasses.replace(roads, city=replace(roads.city, utc_offset_h=WEST_H, drive_percent=percents))


@pytest.mark.parametrize("percent", [60, 100, 150])
def test_an_offer_promises_what_a_drive_takes_at_this_hour(
    percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "GRID", rush_hour(percent, START_MS))
    core = CoreHarness()
    core.drivers(d1=5)
    usual_s = int(place.GRID.travel_time_s(5, 0))
    assert core.offered().eta_s == usual_s * percent // 100


def test_in_the_next_hour_it_takes_what_the_tables_say_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "GRID", rush_hour(150, START_MS))
    core = CoreHarness()
    core.now_ms += HOUR_MS
    core.drivers(d1=5)
    assert core.offered().eta_s == place.GRID.travel_time_s(5, 0)


def test_who_has_a_rider_is_soon_free_by_the_time_that_the_trip_takes_at_this_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the tables driver 1 would be there in ten seconds; at this hour, in half a trip more."""
    monkeypatch.setattr(place, "GRID", rush_hour(150, START_MS))
    core = CoreHarness(policy="batched")
    core.drivers(d1=0)
    core.on_trip()
    core.drivers(d2=0)
    core.wait((TRIP_S - 10) * 1000 - STEP_MS)
    assert offers(core.step(request("r2", pickup=35, dropoff=0))) == [2]
    core = CoreHarness(policy="batched")
    core.drivers(d1=0)
    core.on_trip()
    core.drivers(d2=0)
    core.wait((TRIP_S * 3 // 2 - 10) * 1000 - STEP_MS)
    assert offers(core.step(request("r2", pickup=35, dropoff=0))) == []
