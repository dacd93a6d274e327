# SPDX-License-Identifier: Apache-2.0
"""The load test's oracle and the city view, which share no code, agree on every cut of every log."""

from hypothesis import event, given, settings
from hypothesis import strategies as st

from taxistream.tools.loadtest.judge import judge
from testing.loadtest_observations import city_of, observations


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 80))
def test_the_oracle_finds_nothing_in_what_the_view_cuts(seed: int, steps: int) -> None:
    city = None
    for log, sight in observations(seed, steps):
        city = city or city_of(log)
        event("image" if sight.since is None else "new view" if sight.old != sight.area else "diff")
        assert judge(city, sight).verdicts == []
