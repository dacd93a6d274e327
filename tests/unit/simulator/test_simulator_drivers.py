# SPDX-License-Identifier: Apache-2.0
"""Drivers answer as their behaviour says, the same each time they are asked."""

import numpy as np

from simulator.drivers import BREAK, Drivers
from simulator.settings import CityBehavior

HOUR_MS = 3_600_000
START_MS = 1_780_000_000_000 // HOUR_MS * HOUR_MS


def test_nine_in_ten_accept_some_decline_and_some_stay_silent() -> None:
    drivers = Drivers(CityBehavior(), 7, 3000)
    answers = [drivers.answer(f"r-{n}", 1) for n in range(4000)]
    spoken = [answer for answer in answers if answer is not None]
    assert 0.88 < sum(answer.accept for answer in spoken) / 4000 < 0.92
    assert 0.04 < answers.count(None) / 4000 < 0.06
    assert all(1000 <= answer.after_ms <= 5000 for answer in spoken)


def test_an_answer_belongs_to_ride_and_attempt() -> None:
    one, again = Drivers(CityBehavior(), 7, 3000), Drivers(CityBehavior(), 7, 3000)
    asked = [(f"r-{n}", attempt) for n in range(50) for attempt in (1, 2)]
    assert [one.answer(*a) for a in asked] == [again.answer(*a) for a in reversed(asked)][::-1]
    assert {one.answer(*a) for a in asked} != {Drivers(CityBehavior(), 8, 3000).answer(*a) for a in asked}


def test_a_few_drivers_rest_at_any_time_and_none_over_the_hour() -> None:
    drivers, rows = Drivers(CityBehavior(break_share=0.2), 7, 3000), np.arange(3000)
    resting = [drivers.shift_part(rows, START_MS + minute * 60_000) == BREAK for minute in range(60)]
    assert not resting[0].any()
    assert 0.15 < np.any(resting, axis=0).mean() < 0.25
    minutes = np.sum(resting, axis=0)
    assert minutes.max() <= 15
    assert minutes[minutes > 0].min() >= 4
    changes = np.abs(np.diff(np.array(resting).astype(int), axis=0)).sum(axis=0)
    assert changes.max() <= 2


def test_each_part_of_an_hour_has_a_name_of_its_own() -> None:
    drivers = Drivers(CityBehavior(), 7, 3000)
    names = {drivers.shift_name(part, START_MS + hour * HOUR_MS) for part in range(3) for hour in range(3)}
    assert len(names) == 9
