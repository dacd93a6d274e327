# SPDX-License-Identifier: Apache-2.0
"""The gateway: from the log to every client, an update at each cut. It keeps nothing beyond the log."""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from gateway.access.tokens import Keys
from gateway.follower.boot import ask_ends
from gateway.follower.boot_state import SERVING
from gateway.follower.follower import NO_BROKER, RUSH_S, Follower
from gateway.follower.input_faults import InputFaults
from gateway.follower.tail import Pace
from gateway.follower.verdicts import follow_verdicts
from gateway.http.guard import Guard
from gateway.http.ride_service import RideService
from gateway.http.route_service import RouteService
from gateway.http.scenario_service import ScenarioService
from gateway.settings import Settings
from gateway.stream.drain import drain
from gateway.stream.hub import Hub
from gateway.stream.publisher import BEAT_MS
from gateway.stream.terms import Terms
from gateway.updates.city_view import CityView, Span
from gateway.updates.grid import TileGrid
from taxi.bus import BusError
from taxi.roads.network import RoadNetwork
from taxi.runtime.city_on_log import ANOTHER_CITY, describe_another_city, is_another_city
from taxi.runtime.dropped import DroppedPositions
from taxi.runtime.env import Env, Listener
from taxi.runtime.faults import Fault

STALE_S: Final = 5.0
"""After so long without a record clients are sent the flag STALE."""
_BEAT_S: Final = 0.9 * BEAT_MS / 1000
_DRAINING: Final = "draining"
_NOT_READING: Final = {NO_BROKER, _DRAINING}
"""Reasons why nothing is known of what the log holds."""
_UNREADY_S: Final = 2.0
"""Clients get the fault "not ready" only after so long, because a city view is rebuilt within less."""
CLOCK_SET_BACK: Final = "the broker's clock was set back, and no batch has said yet by how much"
_CLOCK_SET_BACK_S_MAX: Final = 3.0
"""How long positions may wait for such a batch before the gateway is not ready."""
_DEMO_POLL_S: Final = 1.0
"""How often a gateway of a local demo reads the faults that the supervisor wrote down."""


