# SPDX-License-Identifier: Apache-2.0
"""A client of one gateway, for the verifier."""

import asyncio
import random
from typing import Any, Final

from taxi.client.protocol import LinkState
from taxistream.tools.loadtest.clients.client import LoadClient
from taxistream.tools.loadtest.clients.line import Line, LineOpener
from taxistream.tools.loadtest.clients.observations import Key
from taxistream.tools.loadtest.judge import ReceivedUpdate
from verifier.gateway_check import GatewayCheck

_TOLERANCE_S: Final = 5.0
"""The verifier does not judge how punctual a gateway is."""


class GatewayClient:
    """Follows the whole city at whichever gateway it reaches. A `ClientEnvironment` of its one client."""

    def __init__(self, url: str, check: GatewayCheck, *, number: int, city: str, token: str | None) -> None:
        self.check = check
        self.is_refused = ""
        """Why a gateway closed the connection for good; empty if none did."""
        self._opener = LineOpener(url)
        self._client = LoadClient(f"verifier's client {number}", self, city, random.Random(number), token)

    @property
    def gateway(self) -> str:
        """The gateway that it follows; empty if none."""
        return self._client.gateway if self._client.is_live else ""

    def start(self) -> None:
        """Connect."""
        self._client.start()

    def try_another(self) -> None:
        """Connect again, perhaps to another gateway at the same address."""
        self._client.leave(0.0, cursor=None, expects="image")

    def tick(self, now_s: float) -> None:
        """Call it ten times a second."""
        self._client.check(now_s)

    def stop(self) -> None:
        """Disconnect."""
        self._client.stop()

    # --- what the client asks -------------------------------------------------------------------------

    def open(self, client: LoadClient) -> Line:
        return self._opener.open(client)

    def blame(self, rule: str, *details: object) -> None:
        self.check.broke(rule, " ".join(map(str, details)))

    def saw(self, key: Key, message: bytes, at_ms: int, *, late: bool) -> None:
        del at_ms, late
        since, to, old, area, epoch = key
        update = ReceivedUpdate(message, since, to, old, area, epoch)
        self.check.saw(self._client.gateway, update, asyncio.get_running_loop().time())

    def ready(self, client: LoadClient, message: dict[str, Any]) -> None:
        del client, message
        self.is_refused = ""

    def reset(self, reason: str) -> None:
        del reason

    def closed(self, code: int) -> None:
        if self._client.link.state is LinkState.REFUSED:
            self.is_refused = f"a gateway closed the connection with {code}"

    def leaving(self, at_s: float) -> None:
        del at_s

    def handed_over(self, gap_ms: float) -> None:
        del gap_ms

    def tolerance_s(self) -> float:
        return _TOLERANCE_S
