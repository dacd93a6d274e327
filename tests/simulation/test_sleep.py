# SPDX-License-Identifier: Apache-2.0
"""A laptop that slept for ten minutes wakes to a city that heals by itself."""

import asyncio
from unittest.mock import patch

import pytest

from taxi.positions import newest
from testing.simulation.nemesis import Nemesis
from testing.simulation.run import run_seed

BUSY_S = 15.0
"""Until the city is full of rides, and again after the sleep."""
SLEEP_S = 600.0
LIVE_WITHIN_S = 5.0


class Lid(Nemesis):
    """Nothing goes wrong but that somebody closes the laptop in the middle of a busy city."""

    async def hurt(self) -> None:
        await asyncio.sleep(BUSY_S)
        self.sleep(SLEEP_S)
        woke_ms = self.world.now_ms()
        await asyncio.sleep(LIVE_WITHIN_S)
        for client in (name for name in self.world.nodes if name.startswith("client")):
            seen_ms = max(sight.cut.at_ms for sight in self.world.observations if sight.client == client)
            if seen_ms < woke_ms:
                self.world.fail("a client has not woken up", client, woke_ms - seen_ms)
        await asyncio.sleep(BUSY_S - LIVE_WITHIN_S)


@pytest.mark.sim
@pytest.mark.parametrize("seed", range(1, 9))
def test_after_ten_minutes_of_sleep_every_client_is_live_and_no_driver_is_lost(seed: int) -> None:
    outcome = run_seed(seed, nemesis=Lid)
    assert outcome.violations == [], "\n".join(outcome.scenario)
    assert outcome.tally["the machine slept"] == 1
    assert outcome.tally["TripCompleted"] > 3  # the city was busy; a strike or rain may be under way
    # What the rules end, because its time has passed, may end; but no driver was lost by sleeping.
    assert outcome.tally["DriverLost"] == 0
    assert outcome.tally["RideCancelled: driver_lost"] == 0
    assert outcome.tally["RideReleased: driver_lost"] == 0


@pytest.mark.sim
def test_who_takes_the_sleep_for_the_silence_of_each_driver_is_found() -> None:
    """It shows where a batch closes before everybody has been heard again: in one seed of six or so."""
    with patch.object(newest, "SILENCE_MS", 10**12):
        lost = sum(run_seed(seed, nemesis=Lid).tally["DriverLost"] for seed in range(1, 13))
    assert lost > 5
