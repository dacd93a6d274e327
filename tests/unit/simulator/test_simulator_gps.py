# SPDX-License-Identifier: Apache-2.0
"""Devices with errors: a few metres off, delayed, twice, overtaken, late from tunnels; nothing else."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet import FleetPositions
from simulator.gps import GpsDevices, GpsErrors, Reports
from simulator.streets import Streets
from taxi.positions.fixes import OLD_MS_MAX, is_timely
from taxi.roads.projection import LocalPlane
from tests.unit.simulator.harness import SimulatorHarness

T0 = 1_780_000_000_000
PLANE = LocalPlane.around(-73.98, 40.75)
NONE = GpsErrors(off_m=0, heading_deg=0, delay_ms=0, twice_share=0, overtaken_share=0, tunnel_share=0)


def true_positions(rows: np.ndarray[Any, Any], at_ms: int) -> FleetPositions:
    """Each driver drives north at 10 m/s, on a street of its own."""
    x, y = rows * 50.0, np.full(len(rows), (at_ms - T0) / 100)
    points = PLANE.degrees(np.column_stack([x, y]))
    return FleetPositions(points, np.zeros(len(rows)), np.full(len(rows), 10.0))


def driven(devices: GpsDevices, seconds: int, drivers: int = 20) -> Iterator[tuple[int, Reports]]:
    """What is sent at each moment, a tenth of the fleet at a time."""
    for tick in range(seconds * 10):
        rows, now_ms = np.arange(tick % 10, drivers, 10), T0 + tick * 100
        yield now_ms, devices.report(rows, true_positions(rows, now_ms), now_ms)


def off_m(reports: Reports) -> np.ndarray[Any, Any]:
    """How far each position is from where the driver was at its device time, (n, 2) metres."""
    true = np.column_stack([reports.rows * 50.0, (reports.at_ms - T0) / 100])
    return PLANE.metres(reports.positions.points) - true


def test_without_errors_positions_are_those_of_the_fleet() -> None:
    for now_ms, reports in driven(GpsDevices(7, PLANE, NONE), 60):
        assert reports.rows.tolist() == list(range(now_ms // 100 % 10, 20, 10))
        assert np.abs(off_m(reports)).max() < 1e-3
        assert (reports.at_ms == now_ms).all()


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_no_position_is_lost_or_invented(seed: int, minutes: int) -> None:
    errors = GpsErrors(overtaken_share=0.1, tunnel_share=0.5, delay_ms=0)
    devices, rows = GpsDevices(seed, PLANE, errors), np.arange(3)
    sent: list[tuple[int, int]] = []
    for second in range(minutes * 60):
        now_ms = T0 + second * 1000
        reports = devices.report(rows, true_positions(rows, now_ms), now_ms)
        sent += zip(reports.rows.tolist(), reports.at_ms.tolist(), strict=True)
    measured = {(row, T0 + second * 1000) for row in range(3) for second in range(minutes * 60)}
    assert set(sent) <= measured
    last_ms = T0 + minutes * 60_000 - int(errors.tunnel_s[1] * 1000) - 2_000
    assert {each for each in measured if each[1] < last_ms} <= set(sent)


def test_errors_have_the_size_that_they_say_and_change_smoothly() -> None:
    errors = GpsErrors(delay_ms=0, twice_share=0, overtaken_share=0, tunnel_share=0)
    devices, rows = GpsDevices(7, PLANE, errors), np.arange(2_000)
    seen = [devices.report(rows, true_positions(rows, T0 + ms), T0 + ms) for ms in range(0, 60_000, 1_000)]
    all_m = np.array([off_m(reports) for reports in seen])
    assert all_m.std(axis=(0, 1)) == pytest.approx([errors.off_m] * 2, rel=0.05)
    assert all_m.mean(axis=(0, 1)) == pytest.approx([0, 0], abs=0.3)
    radius = np.hypot(*np.moveaxis(all_m, -1, 0))
    assert (radius < 4.9).mean() == pytest.approx(0.68, abs=0.03)
    assert np.abs(np.diff(all_m, axis=0)).max() < 2.0, "metres in a second"


def test_each_error_occurs_and_what_counts_is_timely() -> None:
    twice = overtaken = bursts = late = count = 0
    newest: dict[int, int] = {}
    for now_ms, reports in driven(GpsDevices(7, PLANE), 400, drivers=200):
        times = list(zip(reports.rows.tolist(), reports.at_ms.tolist(), strict=True))
        twice += len(times) - len(set(times))
        for row in set(reports.rows.tolist()):
            bursts += int((reports.rows == row).sum() > 3)
        for row, at_ms in times:
            overtaken += at_ms < newest.get(row, 0)
            newest[row] = max(newest.get(row, 0), at_ms)
        late += int((~is_timely(reports.at_ms, np.full(len(times), now_ms))).sum())
        assert (reports.at_ms <= now_ms).all()
        assert (reports.at_ms > now_ms - 14_000).all()
        count += len(times)
    assert twice / count == pytest.approx(0.01, rel=0.3)
    assert overtaken / count == pytest.approx(0.01, rel=0.3)
    assert bursts == pytest.approx(200 * 400 / 3_600, rel=0.4), "a tunnel in one minute of sixty"
    assert 0 < late / count < 0.005
    assert OLD_MS_MAX == 5_000


def test_a_restarted_simulator_makes_the_same_errors() -> None:
    (_, first), (_, again) = (list(driven(GpsDevices(7, PLANE), 1))[-1] for _ in range(2))
    assert first.positions.points.tolist() == again.positions.points.tolist()
    (_, other) = list(driven(GpsDevices(8, PLANE), 1))[-1]
    assert first.positions.points.tolist() != other.positions.points.tolist()


@pytest.fixture
def harness(grid: Streets) -> Iterator[SimulatorHarness]:
    harness = SimulatorHarness(grid)
    yield harness
    harness.loop.shut_down()


def test_rides_end_in_a_city_whose_devices_have_errors(harness: SimulatorHarness) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.dispatch())
        _, spy, _ = harness.start(gps_noise=True)
        await harness.until(lambda: harness.dispatcher.state.totals.completed >= 8, within_s=1200)
        assert spy.is_ready
        fixes = harness.fixes()
        assert len({(fix.driver, fix.at_ms) for fix in fixes}) < len(fixes), "some are sent twice"

    run: Callable[[Coroutine[Any, Any, None]], None] = harness.loop.run_until_complete
    run(scenario())
    assert harness.loop.errors == []
