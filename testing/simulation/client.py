# SPDX-License-Identifier: Apache-2.0
"""A client of docs/protocol.md over a message-level socket, with all checks that one client can do.

It disconnects, reads slowly, pans and zooms, loses a row, lets its token expire, and reconnects with old,
foreign and impossible cursors.
"""

import asyncio
import contextlib
import json
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from taxi.city_time import REAL_TIME, CityTime, Period
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.client.rows import DriverRow, StreamError, Update
from taxi.cursor import Cursor
from testing.simulation.search import RAISED
from testing.virtual_sockets import Closed, Socket

SILENCE_S = 3.0
HEALED_CUTS_MAX = 20
"""So many cuts may be under way while a mismatch is."""
WISH_CUTS_MAX = 20
"""So many, while a view is."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Window:
    """A view, by the page's own formula."""

    box: Box | None
    grid: tuple[int, int, int, int, int] = (0, 0, 0, 1, 1)
    """West and south in 1e-5 degrees, shift, columns, rows."""

    def shows(self, row: DriverRow) -> bool:
        if self.box is None:
            return True
        west, south, east, north = self.box
        column, line = self._tile(row.lng_e5, row.lat_e5)
        first = self._tile(math.floor(west * 1e5), math.floor(south * 1e5))
        last = self._tile(math.ceil(east * 1e5), math.ceil(north * 1e5))
        return first[0] <= column <= last[0] and first[1] <= line <= last[1]

    def _tile(self, lng_e5: int, lat_e5: int) -> tuple[int, int]:
        west_e5, south_e5, shift, columns, rows = self.grid
        column, row = (lng_e5 - west_e5) >> shift, (lat_e5 - south_e5) >> shift
        return min(max(column, 0), columns - 1), min(max(row, 0), rows - 1)


@dataclass(frozen=True)
class Context:
    """What a client was sent beside the rows."""

    city_time: CityTime = REAL_TIME
    """How log time becomes city time."""
    scenarios: tuple[tuple[str, int], ...] = ()
    """Name and beginning of the scenarios under way, the oldest first."""


NO_CONTEXT = Context()


class Witness(Protocol):
    """Who writes down what clients see."""

    def fail(self, rule: str, *details: object) -> None: ...

    def saw(self, what: str) -> None:
        """For the tally of things that must happen sometimes."""

    def observe(self, client: str, cut: Update, state: Replica, window: Window, context: Context) -> None:
        """A cut was applied."""


@dataclass
class Behavior:
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
    pan: float = 0.03
    """Ask for another view, sometimes for several at once."""
    slip: float = 0.003
    """Lose a row, as a bug might: the next hash tells."""
    token_s: float = 20.0
    """How long a token lasts on average."""

    @classmethod
    def drawn(cls, rng: random.Random, raised: Iterable[str] = ()) -> "Behavior":
        """`raised`: what this client does more often than others."""
        scale = rng.choice([0.3, 1.0, 3.0])
        drawn = cls(lid=0.002 * scale, hop=0.004 * scale, stall=0.004 * scale)
        for chance in raised:
            setattr(drawn, chance, RAISED * getattr(cls, chance))
        return drawn


def is_held(message: bytes | str | None) -> bool:
    """Whether the gateway says that it has not reached the client's cursor yet."""
    return isinstance(message, str) and json.loads(message)["type"] == "pending"


