# SPDX-License-Identifier: Apache-2.0
"""A batch of the city's producer with values that no dispatcher writes: it does not count."""

from typing import Any

import pytest

from gateway.updates.city_view import CityView
from taxi import messages as m
from taxi.state import CityState
from testing.gateway_log import EPOCH, GRID, SOMEWHERE, SPAN, T0, Log


def view_of(*events: m.AnyEvent) -> CityView:
    """A gateway that has read an epoch, a batch with these events, and one more."""
    log = Log()
    log.batch(T0, [m.EpochStarted(batch=1, at_ms=T0, epoch=EPOCH, city="grid")], 0)
    log.batch(T0 + 1_000, list(events), 0)
    city_view = CityView(CityState(), loc=0, ev=0, span=SPAN, grid=GRID)
    city_view.fold_events(log.events)
    city_view.close()
    return city_view


def requested(**fields: Any) -> m.RideRequested:
    usual: dict[str, Any] = {"ride": "r-1", "rider": "x", "pickup": SOMEWHERE, "dropoff": SOMEWHERE}
    return m.RideRequested(batch=2, at_ms=T0 + 1_000, **{**usual, **fields})


def test_what_a_dispatcher_writes_is_shown() -> None:
    assert view_of(requested(ride="a" * 40)).ride_counts()["waiting"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"ride": "Grüße"},
        {"ride": ""},
        {"ride": "r" * 41},
        {"ride": "r" * 300},
        {"pickup": (1e300, 40.0)},
        {"dropoff": (-73.9, -90.1)},
        {"pickup": (180.5, 0.0)},
    ],
    ids=repr,
)
def test_an_impossible_ride_is_not_legal(fields: dict[str, Any]) -> None:
    gap = view_of(requested(**fields)).batches.gap
    assert gap is not None
    assert gap.startswith("batch 2 is not legal")
    assert gap.endswith(("no ride has such an id", "there is no such place"))


def test_no_driver_is_sent_to_an_impossible_place() -> None:
    about: dict[str, Any] = {"batch": 2, "at_ms": T0 + 1_000, "driver": 1}
    sent = m.DriverRepositioned(to=(1e300, 0.0), until_ms=T0 + 9_000, eta_s=60, **about)
    gap = view_of(m.DriverCameOnline(**about), sent).batches.gap
    assert gap is not None
    assert gap.endswith("there is no such place")


@pytest.mark.parametrize("driver", [-1, 0, 1 << 32, 1 << 60])
def test_an_impossible_driver_stops_nothing(driver: int) -> None:
    city_view = view_of(m.DriverCameOnline(batch=2, at_ms=T0 + 1_000, driver=driver), requested())
    assert city_view.ride_counts()["waiting"] == 1
    city_view.diff(None, None, city_view.area(None))
