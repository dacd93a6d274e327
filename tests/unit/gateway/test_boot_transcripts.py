# SPDX-License-Identifier: Apache-2.0
"""What a real gateway says of its boot, as transcripts: what happens, and the states that follow.

Each line that begins with `>` is what the test does. The others are what the gateway says: changes of the
boot's state, of /readyz, and what a client gets. `...` is an ordinary boot (READY). Times are virtual.
"""

import asyncio
import textwrap
from collections.abc import Callable
from functools import partial

import pytest

from gateway.follower.boot_state import BootEvent, BootState
from taxi import messages as m
from taxi import topics
from testing.gateway_harness import HERE, Browser, GatewayHarness

HOUR_MS = 3_600_000
EVENTS = {event.value for event in BootEvent}
READY = """\
> a gateway starts
the log is read: booting -> incomplete
all rows are known: incomplete -> shallow
readyz: ready"""
"""An ordinary boot until the gateway is ready: `...` in a transcript."""


class Transcript:
    """Writes down what the test does and what the gateway says."""

    def __init__(self, harness: GatewayHarness, name: str = "gateway-1") -> None:
        self.lines: list[str] = []
        self._harness = harness
        self._name = name
        self._read = 0

    def does(self, words: str) -> None:
        """Write down what the test does next."""
        self._listen()
        self.lines.append(f"> {words}")

    def starts(self) -> None:
        """Start the gateway."""
        self.does("a gateway starts")
        self._harness.start(self._name)

    async def until(self, state: BootState) -> None:
        """Wait for a state of the boot."""
        await self._until(lambda: self._harness.gateways[self._name][0].follower.state is state)

    async def until_ready(self, *, is_ready: bool = True) -> None:
        """Wait for a change of /readyz."""
        await self._until(lambda: (self._harness.spy(self._name).reason is None) is is_ready)

    async def _until(self, what: Callable[[], bool]) -> None:
        await self._harness.until(what, within_s=300)
        self._listen()

    def hears(self, browser: Browser) -> None:
        """Write down what a client has got since the last call."""
        self._listen()
        kinds = [said["type"] for said in browser.notices] + [
            f"{said['type']} {said.get('mode') or said['reason']}" for said in browser.said
        ]
        self.lines += [f"client: {kind}" for kind in dict.fromkeys(kinds)]
        browser.notices.clear()
        browser.said.clear()

    def _listen(self) -> None:
        noted = self._harness.spy(self._name).noted if self._name in self._harness.gateways else []
        for event, fields in noted[self._read :]:
            if event in EVENTS:
                self.lines.append(f"{event}: {fields['before']} -> {fields['state']}")
            elif event == "ready":
                self.lines.append("readyz: ready")
            elif event == "not ready":
                self.lines.append(f"readyz: {fields['reason']}")
        self._read = len(noted)

    def reads(self, expected: str) -> None:
        """Compare with the expected text, in which `...` is the beginning that most boots share (READY)."""
        self._listen()
        assert "\n".join(self.lines) == textwrap.dedent(expected).strip().replace("...", READY)


@pytest.fixture
def transcript(harness: GatewayHarness) -> Transcript:
    return Transcript(harness)


async def city(harness: GatewayHarness, minutes: int) -> None:
    """A city that has run for some minutes, with a snapshot each minute, and that goes on."""
    harness.loop.create_task(harness.traffic())
    for _ in range(minutes):
        await asyncio.sleep(60)
        harness.snapshot()


def test_an_ordinary_boot(harness: GatewayHarness, transcript: Transcript) -> None:
    async def scenario() -> None:
        await city(harness, 6)
        transcript.starts()
        await transcript.until(BootState.COMPLETE)

    harness.run(scenario())
    transcript.reads("""
        ...
        the deeper view has taken over: shallow -> complete
    """)


def test_a_boot_of_a_log_without_an_epoch(harness: GatewayHarness, transcript: Transcript) -> None:
    async def scenario() -> None:
        transcript.starts()
        await transcript.until(BootState.AWAITING_LOG)
        transcript.does("the dispatcher writes the first batch")
        harness.batch()
        await transcript.until(BootState.COMPLETE)

    harness.run(scenario())
    transcript.reads("""
        > a gateway starts
        the log is read: booting -> incomplete
        readyz: incomplete: the log has no epoch yet
        there is no deeper view: incomplete -> awaiting_log
        > the dispatcher writes the first batch
        all rows are known: awaiting_log -> complete
        readyz: ready
    """)


def test_a_boot_without_a_snapshot(harness: GatewayHarness, transcript: Transcript) -> None:
    async def scenario() -> None:
        harness.loop.create_task(harness.traffic())
        await asyncio.sleep(30)
        harness.broker.partition(topics.EVENTS, 0).delete_before(3)
        transcript.does("the log has lost its first events, and there is no snapshot")
        transcript.starts()
        await transcript.until(BootState.BEHIND_GAP)
        await asyncio.sleep(30)
        transcript.does("the dispatcher writes a snapshot")
        harness.snapshot()
        await transcript.until(BootState.COMPLETE)

    harness.run(scenario())
    transcript.reads("""
        > the log has lost its first events, and there is no snapshot
        > a gateway starts
        the events have a gap: booting -> behind_gap
        readyz: behind_gap: waiting for a snapshot, because the events have a gap
        > the dispatcher writes a snapshot
        the wait behind the gap is over: behind_gap -> booting
        readyz: booting: reading the log
        the log is read: booting -> incomplete
        all rows are known: incomplete -> shallow
        readyz: ready
        there is no deeper view: shallow -> complete
    """)


