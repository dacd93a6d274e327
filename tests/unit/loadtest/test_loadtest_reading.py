# SPDX-License-Identifier: Apache-2.0
"""Where the oracle begins to read positions, if one of them has a wrong append time."""

import pytest

from taxi import messages as m
from taxi import topics
from taxi.bus import Outgoing
from taxi.bus.memory.bus import MemoryLimits
from taxi.messages import codec
from taxistream.tools.loadtest.reading import Reading
from testing.memory_world import MemoryWorld

START_MS = 1_750_000_000_000
POSITIONS = 400
WRONG = 20


class World(MemoryWorld):
    """A log with a position a second, of five drivers, one of which has a time an hour ahead."""

    def __init__(self) -> None:
        super().__init__(1, start_ms=START_MS, limits=MemoryLimits(), look_every_s=0.1)
        when = {"batch": 1, "at_ms": START_MS}
        events = [
            m.EpochStarted(**when, epoch="e" * 16, city="manhattan"),  # type: ignore[arg-type]
            m.BatchClosed(**when, count=2, commands_offset=0, locations_offset=0),  # type: ignore[arg-type]
        ]
        records = [Outgoing(b"", codec.encode(event)) for event in events]
        self.broker.partition(topics.EVENTS, 0).append(records, START_MS)
        for number in range(POSITIONS):
            at_ms = START_MS + number * 1_000 + (3_600_000 if number == WRONG else 0)
            fix = m.Fix(driver=number % 5 + 1, at_ms=at_ms, lng=-73.98, lat=40.75)
            self.broker.partition(topics.LOCATIONS, 0).append([Outgoing(b"", codec.encode(fix))], at_ms)


@pytest.mark.parametrize("deleted", [0, WRONG, WRONG + 1])
def test_a_position_with_a_wrong_time_is_not_the_clock(deleted: int) -> None:
    world = World()

    async def scenario() -> None:
        world.broker.partition(topics.LOCATIONS, 0).delete_before(deleted)
        bus = world.bus("oracle")
        reading = await Reading.begin(bus, 0)
        await reading.catch_up(bus)
        positions = reading.city.positions
        assert positions.held == [], "a clock that was set back is waited for"
        assert positions.end == POSITIONS
        assert positions.clock_ms(POSITIONS) == START_MS + (POSITIONS - 1) * 1_000
        await reading.close()

    try:
        world.loop.run_until_complete(scenario())
    finally:
        world.loop.shut_down()
