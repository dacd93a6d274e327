# SPDX-License-Identifier: Apache-2.0
"""Keeps a city view at the end of the log: boots it, deepens it, and boots another one if it breaks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

from gateway.follower.boot import Boot, Booted
from gateway.follower.boot_state import FOLLOWING, BootEvent, BootMachine, BootState
from gateway.follower.tail import Tail, fetch_all
from gateway.settings import Settings
from gateway.stream.session import LogOffsets
from gateway.updates.city_view import CityView, CityViewBrokenError, ClockOverlookedError, Span
from gateway.updates.grid import TileGrid
from taxi.bus import OffsetOutOfRange, Record, Unavailable
from taxi.runtime.env import Env
from taxi.runtime.foreign_events import ForeignEvents
from taxi.runtime.held_back import HeldBack, check_held_back
from taxi.topics import EVENTS, LOCATIONS

RUSH_S: Final = 1.0
"""So long after a boot all clients reconnect at once. Nothing is read meanwhile that can wait."""
_AGAIN_S: Final = (0.1, 1.0)
"""Between two attempts to build a city view."""
_BEHIND_S_MAX: Final = 2.0
_SILENT_S_MAX: Final = 3.0
NO_BROKER: Final = "no broker"
BEHIND_LOG: Final = "behind the log"
_NO_EPOCH: Final = "the log has no epoch yet"
_TOO_YOUNG: Final = "the log is too young"
_WHY_NOT_SERVING: Final = {
    BootState.BOOTING: "reading the log",
    BootState.BEHIND_GAP: "waiting for a snapshot, because the events have a gap",
    BootState.BROKEN: "the log does not continue what was read; it will be read again",
}
_SHORT_WINDOW: Final = "the window begins at the start of this process"


@dataclass
class Deepening:
    """A deeper city view while it is read, and what the first city view has folded since its boot."""

    missed: list[tuple[list[Record], list[Record]]] = field(default_factory=list)
    """Positions and events, one pair a cut, that the deeper city view lacks."""
    city_view: CityView | None = None
    """The deeper city view, up to where `missed` begins; None while it is read up to there."""


class Follower:
    """The reading half of a gateway. `run` reads, and `fold`, called once a cut, changes the city view.

    Invariants, between two awaits:

    - `state` is in `FOLLOWING` only if there is a `city_view` and readers that go on from it.
    - `city_view` is at a closed cut.
    - A deeper city view takes over only at the same cursor, so with the same rows.

    Args:
        env: The service's environment.
        grid: The tiles of the city.
        span: How far back rows and resume window reach.
        booted: Called when a city view is at the end of the log, so that no client waits for the next cut.
    """

    def __init__(self, env: Env[Settings], grid: TileGrid, span: Span, booted: Callable[[], None]) -> None:
        self._env = env
        self._grid = grid
        self._span = span
        self._on_booted = booted
        self._boot = BootMachine(self._report)
        self.boots = 0
        """How many city views were booted. A deeper one that takes over does not count."""
        self._booted: Booted | None = None
        """The city view that is followed; None before and while one is booted. It is kept for the moment
        between the break and the end of reading."""
        self._tails: tuple[Tail, ...] = ()
        self._broken = asyncio.Event()
        self._deepening: Deepening | None = None
        """Not None exactly in the states INCOMPLETE and SHALLOW."""
        self._counted = {LOCATIONS: 0, EVENTS: 0, "dropped": 0, "passed over": 0}
        self._foreign = ForeignEvents(env)
        self._set_gauge()

    @property
    def state(self) -> BootState:
        """How far the boot is."""
        return self._boot.state

    @property
    def city_view(self) -> CityView | None:
        """The city view that follows the log; None before and while one is booted."""
        return None if self._booted is None else self._booted.city_view

    @property
    def ends(self) -> LogOffsets:
        """The ends of both logs that the boot has read up to. There must be a city view."""
        assert self._booted is not None
        return self._booted.ends

    @property
    def is_following(self) -> bool:
        """Whether the city view follows the log."""
        return self.state in FOLLOWING

    def why_not_serving(self) -> str:
        """Why the city view may not be shown: the state's name and an explanation, for /readyz."""
        why = _WHY_NOT_SERVING.get(self.state)
        if why is None:
            why = _NO_EPOCH if self.city_view is None or self.city_view.cursor is None else _TOO_YOUNG
        return f"{self.state.value}: {why}"

    def lag(self, now_s: float) -> str | None:
        """Why the city view may be old (NO_BROKER, BEHIND_LOG), or None."""
        for tail in self._tails:
            if tail.asked_s is not None and now_s - tail.asked_s > _SILENT_S_MAX:
                return NO_BROKER
            if tail.behind_s is not None and now_s - tail.behind_s > _BEHIND_S_MAX:
                return BEHIND_LOG
        return None

    # --- reading ----------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Boot a city view and follow the log; boot another when it breaks. Until cancelled."""
        partition, in_order = self._env.settings.own().partition, False
        while True:
            try:
                boot = Boot(
                    self._env.bus, partition, self._span, self._grid, self._settle_gap, in_order=in_order
                )
                async with boot.read_shallow() as booted:
                    await self._follow(booted, boot)
            except (Unavailable, OffsetOutOfRange, CityViewBrokenError) as error:
                in_order = isinstance(error, ClockOverlookedError)
                self._env.log.warning("the view could not be built: trying again", reason=str(error))
            if self.state is BootState.BOOTING:
                self._boot.on(BootEvent.READ_FAILED)
            else:
                self._break()
            self._booted = None
            self._env.metrics.count("gateway_rebuilds_total")
            await asyncio.sleep(self._env.random.uniform(*_AGAIN_S))
            if self.state is BootState.BROKEN:
                self._boot.on(BootEvent.RETRIED)

    def _settle_gap(self, reason: str | None) -> None:
        if reason is None:
            self._env.faults.clear("events_gap")
            self._boot.on(BootEvent.GAP_ENDED)
            return
        text = (
            f"the events on the log do not continue: {reason}. This gateway waits for a newer snapshot; "
            "the dispatcher writes one a minute. Restart the dispatcher if none comes"
        )
        self._env.faults.report("events_gap", text, blocks=True)
        self._boot.on(BootEvent.GAP_FOUND)

    async def _follow(self, booted: Booted, boot: Boot) -> None:
        env = self._env
        self._booted, self._broken, self._deepening = booted, asyncio.Event(), Deepening()
        self._tails = (
            Tail(booted.locations, LOCATIONS, env.random, env.log),
            Tail(booted.events, EVENTS, env.random, env.log),
        )
        self._counted = dict.fromkeys(self._counted, 0)
        self.boots += 1
        booted.city_view.is_deepening = True
        self._boot.on(BootEvent.LOG_READ)
        self._note_rows()
        self._on_booted()
        try:
            async with asyncio.TaskGroup() as tasks:
                for tail in self._tails:
                    tasks.create_task(tail.run())
                tasks.create_task(check_held_back(*self._held_back(booted)))
                tasks.create_task(self._until_broken())
                tasks.create_task(self._deepen(booted, boot))
        except* (OffsetOutOfRange, CityViewBrokenError) as group:
            env.log.warning("the log broke: building the view again", reason=str(group.exceptions[0]))

    async def _until_broken(self) -> None:
        await self._broken.wait()
        message = "it does not continue what was read"
        raise CityViewBrokenError(message)

    def _held_back(self, booted: Booted) -> tuple[HeldBack, ...]:
        """What reports an open transaction that holds a reader back. What is shown then is true, but old."""
        partition = self._env.settings.own().partition
        shown = "Clients are shown the city as it was before it, until it ends"
        return tuple(
            HeldBack(self._env, topic, partition, reader, code=code, consequence=shown)
            for topic, reader, code in (
                (EVENTS, booted.events, "events_held_back"),
                (LOCATIONS, booted.locations, "positions_held_back"),
            )
        )

    # --- deepening --------------------------------------------------------------------------------

    async def _deepen(self, booted: Booted, boot: Boot) -> None:
        """Read the deeper city view between the cuts. `_take_over` replaces the first city view by it."""
        deepening = self._deepening
        assert deepening is not None
        await asyncio.sleep(RUSH_S)
        try:
            deep = await boot.read_deep(booted)
            while deep is not None and deepening.missed:
                locations, events = deepening.missed.pop(0)
                deep.fold_positions(locations)
                deep.fold_events(events)
                await asyncio.sleep(0)  # after one cut's records, so that no cut is late
        except (Unavailable, OffsetOutOfRange, CityViewBrokenError) as error:
            self._env.log.warning(_SHORT_WINDOW, reason=str(error))
            deep = None
        if deep is None:
            self._end_deepening(booted)
        else:
            deepening.city_view = deep

    def _end_deepening(self, booted: Booted) -> None:
        """Keep the first city view. Its window grows with the log."""
        self._deepening = None
        booted.city_view.is_deepening = False
        self._boot.on(BootEvent.NOT_DEEPENED)

    def _take_over(self, booted: Booted) -> None:
        """Replace the first city view by the deeper one if that is read: same cut, same rows."""
        deepening = self._deepening
        if deepening is None or deepening.city_view is None:
            return
        deep = deepening.city_view
        try:
            for locations, events in deepening.missed:
                deep.fold_positions(locations)
                deep.fold_events(events)
        except CityViewBrokenError as error:  # the first city view has met the same, or is about to
            self._env.log.warning(_SHORT_WINDOW, reason=str(error))
            self._end_deepening(booted)
            return
        deep.close()
        deep.drivers.dropped.take()  # the other city view has counted them
        if deep.cursor != booted.city_view.cursor:
            self._env.log.error(
                f"{_SHORT_WINDOW}: two readings of the log differ",
                shallow=str(booted.city_view.cursor),
                deep=str(deep.cursor),
            )
            self._end_deepening(booted)
            return
        booted.city_view, self._deepening = deep, None
        self._counted = self._counts(deep)
        self._boot.on(BootEvent.DEEPENED if deep.whole else BootEvent.DEEPENED_INCOMPLETE)

    # --- cuts -------------------------------------------------------------------------------------

    async def fetch(self, interval_s: float) -> None:
        """Send the fetches of a cut and wait for them, for at most a part of the interval."""
        await fetch_all(self._tails, interval_s)

    def fold(self) -> bool:
        """Fold what was read since the last call, and close the cut. Returns whether the cut has moved."""
        has_moved = self._fold()
        self._foreign.check()
        return has_moved

    def _fold(self) -> bool:
        if self._booted is None or not self._tails:
            return False
        self._take_over(self._booted)
        locations, events = (tail.take() for tail in self._tails)
        if not locations and not events:
            return False
        if self._deepening is not None:
            self._deepening.missed.append((locations, events))
        city_view, before = self._booted.city_view, self._booted.city_view.cursor
        try:
            city_view.fold_positions(locations)
            city_view.fold_events(events)
        except CityViewBrokenError as error:
            self._env.log.error("the log does not go on as it began", reason=str(error))
            self._break()
            self._broken.set()
        city_view.close()  # also what came before the break is at a batch's end
        self._count(city_view)
        self._note_rows()
        return city_view.cursor != before

    def _break(self) -> None:
        """Follow the city view no more. May be called again until the next boot."""
        self._tails = ()
        self._deepening = None
        if self.state is not BootState.BROKEN:
            self._boot.on(BootEvent.BROKE)

    def _note_rows(self) -> None:
        if (
            self.state in {BootState.INCOMPLETE, BootState.AWAITING_LOG}
            and self.city_view
            and self.city_view.whole
        ):
            self._boot.on(BootEvent.ROWS_KNOWN)

    # --- log and metrics --------------------------------------------------------------------------

    def _report(self, before: BootState, event: BootEvent, after: BootState) -> None:
        cursor = None if self.city_view is None else str(self.city_view.cursor)
        self._env.log.info(event.value, before=before.value, state=after.value, cursor=cursor)
        self._set_gauge()

    def _set_gauge(self) -> None:
        for state in BootState:
            self._env.metrics.gauge("gateway_boot_state", float(state is self.state), state=state.value)

    def _count(self, city_view: CityView) -> None:
        metrics = self._env.metrics
        metrics.count("gateway_cuts_total")
        metrics.gauge("gateway_drivers", city_view.drivers.total)
        metrics.gauge("gateway_speed", city_view.city.time.speed)
        metrics.gauge(
            "gateway_lag_seconds", (self._env.now_ms() + city_view.city.shift_ms - city_view.cut_ms) / 1000
        )
        now = self._counts(city_view)
        for topic in (LOCATIONS, EVENTS):
            if now[topic] > self._counted[topic]:
                count = now[topic] - self._counted[topic]
                metrics.count("gateway_undecodable_total", count, topic=topic)
                self._env.log.warning("records could not be read", topic=topic, count=count)
        if now["dropped"] > self._counted["dropped"]:
            metrics.count("gateway_dropped_events_total", now["dropped"] - self._counted["dropped"])
        if now["passed over"] > self._counted["passed over"]:
            foreign = now["passed over"] - self._counted["passed over"]
            metrics.count("gateway_passed_over_total", foreign)
            self._foreign.note(foreign)
        self._counted = now

    def _counts(self, city_view: CityView) -> dict[str, int]:
        return {
            LOCATIONS: city_view.undecodable,
            EVENTS: city_view.undecodable_events,
            "dropped": city_view.batches.dropped,
            "passed over": city_view.passed_over,
        }
