# SPDX-License-Identifier: Apache-2.0
"""Real gateways in virtual time, clients, and the log itself as the judge of what they see."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from taxi import messages as m
from taxi.client.replica import Replica
from taxi.client.rows import Update
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.events import Events
from testing.gateway_harness import HERE, THERE, Browser, GatewayHarness
from testing.simulation.client import Window
from testing.simulation.oracle_log import driver_rows, read_log, ride_rows

EXPIRY_MS = 60_000
CORNER = [HERE[0], HERE[1], HERE[0], HERE[1]]
"""The tile of one corner of the city."""


class Stage:
    """A harness, and its log read by the oracle, which shares no code with the gateway."""

    def __init__(self) -> None:
        self.harness = GatewayHarness()

    # --- what the log says ------------------------------------------------------------------------

    def hold_to_the_log(self, browser: Browser, box: Any = None) -> None:
        """Exactly the rows of the log before its cursor, within its view."""
        cursor = browser.state.cursor
        assert cursor is not None
        city = self._city()
        rows = city.rows((cursor.loc, cursor.ev))
        drivers, window = driver_rows(city, rows), Window(box and tuple(box), self._grid(browser))
        shown = {driver: row for driver, row in drivers.items() if window.shows(row)}
        assert browser.state.drivers == shown, "other drivers than the log has"
        assert browser.state.rides == ride_rows(rows), "other rides than the log has"

    def events(self) -> Events:
        """The city after each batch."""
        return self._city().events

    def _city(self) -> OracleCity:
        return read_log(self.harness.broker, 0, EXPIRY_MS)

    def _grid(self, browser: Browser) -> Any:
        [*_, ready] = [said for said in browser.said if said["type"] == "ready"]
        return tuple(ready["grid"][name] for name in ("west_e5", "south_e5", "shift", "columns", "rows"))

    def feed_offsets(self, after: int, before: int) -> list[int]:
        """Of the feed events between two `ev`."""
        return [event.offset for event in self.events().between(after, before)]

    # --- what goes on -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def traffic(self, drivers: int = 5) -> Iterator[None]:
        """Fixes and batches all the while; rides now and then."""
        going_on = self.harness.loop.create_task(self._traffic(drivers))
        try:
            yield
        finally:
            if going_on.done():
                going_on.result()
            going_on.cancel()

    async def _traffic(self, drivers: int) -> None:
        number = 0
        while True:
            number += 1
            for driver in range(1, drivers + 1):
                self.harness.fix(driver, (THERE, HERE)[(number // 3 + driver) % 2])
                if number % 4 == 0:  # late, and older than what is shown
                    self.harness.fix(driver, HERE, at_ms=self.harness.now_ms() - 3_000)
            if number % 3 == 0:  # yesterday's, of one that was not seen today
                self.harness.fix(77, HERE, at_ms=self.harness.now_ms() - 86_400_000)
            ride: Any = partial(m.RideRequested, ride=f"r{number}", rider="x", pickup=HERE, dropoff=THERE)
            self.harness.batch(
                *([ride, partial(m.RideCancelled, ride=f"r{number}", reason="rider")] if number % 2 else [])
            )
            await asyncio.sleep(0.4)

    async def begun(self, *gateways: str, **settings: Any) -> None:
        """A log with a beginning, and gateways that are ready."""
        self.harness.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in (1, 2, 3)))
        for name in gateways or ("gateway-1",):
            await self.harness.gateway(name, **settings)

    async def elsewhere(self, state: Replica, **hello: Any) -> Browser:
        """The client comes back, to whichever gateway listens."""
        return await self.harness.watch(state, **hello)


def request_viewport(browser: Browser, generation: int, box: Any) -> None:
    """Ask for a view."""
    browser.socket.send(json.dumps({"type": "view", "generation": generation, "bbox": box}))


async def until_seen(browser: Browser, generation: int) -> Update:
    """The first cut of that view."""
    async with asyncio.timeout(5):
        while (cut := await browser.cut()).generation != generation:
            pass
    return cut