class Gateway:
    """One gateway process.

    1. The follower keeps a city view at the end of the log.
    2. Once a tick, `_close_cut` lets it fold what came, and the hub sends the update to the clients.
    3. Readiness and faults follow from the follower's state.
    """

    def __init__(self, env: Env[Settings], roads: RoadNetwork | None = None) -> None:
        if env.listener is None:
            message = "a gateway needs a listener"
            raise ValueError(message)
        self._env = env
        self._listener: Listener = env.listener
        settings = env.settings
        self._city = settings.own().name if roads is None else roads.city.name
        """Its name on the log."""
        roads = roads or RoadNetwork.load(settings.own().folder)
        self.follower = Follower(
            env,
            TileGrid.over(roads.city.bbox),
            Span(settings.row_expiry_ms, settings.resume_ms),
            lambda: self._close_cut(asyncio.get_running_loop().time()),
        )
        self._published: CityView | None = None
        self._published_boot = 0
        """`Follower.boots` of the city view that is published."""
        self._reason: str | None = self.follower.why_not_serving()
        """Why this gateway is not ready; None if it is."""
        self._open = asyncio.Event()
        now_s = asyncio.get_running_loop().time()
        self._unready_s = now_s
        """Since when it is not ready."""
        self._input_faults = InputFaults(env.faults, now_s)
        self._clock_set_back_s: float | None = None
        """Since when positions wait for a batch, because the clock was set back."""
        self._dropped = DroppedPositions(env, self._count_dropped)
        self._demo_faults: tuple[Fault, ...] = ()
        self._pace = Pace(settings.cut_interval_ms / 1000, now_s)
        self._new_cut_s = self._sent_s = now_s
        self._stale = False
        keys = Keys(settings.token_secret)
        self.hub = Hub(env, _terms(settings, keys), lambda: ask_ends(env.bus, settings.own().partition))
        self.guard = Guard(env, keys)
        self.ride_service = RideService(env, roads, lambda: self.city_view)
        self.scenario_service = (
            ScenarioService(settings.city, Path(settings.scenarios_dir), self.ride_service)
            if settings.scenarios_dir
            else None
        )
        self.route_service = RouteService(roads, env.offload, lambda: self.city_view)

    @property
    def city_view(self) -> CityView | None:
        """The city view that updates are made from; None before the first one, or if it is another city's."""
        return None if self._is_of_another_city(self._published) else self._published

    def _is_of_another_city(self, city_view: CityView | None) -> bool:
        return city_view is not None and is_another_city(city_view.city.city, self._city)

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
        self._say(_DRAINING)
        self._listener.close()
        await drain(self.hub, self._env)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.follower.run())
                tasks.create_task(self._close_cuts())
                tasks.create_task(self._welcome(tasks))
                partition = self._env.settings.own().partition
                tasks.create_task(follow_verdicts(self._env, partition, self.hub.tell_verdict))
                if self._env.settings.parts_dir:
                    tasks.create_task(self._read_demo_faults(Path(self._env.settings.parts_dir)))
        except* BusError as group:
            raise group.exceptions[0] from None

    async def _welcome(self, tasks: asyncio.TaskGroup) -> None:
        await self._open.wait()
        while True:
            connection = await self._listener.accept()
            tasks.create_task(self.hub.serve(connection))

    async def _read_demo_faults(self, folder: Path) -> None:
        """Follow the faults that a local demo's supervisor writes down (a full disk, a part that is down)."""
        await self._open.wait()
        await asyncio.sleep(RUSH_S)
        from gateway.http import parts  # noqa: PLC0415 - a gateway boots without

        while True:
            self._demo_faults = await self._env.offload(partial(parts.read_faults, folder))
            await asyncio.sleep(_DEMO_POLL_S)

    # --- cuts -------------------------------------------------------------------------------------

    async def _close_cuts(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pace.advance(loop.time()))
            await self.follower.fetch(self._pace.interval_s)
            self._close_cut(loop.time())

    def _close_cut(self, now_s: float) -> None:
        """One tick: fold what came, and send the update to all clients."""
        before = self._read_up_to()
        has_new_cut = self.follower.fold()
        if has_new_cut:
            self._new_cut_s = now_s
        stale = now_s - self._new_cut_s >= STALE_S
        city_view = self.follower.city_view
        if (
            city_view is not None
            and city_view.whole
            and not self._is_of_another_city(city_view)
            and (has_new_cut or stale != self._stale or city_view is not self._published)
        ):
            if self.follower.boots != self._published_boot:
                self.hub.make_all_pending(self.follower.ends)
            self._published, self._published_boot = city_view, self.follower.boots
            self.hub.use(city_view, stale=stale)
        elif city_view is None and self._published is not None and stale != self._stale:
            self.hub.use(self._published, stale=stale)
        self._stale = stale
        self._settle_readiness(now_s)
        self._check_inputs(now_s, before)
        self.hub.tell_health(self._faults(now_s), now_s)
        is_silent = now_s - self._sent_s >= _BEAT_S
        if has_new_cut or is_silent:
            self._sent_s = now_s
        self.hub.publish(beat=is_silent)

    def _read_up_to(self) -> tuple[int, int]:
        """The offsets after the last position and the last batch that were folded; zeros without a view."""
        city_view = self.follower.city_view
        return (city_view.loc, city_view.ev) if city_view is not None else (0, 0)

    def _check_inputs(self, now_s: float, before: tuple[int, int]) -> None:
        city_view = self.follower.city_view
        loc, ev = self._read_up_to()
        self._input_faults.check(
            now_s,
            is_reading=self.follower.is_following and self._reason not in _NOT_READING,
            positions=loc > before[0],
            batches=ev > before[1],
            rows=city_view.drivers.total if city_view is not None else 0,
            commands=self.ride_service.commands_written,
        )
        self._check_clock(now_s)
        self._check_city()
        if city_view is not None:
            self._dropped.record(now_s, city_view.drivers.dropped.take())
        else:
            self._dropped.clear()

    def _check_clock(self, now_s: float) -> None:
        """Report a clock that was set back: the cut does not move until a batch says by how much."""
        city_view = self.follower.city_view
        is_waiting = city_view is not None and bool(city_view.awaiting_shift)
        self._clock_set_back_s = (self._clock_set_back_s or now_s) if is_waiting else None
        if self._clock_set_back_s is None:
            self._env.faults.clear("clock_set_back")
        elif self._is_clock_set_back(now_s):
            self._env.faults.report(
                "clock_set_back", f"{CLOCK_SET_BACK}: does a dispatcher run?", blocks=True
            )

    def _check_city(self) -> None:
        """Report a log that is another city's: clients are not shown it."""
        if self._is_of_another_city(self.follower.city_view):
            self._env.faults.report(ANOTHER_CITY, self._describe_another_city(), blocks=True)
        else:
            self._env.faults.clear(ANOTHER_CITY)

    def _describe_another_city(self) -> str:
        city_view = self.follower.city_view
        return describe_another_city(
            self._env,
            self._env.settings.own().partition,
            city_view.city.city if city_view is not None else "",
            self._city,
            f"This gateway does not show it as {self._city}",
        )

    def _is_clock_set_back(self, now_s: float) -> bool:
        """Whether positions have waited for such a batch for too long."""
        return self._clock_set_back_s is not None and now_s - self._clock_set_back_s > _CLOCK_SET_BACK_S_MAX

    def _count_dropped(self, reason: str, count: int) -> None:
        self._env.metrics.count("gateway_dropped_positions_total", count, reason=reason)

    # --- readiness and faults ---------------------------------------------------------------------

    def _faults(self, now_s: float) -> list[Fault]:
        """What clients are sent: the faults of this gateway and of the demo around it."""
        faults = [*self._env.faults.current, *self._demo_faults]
        if self._reason not in {None, _DRAINING} and now_s - self._unready_s >= _UNREADY_S:
            faults.insert(0, Fault("not_ready", f"this gateway is not ready: {self._reason}"))
        return faults

    def _settle_readiness(self, now_s: float) -> None:
        reason = self._why_not(now_s)
        if reason is None and not self._open.is_set():
            self._listener.open()
            self._open.set()
        self._say(reason)

    def _say(self, reason: str | None) -> None:
        if reason == self._reason:
            return
        if self._reason is None:
            self._unready_s = asyncio.get_running_loop().time()
        self._reason = reason
        if reason is None:
            self._env.health.ready()
            self._env.log.info("ready")
        else:
            self._env.health.not_ready(reason)
            self._env.log.warning("not ready", reason=reason)

    def _why_not(self, now_s: float) -> str | None:
        if self._reason == _DRAINING:
            return _DRAINING
        if self.follower.state not in SERVING:
            return self.follower.why_not_serving()
        if self._is_of_another_city(self.follower.city_view):
            return self._describe_another_city()
        if self._is_clock_set_back(now_s):
            return CLOCK_SET_BACK
        return self.follower.lag(now_s)


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
