# SPDX-License-Identifier: Apache-2.0
"""A simulator learns the broker's time from append times, whatever its own clock says."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from simulator.sender_clock import SenderClock
from taxi.runtime.faults import Faults
from testing.virtual_time import SimLoop

T0 = 1_750_000_000_000


class Machine:
    """Its clock is off from the broker's."""

    def __init__(self, off_ms: int) -> None:
        self.off_ms = off_ms
        self.faults = Faults()

    def broker_ms(self) -> int:
        return T0 + round(asyncio.get_running_loop().time() * 1000)

    def clock(self) -> SenderClock:
        env = SimpleNamespace(now_ms=lambda: self.broker_ms() + self.off_ms, faults=self.faults)
        return SenderClock(cast("Any", env))

    async def send(self, clock: SenderClock, there_s: float = 0.002, back_s: float = 0.002) -> None:
        asked_s = asyncio.get_running_loop().time()
        await asyncio.sleep(there_s)
        append_ms = self.broker_ms()
        await asyncio.sleep(back_s)
        clock.learn(asked_s, append_ms)

    @property
    def codes(self) -> list[str]:
        return [fault.code for fault in self.faults.current]


def run(scenario: Callable[[], Any]) -> None:
    loop = SimLoop(1)
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.shut_down()


@pytest.mark.parametrize("off_ms", [2_000, -6_000, 30_000, -3_600_000])
def test_one_answer_tells_how_far_its_clock_is_off(off_ms: int) -> None:
    async def scenario() -> None:
        machine = Machine(off_ms)
        clock = machine.clock()
        assert clock.device_ms() == machine.broker_ms() + off_ms
        await machine.send(clock)
        assert abs(clock.device_ms() - machine.broker_ms()) <= 5
        [fault] = machine.faults.current
        assert fault.code == "clock_off"
        assert (
            f"{abs(off_ms) / 1000:.0f} s {'ahead of' if off_ms > 0 else 'behind'} the broker's" in fault.text
        )

    run(scenario)


def test_a_clock_that_is_right_is_no_fault() -> None:
    async def scenario() -> None:
        machine = Machine(100)
        clock = machine.clock()
        await machine.send(clock)
        assert machine.codes == []

    run(scenario)


def test_answers_that_take_long_spoil_nothing() -> None:
    async def scenario() -> None:
        machine = Machine(-6_000)
        clock = machine.clock()
        await machine.send(clock)
        for there_s, back_s in ((3.0, 0.0), (0.0, 3.0), (2.0, 2.0)):
            await machine.send(clock, there_s, back_s)
            assert abs(clock.device_ms() - machine.broker_ms()) <= 5

    run(scenario)


def test_the_fault_is_over_when_the_clock_was_set() -> None:
    async def scenario() -> None:
        machine = Machine(-6_000)
        clock = machine.clock()
        await machine.send(clock)
        assert machine.codes == ["clock_off"]
        machine.off_ms = 0
        await machine.send(clock)
        assert machine.codes == []
        assert abs(clock.device_ms() - machine.broker_ms()) <= 5

    run(scenario)


def test_a_topic_that_keeps_its_senders_times_teaches_nothing() -> None:
    async def scenario() -> None:
        machine = Machine(-6_000)
        clock = machine.clock()
        clock.learn(0.0, None)
        assert clock.device_ms() == machine.broker_ms() - 6_000

    run(scenario)


def test_the_time_of_the_city_never_goes_back() -> None:
    async def scenario() -> None:
        machine = Machine(0)
        clock = machine.clock()
        await machine.send(clock)
        before_ms = clock.now_ms()
        clock.learn(asyncio.get_running_loop().time(), machine.broker_ms() - 3_600_000)
        assert clock.device_ms() == machine.broker_ms() - 3_600_000
        assert clock.now_ms() == before_ms

    run(scenario)
