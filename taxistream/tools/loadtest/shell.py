# SPDX-License-Identifier: Apache-2.0
"""Runs a load test: reads the log, starts the clients, waits, checks the updates, reports."""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from taxi.bus import Bus
from taxi.runtime.machine_errors import LocalError
from taxistream.tools.loadtest.clients.load_clients import LoadClients
from taxistream.tools.loadtest.kills import Killer
from taxistream.tools.loadtest.reading import Reading
from taxistream.tools.loadtest.report import LoadReport
from taxistream.tools.loadtest.rules import RuleFindings
from taxistream.tools.loadtest.view_kind import ViewKind
from taxistream.tools.oracle.errors import BrokenLogError
from taxistream.tools.oracle.grid import OracleGrid

_START_S: Final = 60.0
"""All clients must be live within this time."""
_END_S: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The options of a load test."""

    url: str
    clients: int
    seconds: float
    view: ViewKind = "city"
    kill_every_s: float | None = None
    restart_every_s: float | None = None
    data_dir: Path | None = None
    city: str = "manhattan"
    partition: int = 0
    token: str | None = None
    seed: int = 1
    behavior: bool = True
    """Whether clients also pan, disconnect, and reconnect with cursors of all kinds."""
    act: Callable[[LoadClients, Killer], Awaitable[None]] | None = None
    """Runs instead of kills at fixed times; the test ends when it returns."""
    tell: Callable[[str], None] = field(default=lambda _: None)
    """Called with a line of progress about once a second."""


async def run(plan: Plan, bus: Bus) -> LoadReport:
    """Run a load test.

    Raises:
        LocalError: There is no gateway, it refuses clients, or the log can't be folded.
    """
    grid = await _scout(plan)
    findings = RuleFindings()
    async with AsyncExitStack() as stack:
        plan.tell("reading the log")
        reading = await _reading(plan, bus, stack)
        reading.city.grid = grid
        load_clients = LoadClients(
            plan.url,
            clients=plan.clients,
            view=plan.view,
            city=plan.city,
            token=plan.token,
            grid=grid,
            oracle=reading.city,
            findings=findings,
            seed=plan.seed,
        )
        killer = Killer(plan.data_dir, load_clients) if plan.data_dir is not None else None
        gc.collect()
        gc.freeze()
        return await _lived(plan, bus, reading, load_clients, killer)


async def _scout(plan: Plan) -> OracleGrid:
    """The gateway's grid. Raises LocalError if no gateway answers."""
    hello = {"type": "hello", "v": 1, "city": plan.city} | ({"token": plan.token} if plan.token else {})
    try:
        async with (
            asyncio.timeout(10),
            connect(plan.url, subprotocols=[Subprotocol("taxi.v1")], proxy=None) as socket,
        ):
            await socket.send(json.dumps(hello))
            return OracleGrid.from_ready(json.loads(await socket.recv())["grid"])
    except ConnectionClosed as closed:
        close = closed.rcvd
        why = f"{close.code} {close.reason}" if close else "lost"
        raise LocalError(f"{plan.url} does not want us: {why}.", do="Check --city and --token.") from None
    except (OSError, WebSocketException, ValueError, KeyError) as error:
        raise LocalError(
            f"{plan.url} is no gateway that answers: {str(error) or type(error).__name__}.",
            do="`taxi ps` shows how a demo's parts are.",
        ) from None


async def _reading(plan: Plan, bus: Bus, stack: AsyncExitStack) -> Reading:
    try:
        reading = await Reading.begin(bus, plan.partition)
        stack.push_async_callback(reading.close)
        await reading.catch_up(bus)
    except BrokenLogError as error:
        raise LocalError(f"The log can't be folded: {error}.", do="`taxi audit` tells more.") from error
    return reading


