# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the matching: a ride is left waiting beside drivers who could go."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import msgspec
import numpy as np

import dispatcher.policies.batched
import dispatcher.policies.joint
from dispatcher.policies.joint import solve
from dispatcher.policies.market import Cars, Chain, Longs, Market, Offer, rows_of


@contextmanager
def the_late_are_waited_for() -> Iterator[None]:
    """Late drivers are waited for without a limit."""
    soon_free = dispatcher.policies.joint.soon_free_cars

    def patiently(market: Market) -> Cars:
        tuning = msgspec.structs.replace(market.tuning, ahead_late_ms_max=10**9)
        return soon_free(replace(market, tuning=tuning))

    with patch.object(dispatcher.policies.joint, "soon_free_cars", patiently):
        yield


@contextmanager
def the_soon_free_come_first() -> Iterator[None]:
    """The cost of a driver who is not free yet has the wrong sign, so rides wait for distant drivers."""

    def eagerly(market: Market, *, rematch: bool) -> Iterator[Offer | Chain]:
        tuning = msgspec.structs.replace(market.tuning, ahead_price_ms=-30_000)
        return solve(replace(market, tuning=tuning), rematch=rematch)

    with patch.object(dispatcher.policies.batched, "solve", eagerly):
        yield


@contextmanager
def the_passed_over_are_forgotten() -> Iterator[None]:
    """Rides are matched when they are new and when somebody let them go: a ride that was held is neither."""

    def news(market: Market) -> Longs:
        is_new = market.rides.waited_s * 1000 < market.now_ms - market.before_ms
        return np.flatnonzero(is_new | np.array([bool(refused) for refused in market.rides.refused], bool))

    def news_alone(market: Market, *, rematch: bool) -> Iterator[Offer | Chain]:
        return solve(replace(market, rides=rows_of(market.rides, news(market))), rematch=rematch)

    with patch.object(dispatcher.policies.batched, "solve", news_alone):
        yield


@contextmanager
def who_drives_ahead_is_busy() -> Iterator[None]:
    """A driver who was sent to where riders are expected is offered none on the way."""

    def without_them(market: Market, *, rematch: bool) -> Iterator[Offer | Chain]:
        cars = rows_of(market.cars, np.flatnonzero(market.cars.bound < 0))
        return solve(replace(market, cars=cars), rematch=rematch)

    with patch.object(dispatcher.policies.batched, "solve", without_them):
        yield
