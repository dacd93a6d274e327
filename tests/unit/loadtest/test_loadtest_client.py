# SPDX-License-Identifier: Apache-2.0
"""What each client of the load test checks by itself: every rule is broken once, and named."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from taxi.client.protocol import LinkState
from taxistream.tools.loadtest.clients.client import LoadClient
from taxistream.tools.loadtest.clients.line import Line
from taxistream.tools.loadtest.clients.observations import Key
from testing.virtual_time import SimLoop

GRID = {"west_e5": 0, "south_e5": 0, "shift": 10, "columns": 4, "rows": 4}
BOX = (0.001, 0.001, 0.002, 0.002)


class FakeLine(Line):
    """Remembers what was said on it."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.is_left = False
        self.silent_s = 0.0

    def say(self, text: str) -> None:
        self.said.append(json.loads(text))

    def leave(self) -> None:
        self.is_left = True


class World:
    """`LoadClients`, as one client knows it."""

    def __init__(self) -> None:
        self.lines: list[FakeLine] = []
        self.blamed: list[str] = []
        self.seen: list[Key] = []
        self.resets: list[str] = []

    def open(self, client: LoadClient) -> Line:
        del client
        self.lines.append(FakeLine())
        return self.lines[-1]

    def blame(self, rule: str, *details: object) -> None:
        del details
        self.blamed.append(rule)

    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None:
        del message, at_ms, late
        self.seen.append(key)

    def ready(self, client: LoadClient, message: dict[str, Any]) -> None: ...

    def reset(self, reason: str) -> None:
        self.resets.append(reason)

    def closed(self, code: int) -> None: ...

    def leaving(self, at_s: float) -> None: ...

    def handed_over(self, gap_ms: float) -> None: ...

    def tolerance_s(self) -> float:
        return 0.5


def cut(since: tuple[int, int] | None, to: tuple[int, int], generation: int = 0) -> bytes:
    before = since or (0, 0)
    return struct.pack("<BBH3I5Q6I", 1, since is None, generation, 0, 0, 0, *before, *to, 1, *(0,) * 6)


