# SPDX-License-Identifier: Apache-2.0
"""A simulator that cannot see each driver once a second says so."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from simulator.positions_rate import PositionsRate
from taxi.runtime.faults import Faults
from testing.virtual_time import SimLoop


class Machine:
    """Ticks of a tenth of the fleet, on a machine of some speed."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.gauges: dict[str, float] = {}
        metrics = SimpleNamespace(gauge=self.gauges.__setitem__)
        env = SimpleNamespace(metrics=metrics, faults=self.faults)
        self.rate = PositionsRate(cast("Any", env), ticks_per_s=10, drivers=20_000)

    async def run(self, seconds: float, tick_s: float) -> None:
        for _ in range(round(seconds / tick_s)):
            await asyncio.sleep(tick_s)
            self.rate.published()

    @property
    def codes(self) -> list[str]:
        return [fault.code for fault in self.faults.current]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    loop = SimLoop(1)
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.shut_down()


def test_in_time_there_is_no_fault() -> None:
    async def scenario() -> None:
        machine = Machine()
        await machine.run(30, 0.1)
        assert machine.codes == []
        assert machine.gauges == {"simulator_positions_per_driver": 1.0}

    run(scenario)


def test_too_slow_is_reported_with_the_rate_until_it_is_mended() -> None:
    async def scenario() -> None:
        machine = Machine()
        await machine.run(15, 0.1 / 0.76)
        [fault] = machine.faults.current
        assert fault.code == "positions_slow"
        assert "0.76 times a second" in fault.text
        assert "20,000 drivers" in fault.text
        assert not fault.blocks
        await machine.run(15, 0.1 / 0.92)
        assert machine.codes == ["positions_slow"], "the fault does not come and go at its limit"
        await machine.run(15, 0.1)
        assert machine.codes == []

    run(scenario)


def test_a_broker_that_was_away_is_not_a_slow_machine() -> None:
    async def scenario() -> None:
        machine = Machine()
        await machine.run(9, 0.1)
        machine.rate.interrupted()
        await asyncio.sleep(20)
        await machine.run(30, 0.1)
        assert machine.codes == []

    run(scenario)
