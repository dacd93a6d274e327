# SPDX-License-Identifier: Apache-2.0
"""How far the promise of an offer was off, as the metrics tell it."""

from types import SimpleNamespace
from typing import Any

import pytest

from dispatcher.metrics import METRICS, note
from taxi.runtime.faults import Faults
from taxi.runtime.metrics import PrometheusMetrics
from taxi.runtime.tracing import NoTracer
from testing.core_harness import CoreHarness, report
from tests.unit.dispatcher.test_dispatcher_chains import ordered_core


def metrics_of(core: CoreHarness) -> PrometheusMetrics:
    """What is measured of everything that was decided in the last batch."""
    metrics = PrometheusMetrics(METRICS)
    env: Any = SimpleNamespace(
        metrics=metrics, now_ms=lambda: core.now_ms, tracer=NoTracer(), faults=Faults()
    )
    note(env, core.city, [one for one in core.log if one.event.batch == core.city.batch])
    return metrics


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("off_s", [-7, 0, 90])
def test_the_error_of_an_eta_is_measured_when_the_driver_arrives(off_s: int) -> None:
    core = CoreHarness()
    core.drivers(d1=35)
    offer = core.taken()
    core.step(report(offer, "arrived"), after_ms=(offer.eta_s + off_s) * 1000)
    found = metrics_of(core)
    assert value(found, "dispatcher_eta_error_seconds_sum") == abs(off_s)
    assert value(found, "dispatcher_late_seconds_total") == (off_s if off_s > 0 else None)
    assert value(found, "dispatcher_early_seconds_total") == (None if off_s > 0 else -off_s)


def test_a_driver_that_takes_over_is_measured_by_its_own_promise_from_the_order_on() -> None:
    core, order = ordered_core()
    core.step(report(order, "arrived"), after_ms=(order.eta_s + 3) * 1000)
    assert value(metrics_of(core), "dispatcher_late_seconds_total") == 3


def test_errors_of_minutes_are_distinguished() -> None:
    """A histogram that ends at ten seconds would say of most only that they were more."""
    core = CoreHarness()
    core.drivers(d1=35)
    offer = core.taken()
    core.step(report(offer, "arrived"), after_ms=(offer.eta_s + 90) * 1000)
    found = metrics_of(core)
    assert value(found, "dispatcher_eta_error_seconds_bucket", le="60.0") == 0
    assert value(found, "dispatcher_eta_error_seconds_bucket", le="120.0") == 1


def test_a_batch_in_which_no_driver_arrives_measures_no_promise() -> None:
    core = CoreHarness()
    core.drivers(d1=35)
    core.taken()
    assert value(metrics_of(core), "dispatcher_eta_error_seconds_count") is None
    assert value(metrics_of(core), "dispatcher_events_total", type="RideAssigned") == 1
