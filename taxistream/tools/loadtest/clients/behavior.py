# SPDX-License-Identifier: Apache-2.0
"""The behaviour of clients: they pan, disconnect for a while, and reconnect with cursors of all kinds."""

import random
from collections import Counter, deque
from typing import Final

from taxistream.tools.loadtest.clients.client import LoadClient
from taxistream.tools.loadtest.view_kind import ViewKind
from taxistream.tools.oracle.city import Cursor, OracleCity
from taxistream.tools.oracle.grid import BBox, OracleGrid

_BOXES: Final = 12
"""How many different viewports there are. Each has updates of its own, and all of them are checked."""
_SIDE: Final = (0.12, 0.35)
"""The side of a viewport as a share of the city's, at least and at most."""
_PAN_S: Final = 15.0
"""How long a client keeps a viewport, on average."""
_HABIT_S: Final = 40.0
"""How often a client disconnects, on average: one of all clients every `_HABIT_S / clients` s, but at most
four a second."""
_OLD_S: Final = 130.0
"""An age of cursors that no resume window contains."""
_FOREIGN: Final = "feedfeedfeedfeed"


def boxes(grid: OracleGrid, dice: random.Random) -> list[BBox]:
    """Random viewports of the size of a window on the page."""
    west, south, east, north = grid.bounds
    found = []
    for _ in range(_BOXES):
        width, height = (dice.uniform(*_SIDE) * side for side in (east - west, north - south))
        left, bottom = dice.uniform(west, east - width), dice.uniform(south, north - height)
        found.append((left, bottom, left + width, bottom + height))
    return found


class ClientBehavior:
    """Chooses at random which client does what next."""

    def __init__(self, city: OracleCity, grid: OracleGrid, view: ViewKind, dice: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._city = city
        self._dice = dice
        self._view = view
        self._boxes = boxes(grid, dice)
        self._remembered: deque[tuple[float, Cursor]] = deque()

    def first_view(self, number: int) -> BBox | None:
        """The first viewport of the n-th client."""
        looks = self._view == "random" or (self._view == "mixed" and number % 2)
        return self._dice.choice(self._boxes) if looks else None

    def remember(self, now_s: float, cursor: Cursor | None) -> None:
        """Keep a client's cursor once a second, to use it as an old one later."""
        if cursor is not None and (not self._remembered or now_s - self._remembered[-1][0] > 1):
            self._remembered.append((now_s, cursor))

    def act(self, clients: list[LoadClient], now_s: float, passed_s: float) -> None:
        """Let some clients act. Call it a few times a second, `passed_s` after the last call."""
        panning = [client for client in clients if client.view is not None]
        for _ in range(self._how_many(len(panning) / _PAN_S, passed_s)):
            self._pan(self._dice.choice(panning))
        live = [client for client in clients if client.is_live]
        if live:
            for _ in range(self._how_many(min(len(live) / _HABIT_S, 4.0), passed_s)):
                self._leave(self._dice.choice(live), now_s)

    def _how_many(self, per_s: float, passed_s: float) -> int:
        whole, rest = divmod(per_s * passed_s, 1)
        return int(whole) + (self._dice.random() < rest)

    def _pan(self, client: LoadClient) -> None:
        """Request another viewport, sometimes several at once: then the last one counts."""
        for _ in range(self._dice.choice([1, 1, 1, 3])):
            client.look_at(self._dice.choice(self._boxes))
        self.done["pan"] += 1

    def _leave(self, client: LoadClient, now_s: float) -> None:
        kind = self._dice.choice(["hop", "nap", "reload", "foreign", "ahead", "newest", "old"])
        at = client.cursor
        assert at is not None
        if kind == "hop":
            client.leave(0.0, cursor=at)
        elif kind == "nap":
            client.leave(self._dice.uniform(0.5, 8.0), cursor=at)
        elif kind == "reload":
            client.leave(0.0, cursor=None, expects="image")
        elif kind == "foreign":
            client.leave(0.0, cursor=at, epoch=_FOREIGN, expects="epoch")
        elif kind == "ahead":
            client.leave(0.0, cursor=(at[0], at[1] + 1_000_000), expects="ahead")
        elif kind == "newest":
            client.leave(0.0, cursor=self._newest(at), expects="resume")
        else:
            kind = self._old(client, now_s)
        self.done[kind] += 1

    def _newest(self, at: Cursor) -> Cursor:
        """The end of the log, which the gateway may not have reached: it must keep the client pending."""
        return max(at[0], self._city.positions.end), max(at[1], self._city.events.last.ev)

    def _old(self, client: LoadClient, now_s: float) -> str:
        """Reconnect with a cursor that may be older than the resume window."""
        while len(self._remembered) > 1 and self._remembered[1][0] < now_s - _OLD_S:
            self._remembered.popleft()
        if not self._remembered or self._remembered[0][0] > now_s - _OLD_S:
            client.leave(0.0, cursor=client.cursor)
            return "hop"
        client.leave(0.0, cursor=self._remembered[0][1], expects="expired|resume")
        return "old"
