# SPDX-License-Identifier: Apache-2.0
"""A browser: speaks docs/protocol.md over a message-level socket, checks what one client can check.

It closes lids, reads slowly, moves on, and comes back with old, foreign and impossible cursors.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from taxi.cursor import Cursor
from taxi.stream import ClientState, Cut, StreamError, decode_cut
from tests.simulation.sockets import Closed, Socket

SILENCE_S = 3.0
GREETING_S = 12.0
"""A hello gets an answer, or a close, within the ten seconds that a client may be held."""


class Witness(Protocol):
    """Who writes down what clients see."""

    def fail(self, rule: str, *details: object) -> None: ...

    def saw(self, what: str) -> None:
        """For the tally of things that must happen sometimes."""

    def observe(self, client: str, cut: Cut, state: ClientState) -> None:
        """A cut was applied."""


@dataclass
class Habits:
    """Chances at each cut. Each seed draws its own."""

    lid: float = 0.002
    """Close, and come back after up to `lid_s`."""
    lid_s: float = 16.0
    hop: float = 0.004
    """Close, and come back at once."""
    stall: float = 0.004
    """Stop reading for up to `stall_s`."""
    stall_s: float = 6.0
    odd_cursor: float = 0.04
    """At a hello: a cursor that can't be served."""
    forget: float = 0.05
    """At a hello: no cursor, as after a reload."""

    @classmethod
    def drawn(cls, rng: random.Random) -> "Habits":
        scale = rng.choice([0.3, 1.0, 3.0])
        return cls(lid=0.002 * scale, hop=0.004 * scale, stall=0.004 * scale)


@dataclass
class Client:
    """One client's life, over many connections."""

    name: str
    connect: Callable[[], Socket | None]
    rng: random.Random
    witness: Witness
    calm: asyncio.Event
    """From then on it only watches."""
    habits: Habits
    state: ClientState = field(default_factory=ClientState)
    _excused: str = ""
    """Why the next cut may be an image although the client has a cursor: the reset's reason."""
    _asked_for: str = ""

    async def live(self) -> None:
        """For ever: connect, greet, watch; wait; again."""
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            socket = self.connect()
            if socket is None:
                wait_s = self.rng.random() * (0.1 if not tries else min(2.0, 0.2 * 2**tries))
                tries += 1
                await asyncio.sleep(wait_s)
                continue
            began = loop.time()
            await self._pause(await self._session(socket))
            tries = 0 if loop.time() - began > 1 else tries + 1

    async def _pause(self, most_s: float) -> None:
        """Do nothing for so long, or until the world is calm."""
        if self.calm.is_set():
            await asyncio.sleep(min(most_s, 0.5))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self.calm.wait()

    async def _session(self, socket: Socket) -> float:
        """One connection; the seconds to wait before the next."""
        try:
            return await self._talk(socket)
        except StreamError as error:
            self.witness.fail("stream", self.name, str(self.state.cursor), error)
            self.state = ClientState()
            return 0.1
        except TimeoutError:
            self.witness.saw("silence noticed")
            return self.rng.random() * 0.1
        finally:
            socket.close()

    async def _talk(self, socket: Socket) -> float:
        self._excused = ""
        socket.send(json.dumps(self._hello()))
        patience_s = GREETING_S
        while (message := await self._receive(socket, patience_s)) is not None:
            if isinstance(message, bytes):
                self._apply(message)
                patience_s = SILENCE_S
                pause_s = self._whim()
                await self._dawdle()
            else:
                pause_s = self._control(json.loads(message))
            if pause_s is not None:
                return pause_s
        return self._after(socket.closed)

    async def _dawdle(self) -> None:
        """A reader that stops now and then."""
        if not self.calm.is_set() and self.rng.random() < self.habits.stall:
            self.witness.saw("client stalled")
            await self._pause(self.rng.random() * self.habits.stall_s)

    async def _receive(self, socket: Socket, within_s: float) -> bytes | str | None:
        async with asyncio.timeout(within_s):
            return await socket.receive()

    def _hello(self) -> dict[str, Any]:
        hello: dict[str, Any] = {"type": "hello", "v": 1, "city": "grid"}
        self._asked_for = "nothing"
        cursor = self.state.cursor
        if cursor is None:
            return hello
        if not self.calm.is_set() and self.rng.random() < self.habits.forget:
            self.state = ClientState()
            return hello
        self._asked_for = "resume"
        if not self.calm.is_set() and self.rng.random() < self.habits.odd_cursor:
            cursor = self._odd(cursor)
        hello["cursor"] = str(cursor)
        return hello

    def _odd(self, cursor: Cursor) -> Cursor:
        """A cursor of another log, or beyond the end of this one. Whoever asks so has nothing to keep."""
        self._asked_for = self.rng.choice(["foreign", "ahead"])
        self.state = ClientState()
        if self._asked_for == "foreign":
            return cursor._replace(epoch="feedfeedfeedfeed")
        return cursor._replace(ev=cursor.ev + 1_000_000)

    def _control(self, message: dict[str, Any]) -> float | None:
        """What the gateway says beside cuts; after a `drain` at once to another one."""
        kind = message["type"]
        if kind == "drain":
            self.witness.saw("drained")
            return 0.0
        if kind == "reset":
            self._excused = message["reason"]
            self.witness.saw(f"reset {self._excused}")
        elif kind == "ready":
            wanted = {"foreign": "epoch", "ahead": "ahead"}.get(self._asked_for, self._excused)
            if wanted != self._excused:
                self.witness.fail("an odd cursor was served", self.name, self._asked_for, message)
            if message["mode"] == "image" and self.state.cursor is not None and not self._excused:
                self.witness.fail("image without reset", self.name, message)
            self.state.ready(message["epoch"])
            self.witness.saw(f"ready {message['mode']}")
        else:
            self.witness.fail("unknown control message", self.name, message)
        return None

    def _apply(self, message: bytes) -> None:
        cut = decode_cut(message)
        before = self.state.cursor
        if cut.is_image and before is not None and not self._excused:
            self.witness.fail("image without reset", self.name, str(before))
        self.state.apply(cut)
        after = self.state.cursor
        assert after is not None
        if before is not None and self._excused not in {"ahead", "epoch"} and not before.reached_by(after):
            self.witness.fail("cursor back", self.name, str(before), str(after))
        if before is not None and cut.loc_before == before.loc and self._asked_for == "resume":
            self.witness.saw("resumed with a diff")
        self._asked_for = self._excused = ""
        self.witness.observe(self.name, cut, self.state)

    def _whim(self) -> float | None:
        """Leave? And for how long."""
        if self.calm.is_set():
            return None
        luck = self.rng.random()
        if luck < self.habits.lid:
            self.witness.saw("lid closed")
            return self.rng.random() * self.habits.lid_s
        return 0.0 if luck < self.habits.lid + self.habits.hop else None

    def _after(self, closed: Closed | None) -> float:
        """What a close code asks for."""
        code = int(closed.code) if closed else 1006
        self.witness.saw(f"closed {code}")
        if code in {4008, 4010, 1011} or 4400 <= code < 4500:
            self.witness.fail("closed for a fault", self.name, code, closed and closed.reason)
        if code == 4001 and closed and closed.reason.isdigit():
            return int(closed.reason) / 1000
        return self.rng.random() * 0.1