def test_positions_that_come_late(harness: GatewayHarness, transcript: Transcript) -> None:
    async def scenario() -> None:
        await city(harness, 6)
        transcript.starts()
        await transcript.until(BootState.SHALLOW)
        transcript.does("positions of 20 s ago arrive while the deeper view is read")
        for driver in (1, 2, 77):
            harness.fix(driver, HERE, at_ms=harness.now_ms() - 20_000)
        await transcript.until(BootState.COMPLETE)

    harness.run(scenario())
    transcript.reads("""
        ...
        > positions of 20 s ago arrive while the deeper view is read
        the deeper view has taken over: shallow -> complete
    """)


def test_a_log_whose_older_positions_are_gone(harness: GatewayHarness, transcript: Transcript) -> None:
    async def scenario() -> None:
        await city(harness, 6)
        transcript.does("retention has deleted all positions but those of the last seconds")
        locations = harness.broker.partition(topics.LOCATIONS, 0)
        locations.delete_before(locations.end - 20)
        transcript.starts()
        await transcript.until(BootState.COMPLETE)

    harness.run(scenario())
    transcript.reads("""
        > retention has deleted all positions but those of the last seconds
        > a gateway starts
        the log is read: booting -> incomplete
        readyz: incomplete: the log is too young
        the deeper view has taken over, and some of its rows are not known: incomplete -> awaiting_log
        readyz: awaiting_log: the log is too young
        all rows are known: awaiting_log -> complete
        readyz: ready
    """)


def test_a_view_that_broke_and_is_rebuilt(harness: GatewayHarness, transcript: Transcript) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.DriverCameOnline, driver=1))
        harness.fix(1)
        transcript.starts()
        await transcript.until(BootState.COMPLETE)
        browser = await harness.watch()
        transcript.hears(browser)
        transcript.does("another epoch begins")
        harness.batch(epoch="fedcba9876543210")
        await transcript.until(BootState.BROKEN)
        await transcript.until(BootState.COMPLETE)
        while not browser.said:
            await browser.next()
        await browser.cut()
        transcript.hears(browser)

    harness.run(scenario())
    transcript.reads("""
        ...
        there is no deeper view: shallow -> complete
        client: ready image
        > another epoch begins
        the log broke: complete -> broken
        readyz: broken: the log does not continue what was read; it will be read again
        the log is read again: broken -> booting
        the log is read: booting -> incomplete
        all rows are known: incomplete -> shallow
        readyz: ready
        there is no deeper view: shallow -> complete
        client: reset epoch
        client: ready image
    """)


def test_a_clock_that_was_set_back_while_a_gateway_boots(
    harness: GatewayHarness, transcript: Transcript
) -> None:
    async def scenario() -> None:
        harness.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in range(1, 6)))
        for _ in range(10):
            for driver in range(1, 6):
                harness.fix(driver)
            await asyncio.sleep(1)
        transcript.does("the broker's clock is set back by an hour, and positions arrive")
        offsets = [harness.fix_at(driver, harness.now_ms() - HOUR_MS) for driver in range(1, 6)]
        transcript.starts()
        await transcript.until(BootState.COMPLETE)
        await transcript.until_ready(is_ready=False)
        transcript.does("a batch says from where on times are shifted")
        harness.batch(partial(m.ClockSetBack, locations_from=offsets[2], shift_ms=HOUR_MS))
        await transcript.until_ready()

    harness.run(scenario())
    transcript.reads("""
        > the broker's clock is set back by an hour, and positions arrive
        ...
        there is no deeper view: shallow -> complete
        readyz: the broker's clock was set back, and no batch has said yet by how much
        > a batch says from where on times are shifted
        readyz: ready
    """)


def test_a_client_waits_for_the_deeper_view_to_be_in_sync(
    harness: GatewayHarness, transcript: Transcript
) -> None:
    async def scenario() -> None:
        await city(harness, 6)
        await harness.gateway("gateway-0")
        browser = await harness.watch()
        browser.socket.close()
        harness.kill("gateway-0")
        transcript.does("a client loses its gateway and is away for 30 s")
        await asyncio.sleep(30)
        transcript.starts()
        await transcript.until(BootState.SHALLOW)
        transcript.does("it comes back with its cursor")
        back = harness.browse(browser.state)
        back.hello()
        await asyncio.sleep(0.5)
        while not back.said:
            await back.next()
        transcript.hears(back)

    harness.run(scenario())
    transcript.reads("""
        > a client loses its gateway and is away for 30 s
        ...
        > it comes back with its cursor
        the deeper view has taken over: shallow -> complete
        client: pending
        client: ready resume
    """)