class Scenario:
    """A client and what happens to it, written in the tests line by line."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.world = World()
        self.client = LoadClient("c", self.world, "grid", random.Random(1))

    @property
    def line(self) -> FakeLine:
        return self.world.lines[-1]

    def greet(self, mode: str = "image", **more: Any) -> None:
        self.client.opened(self.line)
        self.say(type="ready", mode=mode, epoch="e", grid=GRID, gateway="g", **more)

    def say(self, **message: Any) -> None:
        self.client.heard_text(self.line, json.dumps(message), 0)

    def cut(self, since: tuple[int, int] | None, to: tuple[int, int], generation: int = 0) -> None:
        self.client.heard_update(self.line, cut(since, to, generation), 0)

    def live(self) -> None:
        self.client.start()
        self.greet()
        self.cut(None, (10, 5))
        self.cut((10, 5), (20, 5))

    def wait(self, seconds: float) -> None:
        self.loop.now += seconds
        self.client.check(self.loop.now)


def played(scenario: Callable[[Scenario], None]) -> Scenario:
    loop = SimLoop(1)
    loop.now = 100.0
    made: list[Scenario] = []

    async def tell() -> None:
        made.append(Scenario(loop))
        scenario(made[0])

    try:
        loop.run_until_complete(tell())
    finally:
        loop.close()
    return made[0]


def gap(scenario: Scenario) -> None:
    scenario.live()
    scenario.cut((30, 5), (40, 5))


def back(scenario: Scenario) -> None:
    scenario.live()
    scenario.cut((20, 5), (15, 5))


def image(scenario: Scenario) -> None:
    scenario.live()
    scenario.cut(None, (30, 5))


def no_image(scenario: Scenario) -> None:
    scenario.live()
    scenario.say(type="reset", reason="overflow")
    scenario.cut((20, 5), (30, 5))


def stranger(scenario: Scenario) -> None:
    scenario.live()
    scenario.cut((20, 5), (30, 5), generation=9)


def quiet(scenario: Scenario) -> None:
    scenario.live()
    scenario.loop.now += 1.6
    scenario.cut((20, 5), (30, 5))


def deaf(scenario: Scenario) -> None:
    scenario.client.start()
    scenario.client.opened(scenario.line)
    scenario.wait(10.6)


def ignored(scenario: Scenario) -> None:
    scenario.live()
    scenario.client.look_at(BOX)
    for n in range(2, 14):
        scenario.cut((10 * n, 5), (10 * n + 10, 5))
        scenario.wait(0.9)


def served_without_a_cursor(scenario: Scenario) -> None:
    scenario.client.start()
    scenario.greet("resume")


def image_for_a_cursor(scenario: Scenario) -> None:
    scenario.live()
    scenario.client.lost(scenario.line, 1006, "")
    scenario.client.start()
    scenario.greet("image")


def odd_cursor_served(scenario: Scenario) -> None:
    scenario.live()
    scenario.client.leave(0.0, cursor=(20, 99), expects="ahead")
    scenario.client.start()
    scenario.greet("resume")


def garbled(scenario: Scenario) -> None:
    scenario.live()
    scenario.client.heard_text(scenario.line, "what", 0)


def short(scenario: Scenario) -> None:
    scenario.live()
    scenario.client.heard_update(scenario.line, b"\1", 0)


def accused(scenario: Scenario) -> None:
    scenario.live()
    scenario.client.lost(scenario.line, 4008, "what was that")


BREACHES: dict[Callable[[Scenario], None], str] = {
    gap: "chain",
    no_image: "chain",
    back: "cursor_went_back",
    image: "image_unasked",
    stranger: "generation",
    quiet: "silence",
    deaf: "hello_hangs",
    ignored: "view_ignored",
    served_without_a_cursor: "outcome",
    image_for_a_cursor: "outcome",
    odd_cursor_served: "outcome",
    garbled: "words",
    short: "bytes",
    accused: "closed_for_fault",
}


@pytest.mark.parametrize("scenario", BREACHES, ids=lambda scenario: scenario.__name__)
def test_a_breach_is_blamed_by_name(scenario: Callable[[Scenario], None]) -> None:
    assert set(played(scenario).world.blamed) == {BREACHES[scenario]}


def test_who_keeps_the_rules_is_not_blamed() -> None:
    def scenario(it: Scenario) -> None:
        it.live()
        it.client.look_at(BOX)
        assert it.line.said[-1] == {"type": "view", "generation": 1, "bbox": [*BOX]}
        it.cut((20, 5), (30, 5))
        it.cut((30, 5), (40, 8), generation=1)
        it.loop.now += 1.4
        it.cut((40, 8), (40, 8))
        it.say(type="reset", reason="ahead")
        it.say(type="ready", mode="image", epoch="e", grid=GRID, gateway="g", reason="ahead")
        it.cut(None, (35, 8))
        it.client.lost(it.line, 1006, "")
        it.client.start()
        it.greet("resume")
        assert it.line.said[0]["cursor"] == "e:35:8"
        assert it.line.said[0]["view"] == [*BOX]
        it.cut((35, 8), (60, 9))

    it = played(scenario)
    assert it.world.blamed == []
    assert it.world.resets == ["ahead"]
    area = (0, 0, 0, 0)
    assert [key[2:4] for key in it.world.seen[2:5]] == [(None, None), (None, area), (area, area)]
    assert it.client.is_live


def test_on_a_drain_the_old_line_is_heard_until_hello_is_said_on_the_next() -> None:
    def scenario(it: Scenario) -> None:
        it.live()
        old = it.line
        it.say(type="drain", within_ms=900)
        it.client.heard_update(old, cut((20, 5), (30, 5)), 0)
        it.client.opened(it.line)
        assert it.line.said[0]["cursor"] == "e:30:5"
        it.client.heard_update(old, cut((30, 5), (40, 5)), 0)  # kept, for the next line may fail
        it.say(type="ready", mode="resume", epoch="e", grid=GRID, gateway="h")
        assert old.is_left
        it.cut((30, 5), (50, 5))

    it = played(scenario)
    assert it.world.blamed == []
    assert it.client.cursor == (50, 5)
    assert it.client.link.state is LinkState.LIVE
