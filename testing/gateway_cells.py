# SPDX-License-Identifier: Apache-2.0
"""A source of updates without taxis: a row of cells, each with its newest number.

The stream serves it like any other source. At every cut, a client must have exactly the cells of its viewport
as they are after the log before the cut.
"""

import asyncio
import json
import random
from collections.abc import Coroutine
from typing import Any

from gateway.access.tokens import Keys
from gateway.stream.delta_source import Area, Box, Periods, ScenarioNotice
from gateway.stream.hub import Hub
from gateway.stream.session import LogOffsets
from gateway.stream.session_handler import AskEnds
from gateway.stream.terms import Terms
from taxi.bus.memory.bus import MemoryBroker, MemoryBus, MemoryLimits
from taxi.cursor import Cursor
from taxi.runtime.env import Env
from testing.gateway_harness import Spy, is_notice
from testing.virtual_sockets import SimListener, Socket, SocketNetwork
from testing.virtual_time import Node, SimLoop

EPOCH = "ab"
START_MS = 1_750_000_000_000
CELLS = 10


class Cells:
    """The log is a list of (cell, number); the cursor counts it."""

    def __init__(self, epoch: str = EPOCH) -> None:
        self.log: list[tuple[int, int]] = []
        self.epoch = epoch
        self.window = 100
        self.steps = self.diffs = 0
        """Frames encoded."""
        self.cursor: Cursor | None = Cursor(epoch, 0, 0)
        self.previous: Cursor | None = None
        self.reads_back = False
        """Whether what lies before the window is being read."""

    def write(self, cell: int, number: int) -> None:
        self.log.append((cell, number))

    def close(self) -> None:
        self.previous, self.cursor = self.cursor, Cursor(self.epoch, len(self.log), 0)

    def serves(self, cursor: Cursor) -> bool:
        assert self.cursor is not None
        return cursor.reached_by(self.cursor) and cursor.loc >= self.cursor.loc - self.window

    def awaits(self, cursor: Cursor) -> bool:
        return cursor.loc < self.cursor.loc - self.window and self.reads_back if self.cursor else False

    def area(self, box: Box | None) -> Area:
        if box is None:
            return None
        west, _, east, _ = box
        if not west <= east:
            message = "west is east of east"
            raise ValueError(message)
        return max(0, int(west)), min(CELLS - 1, int(east))

    def rows(self, loc: int, area: Any) -> dict[int, int]:
        low, high = area or (0, CELLS - 1)
        return {cell: number for cell, number in dict(self.log[:loc]).items() if low <= cell <= high}

    def step(self, area: Area, *, stale: bool = False) -> bytes:
        self.steps += 1
        assert self.previous is not None
        return self._frame(self.previous, area, area, stale, 0)

    def diff(
        self, since: Cursor | None, old: Area, new: Area, *, stale: bool = False, generation: int = 0
    ) -> bytes:
        self.diffs += 1
        return self._frame(since, old, new, stale, generation)

    def _frame(self, since: Cursor | None, old: Area, new: Area, stale: bool, generation: int) -> bytes:
        assert self.cursor is not None
        before = self.rows(since.loc, old) if since else {}
        after = self.rows(self.cursor.loc, new)
        frame = {
            "from": since and since.loc,
            "to": self.cursor.loc,
            "gone": [cell for cell in before if cell not in after],
            "set": [[cell, number] for cell, number in after.items() if before.get(cell) != number],
            "generation": generation,
            "stale": stale,
        }
        return json.dumps(frame).encode()

    periods: Periods = ()
    scenarios: tuple[ScenarioNotice, ...] = ()

    def ready_fields(self) -> dict[str, Any]:
        return {"cells": CELLS}