async def _lived(
    plan: Plan, bus: Bus, reading: Reading, load_clients: LoadClients, killer: Killer | None
) -> LoadReport:
    loop = asyncio.get_running_loop()
    following = asyncio.create_task(reading.follow())
    progress = ProgressLine(plan, load_clients, killer)
    work = [
        following,
        asyncio.create_task(load_clients.observations.run()),
        asyncio.create_task(load_clients.tick(progress.now_and_then)),
    ]
    try:
        await load_clients.start()
        if not await load_clients.all_live(_START_S):
            text = (
                f"only {load_clients.live()} of {plan.clients} clients follow the city after {_START_S:g} s"
            )
            raise LocalError(f"{text}: {load_clients.findings.examples or 'no rule was broken'}.", do="")
        load_clients.observations.begin()
        if plan.behavior:
            load_clients.unrest()
        progress.began_s, cpu_s = loop.time(), time.process_time()
        await _watched(_acting(plan, load_clients, killer), following)
        seconds, cpu_s = loop.time() - progress.began_s, time.process_time() - cpu_s
        load_clients.behavior_over()
        if killer is not None and (killer.kills or killer.restarts):
            await load_clients.all_live(_END_S)
        live_at_end = load_clients.live()
        await load_clients.stop()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await reading.catch_up(bus)
        load_clients.observations.finish()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    return LoadReport.of(
        load_clients, killer, clients=plan.clients, seconds=seconds, cpu_s=cpu_s, live_at_end=live_at_end
    )


async def _acting(plan: Plan, load_clients: LoadClients, killer: Killer | None) -> None:
    """Wait for the length of the test, with kills and restarts at their times."""
    if plan.act is not None and killer is not None:
        await plan.act(load_clients, killer)
        return
    loop = asyncio.get_running_loop()
    end_s = loop.time() + plan.seconds
    dues = [
        (loop.time() + every_s, every_s, act)
        for every_s, act in ((plan.kill_every_s, "kill"), (plan.restart_every_s, "restart"))
        if every_s is not None
    ]
    while dues and min(dues)[0] < end_s:
        due_s, every_s, act = dues.pop(dues.index(min(dues)))
        await asyncio.sleep(due_s - loop.time())
        if killer is not None:
            getattr(killer, act)()
        dues.append((due_s + every_s, every_s, act))
    await asyncio.sleep(end_s - loop.time())


async def _watched(acting: Coroutine[None, None, None], following: "asyncio.Task[None]") -> None:
    """Wait until `acting` is done. Raises LocalError if reading the log ends before."""
    task = asyncio.ensure_future(acting)
    await asyncio.wait({task, following}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        error = following.exception()
        assert error is not None  # `follow` never returns
        if not isinstance(error, BrokenLogError):
            raise error
        raise LocalError(f"The log can't be folded any further: {error}.", do="`taxi audit` tells more.")
    await task


class ProgressLine:
    """Writes a line of progress about once a second."""

    def __init__(self, plan: Plan, load_clients: LoadClients, killer: Killer | None) -> None:
        self.began_s = 0.0
        self._plan = plan
        self._load_clients = load_clients
        self._killer = killer
        self._written_s = 0.0
        self._cuts = 0

    def now_and_then(self) -> None:
        """Write a line if a second has passed since the last one."""
        now_s = asyncio.get_running_loop().time()
        passed_s = now_s - self._written_s
        if passed_s < 1:
            return
        load_clients = self._load_clients
        cuts, waits = load_clients.observations.totals.cuts, load_clients.observations.latency.quantiles()
        rate = (cuts - self._cuts) / passed_s
        self._written_s, self._cuts = now_s, cuts
        age = f"{now_s - self.began_s:3.0f} s" if self.began_s else "starting"
        kills = f" · {self._killer.kills} kills" if self._killer is not None and self._killer.kills else ""
        self._plan.tell(
            f"{age} · {load_clients.live():,} of {self._plan.clients:,} live · {rate:,.0f} cuts/s"
            f" · p50 {waits['p50']:.0f} p99 {waits['p99']:.0f} ms{kills}"
            f" · {load_clients.findings.violations.total()} violations"
        )