@dataclass
class Client:
    """One client's life, over many connections."""

    name: str
    connect: Callable[[], Socket | None]
    rng: random.Random
    witness: Witness
    calm: asyncio.Event
    """From then on it only watches."""
    behavior: Behavior
    token: Callable[[float], tuple[str, int]]
    """Mints one that lasts so many seconds; with the wall clock's time of its end."""
    state: Replica = field(default_factory=Replica)
    window: Window = Window(None)
    """What the rows are of."""
    context: Context = NO_CONTEXT
    """As the gateway says."""
    _excused: str = ""
    """Why the next cut may be an image although the client has a cursor: the reset's reason."""
    _asked_for: str = ""
    _odd_epoch: str = ""
    """Of the last cursor beyond the end: another city may have begun since."""
    _pass: tuple[str, int] = ("", 0)
    _generation: int = 0
    _requests: dict[int, Box | None] = field(default_factory=dict)
    """Views asked for on this connection and not seen yet."""
    _slipped: bool = False
    """A row was lost, and the client has not found it yet."""
    _complaint_cuts: int | None = None
    """How many cuts came since a mismatch was reported; None: none is due to be healed."""
    _wish_cuts: int = 0

    async def live(self) -> None:
        """Connect, send `hello`, receive, wait, and repeat until cancelled."""
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
            while socket is not None:
                pause_s, socket = await self._session(socket)
            await self._pause(pause_s)
            tries = 0 if loop.time() - began > 1 else tries + 1

    async def _pause(self, most_s: float) -> None:
        """Do nothing for so long, or until the world is calm."""
        if self.calm.is_set():
            await asyncio.sleep(min(most_s, 0.5))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self.calm.wait()

    async def _session(self, socket: Socket) -> tuple[float, Socket | None]:
        """One connection; the seconds to wait before the next, or the next itself, which is `ready`."""
        self._excused = ""
        try:
            self._greet(socket)
            return await self._talk(socket)
        except StreamError as error:
            self.witness.fail("stream", self.name, str(self.state.cursor), error)
            self.state, self.window = Replica(), Window(None)
            return 0.1, None
        except TimeoutError:
            self.witness.saw("silence noticed")
            return self.rng.random() * 0.1, None
        finally:
            if not socket.is_kept:
                socket.close()

    async def _talk(self, socket: Socket) -> tuple[float, Socket | None]:
        while (message := await self._receive(socket)) is not None:
            if isinstance(message, str) and json.loads(message)["type"] == "drain":
                return await self._hand_over(socket)
            if isinstance(message, bytes):
                self._apply(socket, message)
                pause_s = self._whim()
                self._look_around(socket)
                await self._dawdle()
            else:
                pause_s = self._control(json.loads(message))
            if pause_s is not None:
                return pause_s, None
        return self._after(socket.closed), None

    async def _hand_over(self, old: Socket) -> tuple[float, Socket | None]:
        """Handle `drain`: open the next connection, and apply no more updates of this one after `hello`."""
        self.witness.saw("drained")
        new = self.connect()
        if new is None:
            return 0.0, None
        self._greet(new)
        with contextlib.suppress(TimeoutError):
            while is_held(message := await self._receive(new)):
                self.witness.saw("pending received")
            if isinstance(message, str) and self._control(json.loads(message)) is None:
                if old.closed is None:
                    self.witness.saw("handed over without a gap")
                new.is_kept = True
                return await self._take(new)
        new.close()
        return 0.0, None

    async def _take(self, new: Socket) -> tuple[float, Socket | None]:
        """The successor has answered: it is the connection now."""
        try:
            return await self._talk(new)
        finally:
            new.close()

    async def _dawdle(self) -> None:
        """A reader that stops now and then."""
        if not self.calm.is_set() and self.rng.random() < self.behavior.stall:
            self.witness.saw("client stalled")
            await self._pause(self.rng.random() * self.behavior.stall_s)

    async def _receive(self, socket: Socket) -> bytes | str | None:
        """Receive a message. A gateway must send one every second, also to a pending client."""
        async with asyncio.timeout(SILENCE_S):
            return await socket.receive()

    def _greet(self, socket: Socket) -> None:
        """A new connection: what was asked for on the last one is forgotten, but not a lost row."""
        if self._complaint_cuts is not None:
            self.state = Replica()
        self._requests, self._wish_cuts, self._complaint_cuts = {}, 0, None
        if not self._pass[0]:
            self._pass = self.token(2 + self.rng.expovariate(1 / self.behavior.token_s))
        socket.expires_ms = self._pass[1]
        socket.send(json.dumps(self._hello()))

    def _hello(self) -> dict[str, Any]:
        hello: dict[str, Any] = {"type": "hello", "v": 1, "city": "grid", "token": self._pass[0]}
        self._asked_for = "nothing"
        if self.window.box is not None:
            hello["view"] = self.window.box
        cursor = self.state.cursor
        if cursor is None:
            return hello
        if not self.calm.is_set() and self.rng.random() < self.behavior.forget:
            self.state = Replica()
            return hello
        self._asked_for = "resume"
        if not self.calm.is_set() and self.rng.random() < self.behavior.odd_cursor:
            cursor = self._odd(cursor)
        hello["cursor"] = str(cursor)
        return hello

    def _odd(self, cursor: Cursor) -> Cursor:
        """A cursor of another log, or beyond the end of this one. The client discards its rows."""
        self._asked_for = self.rng.choice(["foreign", "ahead"])
        self.state = Replica()
        if self._asked_for == "foreign":
            return cursor._replace(epoch="feedfeedfeedfeed")
        self._odd_epoch = cursor.epoch
        return cursor._replace(ev=cursor.ev + 1_000_000)

    def _control(self, message: dict[str, Any]) -> float | None:
        """Handle a control message."""
        kind = message["type"]
        if kind == "reset":
            self._excused = message["reason"]
            self.witness.saw(f"reset {self._excused}")
        elif kind == "ready":
            ahead = "ahead" if message["epoch"] == self._odd_epoch else "epoch"
            wanted = {"foreign": "epoch", "ahead": ahead}.get(self._asked_for, self._excused)
            if wanted != self._excused:
                self.witness.fail("an odd cursor was served", self.name, self._asked_for, message)
            if message["mode"] == "image" and self.state.cursor is not None and not self._excused:
                self.witness.fail("image without reset", self.name, message)
            self.state.ready(message["epoch"])
            self.context = NO_CONTEXT
            grid = message["grid"]
            places = tuple(grid[name] for name in ("west_e5", "south_e5", "shift", "columns", "rows"))
            self.window = Window(self.window.box, places)
            self.witness.saw(f"ready {message['mode']}")
        elif kind == "city_time":
            periods = [Period(*period) for period in message["periods"]]
            self.context = replace(self.context, city_time=CityTime(periods))
            self.witness.saw("city time sent")
        elif kind == "scenarios":
            names = tuple((row["name"], row["since_ms"]) for row in message["under_way"])
            self.context = replace(self.context, scenarios=names)
            self.witness.saw("scenarios sent")
        elif kind in {"pending", "health", "verdict"}:
            self.witness.saw(f"{kind} received")
        else:
            self.witness.fail("unknown control message", self.name, message)
        return None

    def _apply(self, socket: Socket, message: bytes) -> None:
        cut = decode_update(message)
        if self._complaint_cuts is not None and not cut.is_image:
            self._complaint_cuts += 1
            if self._complaint_cuts > HEALED_CUTS_MAX:
                self.witness.fail("a mismatch was not healed", self.name, str(self.state.cursor))
                self._complaint_cuts = None
            return
        before = self.state.cursor
        if cut.is_image and before is not None and not self._excused:
            self.witness.fail("image without reset", self.name, str(before))
        try:
            self.state.apply(cut)
        except StreamError:
            if not self._slipped or cut.loc_before != (before and before.loc):
                raise
            self._see(cut)  # it was applied, and is of the view that it names
            self._complain(socket, cut)
            return
        self._slipped = self._slipped and not cut.is_image
        if cut.is_image and self._complaint_cuts is not None:
            self.witness.saw("a wrong picture healed")
            self._complaint_cuts = None
        self._see(cut)
        after = self.state.cursor
        assert after is not None
        if before is not None and self._excused not in {"ahead", "epoch"} and not before.reached_by(after):
            self.witness.fail("cursor back", self.name, str(before), str(after))
        if before is not None and cut.loc_before == before.loc and self._asked_for == "resume":
            self.witness.saw("resumed with a diff")
        self._asked_for = self._excused = ""
        self.witness.observe(self.name, cut, self.state, self.window, self.context)

    def _complain(self, socket: Socket, cut: Update) -> None:
        """Send `mismatch`, because the hash shows that a row is missing. The rows stay until the image."""
        own, received = self.state.lanes, cut.hash
        socket.send(
            json.dumps(
                {"type": "mismatch", "cursor": str(self.state.cursor), "own": own, "received": received}
            )
        )
        self._slipped, self._complaint_cuts = False, 0

    # --- views ------------------------------------------------------------------------------------

    def _see(self, cut: Update) -> None:
        """Which view a cut is of."""
        if cut.generation:
            if cut.generation not in self._requests:
                self.witness.fail("a view that was not requested", self.name, cut.generation)
                return
            self.window = Window(self._requests[cut.generation], self.window.grid)
            self.witness.saw("a view seen")
            self._requests = {g: box for g, box in self._requests.items() if g > cut.generation}
            self._wish_cuts = 0
        elif self._requests:
            self._wish_cuts += 1
            if self._wish_cuts > WISH_CUTS_MAX:
                self.witness.fail("a view never came", self.name, sorted(self._requests))
                self._requests = {}

    def _look_around(self, socket: Socket) -> None:
        """Pan, sometimes quickly; lose a row, rarely."""
        if self.calm.is_set():
            return
        if self.rng.random() < self.behavior.pan and len(self._requests) < 3:
            for _ in range(self.rng.choice([1, 1, 2, 3])):
                self._generation = self._generation % 0xFFFF + 1
                box = self._box()
                self._requests[self._generation] = box
                wish = {"type": "view", "generation": self._generation, "bbox": box}
                socket.send(json.dumps(wish))
            self._wish_cuts = 0
        if self.rng.random() < self.behavior.slip and self.state.drivers and self._complaint_cuts is None:
            self.state.drivers.pop(self.rng.choice(sorted(self.state.drivers)))
            self._slipped = True
            self.witness.saw("a row lost")

    def _box(self) -> Box | None:
        """Some tiles, or all."""
        if self.rng.random() < 0.2:
            return None
        west_e5, south_e5, shift, columns, rows = self.window.grid
        side = 1 << shift
        left, right = sorted(self.rng.uniform(-1, columns + 1) for _ in "we")
        low, high = sorted(self.rng.uniform(-1, rows + 1) for _ in "sn")
        west, south = west_e5 + left * side, south_e5 + low * side
        return west / 1e5, south / 1e5, (west_e5 + right * side) / 1e5, (south_e5 + high * side) / 1e5

    def _whim(self) -> float | None:
        """Leave? And for how long."""
        if self.calm.is_set():
            return None
        luck = self.rng.random()
        if luck < self.behavior.lid:
            self.witness.saw("lid closed")
            return self.rng.random() * self.behavior.lid_s
        return 0.0 if luck < self.behavior.lid + self.behavior.hop else None

    def _after(self, closed: Closed | None) -> float:
        """What a close code asks for."""
        code = int(closed.code) if closed else 1006
        self.witness.saw(f"closed {code}")
        if code == 4401:
            self._pass = ("", 0)
            return self.rng.random() * 0.5
        if code in {4008, 4010, 1011} or 4400 <= code < 4500:
            self.witness.fail("closed for a fault", self.name, code, closed and closed.reason)
        if code == 4001 and closed and closed.reason.isdigit():
            return int(closed.reason) / 1000
        return self.rng.random() * 0.1