class Viewer:
    """A client that has its cells and checks them at every cut."""

    def __init__(self, socket: Socket, cells: Cells) -> None:
        self.socket = socket
        self.cells = cells
        self.rows: dict[int, int] = {}
        self.loc: int | None = None
        self.area: Area = None
        self.requests: dict[int, Area] = {}
        self.said: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.at_s: list[float] = []

    def hello(self, **fields: Any) -> None:
        self.area = self.cells.area(fields.get("view"))
        self.socket.send(json.dumps({"type": "hello", "v": 1, "city": "cells", **fields}))

    def request_viewport(self, generation: int, box: Box | None) -> None:
        self.requests[generation] = self.cells.area(box)
        self.socket.send(json.dumps({"type": "view", "generation": generation, "bbox": box}))

    def complain(self) -> None:
        cursor = f"{EPOCH}:{self.loc}:0"
        self.socket.send(
            json.dumps({"type": "mismatch", "cursor": cursor, "own": [1, 2], "received": [3, 4]})
        )

    async def next(self, within_s: float = 30.0) -> dict[str, Any] | None:
        """The next message, applied and checked; None when the connection ends."""
        async with asyncio.timeout(within_s):
            while is_notice(message := await self.socket.receive()):
                self.notices.append(json.loads(message or ""))
        if message is None:
            return None
        self.at_s.append(asyncio.get_running_loop().time())
        if isinstance(message, str):
            self.said.append(json.loads(message))
            return self.said[-1]
        frame: dict[str, Any] = json.loads(message)
        self.frames.append(frame)
        self._apply(frame)
        return frame

    def _apply(self, frame: dict[str, Any]) -> None:
        if frame["from"] is None:
            self.rows.clear()
        else:
            assert frame["from"] == self.loc, "a cut was missed"
        if frame["generation"]:
            self.area = self.requests[frame["generation"]]
        for cell in frame["gone"]:
            self.rows.pop(cell)
        self.rows.update(frame["set"])
        self.loc = frame["to"]
        assert self.rows == self.cells.rows(frame["to"], self.area)

    async def frame(self) -> dict[str, Any]:
        """The next cut, whatever is said before it."""
        while "to" not in (message := await self.next() or {"to": "closed"}):
            pass
        assert message["to"] != "closed", self.socket.closed
        return message

    async def closed(self) -> tuple[int, str]:
        """Read to the end of the connection; its code and reason."""
        while await self.next(60.0) is not None:
            pass
        assert self.socket.closed is not None
        return int(self.socket.closed.code), self.socket.closed.reason


class Harness:
    """A hub with cells as its source, in virtual time."""

    def __init__(self, **terms: Any) -> None:
        self.loop = SimLoop(1)
        self.sockets = SocketNetwork(self.loop, random.Random(2))
        self.node = Node("gateway")
        self.listener = self.sockets.listeners["gateway"] = SimListener(self.node)
        self.listener.open()
        self.cells = Cells()
        self.spy = Spy()
        self.clock_ms = 0
        """How far the wall clock is off."""
        self.ends = LogOffsets(10**9, 0)
        broker = MemoryBroker(self.loop, now_ms=self.now_ms, now_s=self.loop.time, rng=random.Random(1))
        self.env: Env[Any] = Env(
            settings=None,
            bus=MemoryBus(broker, world=self.loop, rng=random.Random(3), limits=MemoryLimits()),
            now_ms=self.now_ms,
            random=random.Random(4),
            new_id=iter(f"{n:016x}" for n in range(10**6)).__next__,
            log=self.spy,
            metrics=self.spy,
            health=self.spy,
        )
        usual: dict[str, Any] = {
            "city": "cells",
            "gateway": "g",
            "cut_interval_ms": 100,
            "clients_max": 100,
            "address_clients_max": 100,
            "limit_loopback": False,
            "drain_per_s": 10.0,
            "keys": Keys(),
        }
        self.hub = Hub(self.env, Terms(**usual | terms), self._ask_ends)
        self.ask_ends: AskEnds = self._known_ends
        """Answers for the broker; tests replace it."""

    async def _known_ends(self) -> LogOffsets:
        return self.ends

    async def _ask_ends(self) -> LogOffsets:
        return await self.ask_ends()

    def now_ms(self) -> int:
        return START_MS + self.clock_ms + int(self.loop.now * 1000)

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        async def staged() -> None:
            serving = self.loop.spawn(self.node, self._serve())
            cutting = self.loop.spawn(self.node, self._cut_for_ever())
            try:
                await scenario
            finally:
                serving.cancel()
                cutting.cancel()
                await asyncio.wait([serving, cutting])

        self.loop.run_until_complete(staged())
        assert self.loop.errors == []
        self.loop.kill(self.node)
        self.loop.shut_down()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self.hub.serve(await self.listener.accept()))

    async def _cut_for_ever(self) -> None:
        ticks = 0
        while True:
            self.cut(beat=ticks % 10 == 0)
            ticks += 1
            await asyncio.sleep(0.1)

    def cut(self, *, beat: bool = False) -> None:
        """Close a cut, show it and publish it, as the gateway does."""
        if (
            len(self.cells.log) != (self.cells.cursor or Cursor("", 0, 0)).loc
            or self.hub.publisher.source is None
        ):
            self.cells.close()
            self.hub.use(self.cells, stale=False)
        self.hub.publish(beat=beat)

    def connect(self, name: str = "client") -> Viewer:
        socket = self.sockets.connect(Node(name))
        assert socket is not None
        return Viewer(socket, self.cells)

    async def watch(self, **hello: Any) -> Viewer:
        """A client that has got its first cut."""
        viewer = self.connect()
        viewer.hello(**hello)
        await viewer.frame()
        return viewer
