# SPDX-License-Identifier: Apache-2.0
"""The gateway: from the log to every client, a cut at a time. It keeps nothing that the log does not."""

import asyncio
from contextlib import suppress
from typing import Final

from gateway.boot import Beginning, Booted, ask_ends
from gateway.city.grid import Grid
from gateway.city.view import LogBroken, Span, View
from gateway.desk import Desk
from gateway.guard import Guard
from gateway.settings import Settings
from gateway.stream.drain import drain
from gateway.stream.hub import BEAT_MS, Hub, Terms
from gateway.stream.tokens import Keys
from gateway.tail import Pace, Tail, beat
from taxi.bus import BusError, OffsetOutOfRange, Record, Unavailable
from taxi.roads import RoadNetwork
from taxi.runtime.env import Env, Listener
from taxi.topics import EVENTS, LOCATIONS

STALE_S: Final = 5.0
"""After so long without a record a client is told that the log does not move."""
_BEHIND_S_MAX: Final = 2.0
_SILENT_S_MAX: Final = 3.0
_AGAIN_S: Final = (0.1, 1.0)
"""Between two attempts to build a view."""
_BEAT_S: Final = 0.9 * BEAT_MS / 1000
_RUSH_S: Final = 1.0
"""So long after it opened a gateway has everyone coming back at once, and reads nothing that can wait."""


