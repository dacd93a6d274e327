# SPDX-License-Identifier: Apache-2.0
"""All clients together: opens their lines, looks after their timers, and counts."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from loadtest.oracle.city import City
from loadtest.oracle.grid import Grid
from loadtest.rules import Findings
from loadtest.swarm.client import Client
from loadtest.swarm.habits import Habits, View
from loadtest.swarm.line import Line, open_line
from loadtest.swarm.sights import Key, Sights

STARTS_PER_S: Final = 250
TICK_S: Final = 0.1
_TOLERANCE_S: Final = 0.5
"""A message may take so long beyond what is promised of its sending: two processes share the cores."""
_LAGS_KEPT: Final = 600
_RECENT: Final = 50


class Swarm:
    """Clients of one gateway address."""

    def __init__(
        self,
        url: str,
        *,
        clients: int,
        view: View,
        city: str,
        token: str | None,
        grid: Grid,
        oracle: City,
        findings: Findings,
        seed: int = 1,
    ) -> None:
        self.findings = findings
        self.sights = Sights(oracle, findings)
        self.resumes = 0
        self.images = 0
        self.resets: Counter[str] = Counter()
        """By reason, those that nobody provoked."""
        self.closes: Counter[int] = Counter()
        """Lines that ended from the other side, by code."""
        self.recoveries_ms: list[float] = []
        self.dark_ms: list[float] = []
        """Of each client that was asked to leave: how long it got no cut."""
        self.leavings_s: list[float] = []
        self.lags_ms: deque[float] = deque(maxlen=_LAGS_KEPT)
        dice = random.Random(seed)
        self.habits = Habits(oracle, grid, view, dice)
        host, _, port = url.split("/")[2].rpartition(":")
        self._url, self._host, self._port = url, host, int(port)
        self._opening: set[asyncio.Task[None]] = set()
        self.clients = [
            Client(
                f"client-{number + 1}",
                self,
                city,
                random.Random(dice.getrandbits(32)),
                token,
                self.habits.first_view(number),
                recovered_ms=self._recovered,
            )
            for number in range(clients)
        ]
        self._calm = True

    # --- what clients ask -------------------------------------------------------------------------

    def open(self, client: Client) -> Line:
        """A new line, connecting in the background."""
        line = Line(self._url, client)
        task = asyncio.create_task(open_line(line, self._host, self._port))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return line

    def blame(self, rule: str, *details: object) -> None:
        self.findings.blame(rule, *details)

    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None:
        self.sights.saw(key, message, at_ms, late=late)

    def ready(self, client: Client, message: dict[str, Any]) -> None:
        """A session began, or began again."""
        del client
        self.resumes += message["mode"] == "resume"
        self.images += message["mode"] == "image"

    def reset(self, reason: str) -> None:
        """A reset that no odd cursor asked for."""
        self.resets[reason] += 1

    def closed(self, code: int) -> None:
        self.closes[code] += 1

    def leaving(self, at_s: float) -> None:
        self.leavings_s.append(at_s)

    def moved(self, dark_ms: float) -> None:
        self.dark_ms.append(dark_ms)

    def tolerance_s(self) -> float:
        """What is promised may be seen later by what this very process was late of late."""
        recent = list(self.lags_ms)[-_RECENT:]
        return _TOLERANCE_S + max(recent, default=0.0) / 1000

    # --- running ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Everyone connects, spread a little."""
        for client in self.clients:
            client.start()
            await asyncio.sleep(1 / STARTS_PER_S)

    async def all_live(self, within_s: float) -> bool:
        """Wait until every client follows the city."""
        deadline_s = asyncio.get_running_loop().time() + within_s
        while not all(client.is_live for client in self.clients):
            if asyncio.get_running_loop().time() > deadline_s:
                return False
            await asyncio.sleep(0.02)
        return True

    def unrest(self) -> None:
        """From now on clients do more than watch."""
        self._calm = False

    def habits_over(self) -> None:
        """From now on clients only watch."""
        self._calm = True

    async def tick(self, each: Callable[[], None] = lambda: None) -> None:
        """For ever: timers, habits, and how late this loop is."""
        loop = asyncio.get_running_loop()
        due_s = before_s = loop.time()
        while True:
            due_s = max(due_s + TICK_S, loop.time())
            await asyncio.sleep(due_s - loop.time())
            now_s = loop.time()
            self.lags_ms.append(max(0.0, (now_s - due_s) * 1000))
            for client in self.clients:
                client.watch(now_s)
            self.habits.remember(now_s, self.clients[0].cursor)
            if not self._calm:
                self.habits.act(self.clients, now_s, now_s - before_s)
            before_s = now_s
            each()

    def live(self) -> int:
        """How many follow the city now."""
        return sum(client.is_live for client in self.clients)

    def unhurt(self) -> bool:
        """Whether everyone follows the city, and has had a cut since the last kill."""
        return all(client.is_live and not client.hurt_ms for client in self.clients)

    def most_used(self) -> str:
        """The gateway that most clients hang on."""
        names = Counter(client.gateway for client in self.clients if client.is_live)
        return names.most_common(1)[0][0] if names else ""

    def hurt(self, gateway: str, at_ms: int) -> int:
        """That gateway was killed: whose cuts stop, and how many they are."""
        hit = [client for client in self.clients if client.gateway == gateway and client.is_live]
        for client in hit:
            client.hurt_ms, client.hurt_line = at_ms, client.line
        return len(hit)

    def _recovered(self, client: Client, at_ms: int) -> None:
        self.recoveries_ms.append(at_ms - client.hurt_ms)
        client.hurt_ms = 0

    async def stop(self) -> None:
        """Everyone leaves."""
        for client in self.clients:
            client.stop()
        await asyncio.sleep(0)
