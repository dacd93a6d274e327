# SPDX-License-Identifier: Apache-2.0
"""Runs a proof on a demo: clients, riders, kills, verdicts, audit."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from taxi.bus import Bus
from taxi.runtime import parts
from taxi.runtime.machine_errors import LocalError
from taxistream.tools.audit import shell as audit
from taxistream.tools.loadtest import shell as loadtest
from taxistream.tools.loadtest.address import socket_url
from taxistream.tools.loadtest.clients.load_clients import LoadClients
from taxistream.tools.loadtest.kills import Killer
from taxistream.tools.proof.kills import KillOutcome, PartKiller
from taxistream.tools.proof.plan import PlannedKill, kind_of, plan_kills
from taxistream.tools.proof.report import ProofReport
from taxistream.tools.proof.ride_requests import RideRequests, answers_to_all
from taxistream.tools.proof.verdicts import VerdictCount

CLIENTS: Final = 30
RIDERS: Final = 2
_PARTITION: Final = 0
_ANSWERED_S_MAX: Final = 20.0
_CALM_S: Final = 2.0
"""Without kills, at the end: the load test compares what arrives after the last one."""


async def run(
    data_dir: Path,
    url: str,
    bus: Bus,
    *,
    seed: int,
    plan: Callable[[int, list[str]], tuple[PlannedKill, ...]] = plan_kills,
) -> ProofReport:
    """Kill parts of the demo in `data_dir`, whose page is at `url`.

    Args:
        data_dir: The demo's folder.
        url: Its page.
        bus: Its log.
        seed: Of the plan, and of the clients' behaviour.
        plan: Gives the kills for the seed and the names of the parts. By default one of each kind.

    Raises:
        LocalError: The demo does not answer, it lacks a part, or its log can't be folded.
    """
    began_s = time.monotonic()
    names = [part.name for part in parts.list_current(data_dir)]
    try:
        planned = plan(seed, names)
    except ValueError as error:
        raise LocalError(f"Nothing can be proved: {error}.", do="`taxi ps` shows its parts.") from error
    requests, verdicts = RideRequests(url, RIDERS), VerdictCount(bus, _PARTITION)
    outcomes: list[KillOutcome] = []

    async def act(load_clients: LoadClients, _: Killer) -> None:
        killer = PartKiller(data_dir, load_clients, verdicts)
        requesting = asyncio.create_task(requests.run())
        try:
            for kill in planned:
                await killer.kill(kill)
            await asyncio.sleep(_CALM_S)
            requests.stop()
            await asyncio.wait({requesting}, timeout=_ANSWERED_S_MAX)
        finally:
            requesting.cancel()
            outcomes.extend(killer.outcomes)

    following = asyncio.create_task(verdicts.follow())
    try:
        load_plan = loadtest.Plan(
            url=socket_url(url),
            clients=CLIENTS,
            seconds=0,
            view="mixed",
            data_dir=data_dir,
            seed=seed,
            behavior=False,
            act=act,
        )
        load_report = await loadtest.run(load_plan, bus)
        answered = await answers_to_all(bus, _PARTITION, requests, _ANSWERED_S_MAX)
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    findings = await audit.audit(bus, [_PARTITION])
    return ProofReport(
        seed=seed,
        brokers=sum(kind_of(name) == "broker" for name in names),
        clients=CLIENTS,
        seconds=round(time.monotonic() - began_s, 1),
        kinds=tuple(dict.fromkeys(kill.kind for kill in planned)),
        kills=outcomes,
        acknowledged=requests.acknowledged,
        answers=answered,
        retries=requests.retries,
        load_test=load_report.figures,
        audit=findings.report(),
        verdicts=verdicts.verdicts,
        wrong_verdicts=verdicts.wrong,
    )