class Gateway:
    """One gateway process. `main` runs it; HTTP asks its `desk`."""

    def __init__(self, env: Env[Settings], roads: RoadNetwork | None = None) -> None:
        if env.listener is None:
            message = "a gateway needs a listener"
            raise ValueError(message)
        self._env = env
        self._listener: Listener = env.listener
        settings = env.settings
        self._span = Span(settings.row_expiry_ms, settings.resume_ms)
        self._fresh: Booted | None = None
        """What is being read; None while a view is being built."""
        self._tails: tuple[Tail, Tail] | None = None
        self._broken = asyncio.Event()
        self._deep: View | None = None
        """A view that reaches back further, up to where the first one stood when it had booted…"""
        self._since_boot: list[tuple[list[Record], list[Record]]] | None = None
        """…and what was read since; None once nothing is awaited."""
        self._shown: View | None = None
        self._reason: str | None = "reading the log"
        self._open = asyncio.Event()
        now_s = asyncio.get_running_loop().time()
        self._pace = Pace(settings.cut_interval_ms / 1000, now_s)
        self._moved_s = self._sent_s = now_s
        self._stale = False
        self._counted = {LOCATIONS: 0, EVENTS: 0, "dropped": 0}
        keys = Keys(settings.token_secret)
        self.hub = Hub(env, _terms(settings, keys), lambda: ask_ends(env.bus, settings.own().partition))
        self.guard = Guard(env, keys)
        roads = roads or RoadNetwork.load(settings.own().folder)
        self._grid = Grid.over(roads.city.bbox)
        self.desk = Desk(env, roads, lambda: self._shown)

    async def run(self) -> None:
        """Until cancelled; then clients are sent elsewhere first."""
        work = asyncio.create_task(self._work())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.done():
                await self._leave(work)
            raise

    async def _leave(self, work: "asyncio.Task[None]") -> None:
        self._say("draining")
        self._listener.close()
        await drain(self.hub, self._env)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read())
                tasks.create_task(self._cut_for_ever())
                tasks.create_task(self._welcome(tasks))
        except* BusError as group:
            raise group.exceptions[0] from None

    async def _welcome(self, tasks: asyncio.TaskGroup) -> None:
        await self._open.wait()
        while True:
            connection = await self._listener.accept()
            tasks.create_task(self.hub.serve(connection))

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Build a view and follow the log; build another when it breaks. Connections stay meanwhile."""
        partition = self._env.settings.own().partition
        while True:
            try:
                beginning = Beginning(self._env.bus, partition, self._span, self._grid)
                async with beginning.young() as fresh:
                    self._env.log.info(
                        "the log is read", cursor=str(fresh.view.cursor), whole=fresh.view.whole
                    )
                    await self._follow(fresh, beginning)
            except (Unavailable, OffsetOutOfRange, LogBroken) as error:
                self._env.log.warning("the view could not be built: trying again", reason=str(error))
            self._fresh = self._tails = None
            self._env.metrics.count("gateway_rebuilds_total")
            await asyncio.sleep(self._env.random.uniform(*_AGAIN_S))

    async def _follow(self, fresh: Booted, beginning: Beginning) -> None:
        env = self._env
        tails = (
            Tail(fresh.locations, LOCATIONS, env.random, env.log),
            Tail(fresh.events, EVENTS, env.random, env.log),
        )
        self._fresh, self._tails, self._broken = fresh, tails, asyncio.Event()
        self._counted = dict.fromkeys(self._counted, 0)
        self._since_boot, self._deep = [], None
        fresh.view.is_deepening = True
        self._cut(asyncio.get_running_loop().time())  # whoever waits for it waits for no beat
        try:
            async with asyncio.TaskGroup() as tasks:
                for tail in tails:
                    tasks.create_task(tail.run())
                tasks.create_task(self._until_broken())
                tasks.create_task(self._deepen(fresh, beginning))
        except* (OffsetOutOfRange, LogBroken) as group:
            env.log.warning("the log broke: building the view anew", reason=str(group.exceptions[0]))

    async def _deepen(self, fresh: Booted, beginning: Beginning) -> None:
        """Then read what lies further back. For want of a broker, the window grows by itself."""
        await asyncio.sleep(_RUSH_S)
        try:
            deep, missed = await beginning.deep(fresh), self._since_boot
            while deep is not None and missed:  # a cut at a time, so that none is late
                locations, events = missed.pop(0)
                deep.fold_locations(locations)
                deep.fold_events(events)
                await asyncio.sleep(0)
            self._deep = deep
        except (Unavailable, OffsetOutOfRange, LogBroken) as error:
            self._env.log.warning("the window begins at the start of this process", reason=str(error))
        if self._deep is None:
            self._since_boot = None
            fresh.view.is_deepening = False

    def _change_over(self, fresh: Booted) -> None:
        """The view that reaches back further takes the place of the first: same cut, same rows."""
        deep, missed = self._deep, self._since_boot
        if deep is None or missed is None:
            return
        for locations, events in missed:
            deep.fold_locations(locations)
            deep.fold_events(events)
        deep.close()
        assert deep.cursor == fresh.view.cursor, "two views that read the same stand apart"
        if self._shown is fresh.view:
            self._shown = deep
            self.hub.show(deep, stale=self._stale)
        fresh.view, self._deep, self._since_boot = deep, None, None
        self._counted = self._counts(deep)
        self._env.log.info("the window is whole", cursor=str(deep.cursor))

    async def _until_broken(self) -> None:
        await self._broken.wait()
        message = "it does not continue what was read"
        raise LogBroken(message)

    # --- cutting ----------------------------------------------------------------------------------

    async def _cut_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pace.advance(loop.time()))
            await beat(self._tails or (), self._pace.interval_s)
            self._cut(loop.time())

    def _cut(self, now_s: float) -> None:
        """One tick: fold what came, show it, and send it to everyone."""
        moved = self._fold()
        if moved:
            self._moved_s = now_s
        stale = now_s - self._moved_s >= STALE_S
        fresh = self._fresh
        if fresh is not None and fresh.view.whole and (moved or stale != self._stale or self._is_new(fresh)):
            if self._is_new(fresh):
                self.hub.hold_all(fresh.ends)
            self._shown = fresh.view
            self.hub.show(fresh.view, stale=stale)
        elif fresh is None and self._shown is not None and stale != self._stale:
            self.hub.show(self._shown, stale=stale)
        self._stale = stale
        self._settle_readiness(now_s)
        is_silent = now_s - self._sent_s >= _BEAT_S
        if moved or is_silent:
            self._sent_s = now_s
        self.hub.publish(beat=is_silent)

    def _is_new(self, fresh: Booted) -> bool:
        return self._shown is not fresh.view

    def _fold(self) -> bool:
        """Take in what was read; whether the cut has moved."""
        if self._fresh is None or self._tails is None:
            return False
        self._change_over(self._fresh)
        locations, events = (tail.take() for tail in self._tails)
        if not locations and not events:
            return False
        if self._since_boot is not None:
            self._since_boot.append((locations, events))
        view, before = self._fresh.view, self._fresh.view.cursor
        try:
            view.fold_locations(locations)
            view.fold_events(events)
        except LogBroken as error:
            self._env.log.error("the log does not go on as it began", reason=str(error))
            self._broken.set()
            self._tails = None
        view.close()  # also what came before the break stands at a batch's end
        self._count(view)
        return view.cursor != before

    def _count(self, view: View) -> None:
        metrics = self._env.metrics
        metrics.count("gateway_cuts_total")
        metrics.gauge("gateway_drivers", view.drivers.total)
        metrics.gauge("gateway_lag_seconds", (self._env.now_ms() - view.at_ms) / 1000)
        now = self._counts(view)
        for topic in (LOCATIONS, EVENTS):
            if now[topic] > self._counted[topic]:
                count = now[topic] - self._counted[topic]
                metrics.count("gateway_undecodable_total", count, topic=topic)
                self._env.log.warning("records could not be read", topic=topic, count=count)
        if now["dropped"] > self._counted["dropped"]:
            metrics.count("gateway_dropped_events_total", now["dropped"] - self._counted["dropped"])
        self._counted = now

    def _counts(self, view: View) -> dict[str, int]:
        return {LOCATIONS: view.undecodable, EVENTS: view.undecodable_events, "dropped": view.batches.dropped}

    # --- readiness --------------------------------------------------------------------------------

    def _settle_readiness(self, now_s: float) -> None:
        reason = self._why_not(now_s)
        if reason is None and not self._open.is_set():
            self._listener.open()
            self._open.set()
        self._say(reason)

    def _say(self, reason: str | None) -> None:
        if reason == self._reason:
            return
        self._reason = reason
        if reason is None:
            self._env.health.ready()
            self._env.log.info("ready")
        else:
            self._env.health.not_ready(reason)
            self._env.log.warning("not ready", reason=reason)

    def _why_not(self, now_s: float) -> str | None:
        if self._reason == "draining":
            return "draining"
        if self._fresh is None or self._tails is None:
            return "reading the log"
        if not self._fresh.view.whole:
            return "the log has no epoch yet" if self._fresh.view.cursor is None else "the log is too young"
        for tail in self._tails:
            if tail.asked_s is not None and now_s - tail.asked_s > _SILENT_S_MAX:
                return "no broker"
            if tail.behind_s is not None and now_s - tail.behind_s > _BEHIND_S_MAX:
                return "behind the log"
        return None


def _terms(settings: Settings, keys: Keys) -> Terms:
    return Terms(
        city=settings.city,
        gateway=settings.name or "gateway",
        cut_interval_ms=settings.cut_interval_ms,
        clients_max=settings.clients_max,
        address_clients_max=settings.address_clients_max,
        limit_loopback=settings.limit_loopback,
        drain_per_s=settings.drain_per_s,
        keys=keys,
    )


async def main(env: Env[Settings], roads: RoadNetwork | None = None) -> None:
    """Run a gateway until cancelled. `roads`: the city's, if not the one in the settings."""
    await Gateway(env, roads).run()
