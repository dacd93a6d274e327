# SPDX-License-Identifier: Apache-2.0
"""Real gateways in virtual time, clients, and the log itself as the judge of what they see."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from taxi import messages as m
from taxi import topics
from taxi.client.rows import Cut
from taxi.client.state import ClientState
from tests.simulation.client import Window
from tests.simulation.oracle_fold import EventFold, LocationFold, ride_rows
from tests.unit.gateway.lab import HERE, THERE, Browser, Lab

EXPIRY_MS = 60_000
CORNER = [HERE[0], HERE[1], HERE[0], HERE[1]]
"""The tile of one corner of the city."""


class Stage:
    """A lab, and its log read by the oracle of the simulation, which shares no code with the gateway."""

    def __init__(self) -> None:
        self.lab = Lab()

    # --- what the log says ------------------------------------------------------------------------

    def hold_to_the_log(self, browser: Browser, box: Any = None) -> None:
        """Exactly the rows of the log before its cursor, within its view."""
        cursor = browser.state.cursor
        assert cursor is not None
        boundary = self.events().boundaries[cursor.ev]
        locations = LocationFold.of(self.lab.broker.partition(topics.LOCATIONS, 0))
        cut_ms = max(locations.append_ms[cursor.loc], boundary.now_ms)
        window = Window(box and tuple(box), self._grid(browser))
        rows = locations.rows(cursor.loc, cut_ms, boundary, EXPIRY_MS)
        assert browser.state.drivers == {driver: row for driver, row in rows.items() if window.shows(row)}
        assert browser.state.rides == ride_rows(boundary, cut_ms, EXPIRY_MS)

    def events(self) -> EventFold:
        return EventFold.of(self.lab.broker.partition(topics.EVENTS, 0))

    def _grid(self, browser: Browser) -> Any:
        [*_, ready] = [said for said in browser.said if said["type"] == "ready"]
        return tuple(ready["grid"][name] for name in ("west_e5", "south_e5", "shift", "columns", "rows"))

    def offsets_told(self, after: int, before: int) -> list[int]:
        """Of the feed events between two `ev`."""
        return [event.offset for event in self.events().between(after, before)]

    # --- what goes on -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def traffic(self, drivers: int = 5) -> Iterator[None]:
        """Fixes and batches all the while; rides now and then."""
        going_on = self.lab.loop.create_task(self._traffic(drivers))
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
                self.lab.fix(driver, (THERE, HERE)[(number // 3 + driver) % 2])
                if number % 4 == 0:  # late, and older than what is shown
                    self.lab.fix(driver, HERE, at_ms=self.lab.now_ms() - 3_000)
            if number % 3 == 0:  # yesterday's, of one whom nobody has seen today
                self.lab.fix(77, HERE, at_ms=self.lab.now_ms() - 86_400_000)
            ride: Any = partial(m.RideRequested, ride=f"r{number}", rider="x", pickup=HERE, dropoff=THERE)
            self.lab.batch(
                *([ride, partial(m.RideCancelled, ride=f"r{number}", reason="rider")] if number % 2 else [])
            )
            await asyncio.sleep(0.4)

    async def begun(self, *gateways: str, **settings: Any) -> None:
        """A log with a beginning, and gateways that are ready."""
        self.lab.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in (1, 2, 3)))
        for name in gateways or ("gateway-1",):
            await self.lab.gateway(name, **settings)

    async def elsewhere(self, state: ClientState, **hello: Any) -> Browser:
        """The client comes back, to whichever gateway listens."""
        return await self.lab.watch(state, **hello)


def look(browser: Browser, generation: int, box: Any) -> None:
    """Ask for a view."""
    browser.socket.send(json.dumps({"type": "view", "generation": generation, "bbox": box}))


async def until_seen(browser: Browser, generation: int) -> Cut:
    """The first cut of that view."""
    async with asyncio.timeout(5):
        while (cut := await browser.cut()).generation != generation:
            pass
    return cut
