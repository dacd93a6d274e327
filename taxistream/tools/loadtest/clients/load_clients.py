# SPDX-License-Identifier: Apache-2.0
"""All clients: opens their connections, calls their timers and counts events."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from taxistream.tools.loadtest.clients.behavior import ClientBehavior
from taxistream.tools.loadtest.clients.client import LoadClient
from taxistream.tools.loadtest.clients.line import Line, LineOpener
from taxistream.tools.loadtest.clients.observations import Key, Observations
from taxistream.tools.loadtest.rules import RuleFindings
from taxistream.tools.loadtest.view_kind import ViewKind
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.grid import OracleGrid

STARTS_PER_S: Final = 250
TICK_S: Final = 0.1
_TOLERANCE_S: Final = 0.5
"""How much later than the protocol permits a message may arrive, because processes share the CPU cores."""
_LAGS_KEPT: Final = 600
_RECENT: Final = 50


class LoadClients:
    """Clients of one gateway address."""

    def __init__(
        self,
        url: str,
        *,
        clients: int,
        view: ViewKind,
        city: str,
        token: str | None,
        grid: OracleGrid,
        oracle: OracleCity,
        findings: RuleFindings,
        seed: int = 1,
    ) -> None:
        self.findings = findings
        self.observations = Observations(oracle, findings)
        self.resumes = 0
        self.images = 0
        self.resets: Counter[str] = Counter()
        """Reason → number of resets, without those that a client's cursor provoked."""
        self.closes: Counter[int] = Counter()
        """Close code → number of connections that the gateway closed."""
        self.recoveries_ms: list[float] = []
        self.gaps_ms: list[float] = []
        """For each client of a draining gateway, how long it got no update."""
        self.leavings_s: list[float] = []
        self.lags_ms: deque[float] = deque(maxlen=_LAGS_KEPT)
        dice = random.Random(seed)
        self.behavior = ClientBehavior(oracle, grid, view, dice)
        self._opener = LineOpener(url)
        self.clients = [
            LoadClient(
                f"client-{number + 1}",
                self,
                city,
                random.Random(dice.getrandbits(32)),
                token,
                self.behavior.first_view(number),
                recovered_ms=self._recovered,
            )
            for number in range(clients)
        ]
        self._calm = True

    # --- what clients ask -------------------------------------------------------------------------

    def open(self, client: LoadClient) -> Line:
        """Open a connection in the background."""
        return self._opener.open(client)

    def blame(self, rule: str, *details: object) -> None:
        self.findings.blame(rule, *details)

    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None:
        self.observations.saw(key, message, at_ms, late=late)

    def ready(self, client: LoadClient, message: dict[str, Any]) -> None:
        """Count a session that began or was reset."""
        del client
        self.resumes += message["mode"] == "resume"
        self.images += message["mode"] == "image"

    def reset(self, reason: str) -> None:
        """Count a reset that the client's cursor did not provoke."""
        self.resets[reason] += 1

    def closed(self, code: int) -> None:
        self.closes[code] += 1

    def leaving(self, at_s: float) -> None:
        self.leavings_s.append(at_s)

    def handed_over(self, gap_ms: float) -> None:
        self.gaps_ms.append(gap_ms)

    def tolerance_s(self) -> float:
        """`_TOLERANCE_S` plus the greatest recent delay of this process's own event loop."""
        recent = list(self.lags_ms)[-_RECENT:]
        return _TOLERANCE_S + max(recent, default=0.0) / 1000

    # --- running ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect all clients, at STARTS_PER_S."""
        for client in self.clients:
            client.start()
            await asyncio.sleep(1 / STARTS_PER_S)

    async def all_live(self, within_s: float) -> bool:
        """Wait until all clients are live. False if that takes longer than `within_s`."""
        deadline_s = asyncio.get_running_loop().time() + within_s
        while not all(client.is_live for client in self.clients):
            if asyncio.get_running_loop().time() > deadline_s:
                return False
            await asyncio.sleep(0.02)
        return True

    def unrest(self) -> None:
        """Let clients pan and disconnect from now on."""
        self._calm = False

    def behavior_over(self) -> None:
        """Let clients only receive from now on."""
        self._calm = True

    async def tick(self, each: Callable[[], None] = lambda: None) -> None:
        """Call timers and behaviour, and measure the delay of the event loop, until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = before_s = loop.time()
        while True:
            due_s = max(due_s + TICK_S, loop.time())
            await asyncio.sleep(due_s - loop.time())
            now_s = loop.time()
            self.lags_ms.append(max(0.0, (now_s - due_s) * 1000))
            for client in self.clients:
                client.check(now_s)
            self.behavior.remember(now_s, self.clients[0].cursor)
            if not self._calm:
                self.behavior.act(self.clients, now_s, now_s - before_s)
            before_s = now_s
            each()

    def live(self) -> int:
        """How many clients are live."""
        return sum(client.is_live for client in self.clients)

    def all_recovered(self) -> bool:
        """Whether all clients are live and have got an update since the last kill."""
        return all(client.is_live and not client.killed_ms for client in self.clients)

    def most_used(self) -> str:
        """The name of the gateway with the most live clients; empty if there are none."""
        names = Counter(client.gateway for client in self.clients if client.is_live)
        return names.most_common(1)[0][0] if names else ""

    def record_kill(self, gateway: str, at_ms: int) -> int:
        """Record that a gateway was killed, and return how many live clients it had."""
        hit = [client for client in self.clients if client.gateway == gateway and client.is_live]
        for client in hit:
            client.killed_ms, client.killed_line = at_ms, client.line
        return len(hit)

    def _recovered(self, client: LoadClient, at_ms: int) -> None:
        self.recoveries_ms.append(at_ms - client.killed_ms)
        client.killed_ms = 0

    async def stop(self) -> None:
        """Disconnect all clients."""
        for client in self.clients:
            client.stop()
        await asyncio.sleep(0)
