# SPDX-License-Identifier: Apache-2.0
"""Kills or freezes parts of a demo one after the other, and measures how long each kill was noticed."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taxi.runtime import parts
from taxi.runtime.machine_errors import LocalError
from taxi.runtime.parts import State
from taxistream.tools.loadtest.clients.load_clients import LoadClients
from taxistream.tools.proof.pauses import Pauses
from taxistream.tools.proof.plan import PlannedKill
from taxistream.tools.proof.verdicts import VerdictCount

RECOVERED_S_MAX: Final = 40.0
_LOOK_S: Final = 0.05
_WATCHED_S_MIN: Final = 4.0
"""A kill is watched for so long at least: a broker's death is noticed after 3 s only."""
_POSITIONS_S: Final = 0.6
_EVENTS_S: Final = 2.6
"""Decisions are made every 2 s."""
_VERDICTS_S: Final = 1.6


@dataclass(frozen=True)
class KillOutcome:
    """What a kill did."""

    kind: str
    part: str
    recovered_s: float | None
    """The longest time without what the part is for. None: it did not recover within RECOVERED_S_MAX.

    Gateway: that a client had no positions. Dispatcher: without events. Simulator: without positions. Broker:
    without positions or without events. Verifier: without verdicts. Events come every 2 s and verdicts every
    second if nothing fails.
    """
    ready_s: float | None
    """Until the part was ready again."""
    frozen_s: float = 0.0
    """For how long its process was stopped; 0: it was killed."""


class PartKiller:
    """Kills parts of the demo in `data_dir` while `load_clients` follow its city."""

    def __init__(self, data_dir: Path, load_clients: LoadClients, verdicts: VerdictCount) -> None:
        self.outcomes: list[KillOutcome] = []
        self._data_dir = data_dir
        self._load_clients = load_clients
        self._verdicts = verdicts
        self._positions, self._events, self._checks = Pauses(), Pauses(), Pauses()
        self._each = [Pauses() for _ in load_clients.clients]
        """The positions of each client: those of one gateway may pause alone."""

    async def kill(self, planned: PlannedKill) -> None:
        """Kill or freeze a part, and wait until the city has recovered. Raises LocalError if it is gone."""
        await self._watch_for(planned.after_s)
        began_s = time.monotonic()
        for pauses in (self._positions, self._events, self._checks, *self._each):
            pauses.begin(began_s)
        pid = self._strike(planned)
        ready_s: float | None = None
        while (passed_s := time.monotonic() - began_s) < RECOVERED_S_MAX:
            self._look()
            if planned.frozen_s and passed_s >= planned.frozen_s:
                self._wake(planned.part, pid)
            if passed_s > planned.frozen_s and ready_s is None and self._is_back(planned, pid):
                ready_s = passed_s
            if ready_s is not None and passed_s >= _WATCHED_S_MIN and self._goes_on():
                break
            await asyncio.sleep(_LOOK_S)
        else:
            self.outcomes.append(KillOutcome(planned.kind, planned.part, None, ready_s, planned.frozen_s))
            return
        recovered_s = self._noticed_s(planned.kind)
        self.outcomes.append(
            KillOutcome(
                planned.kind,
                planned.part,
                round(recovered_s, 2),
                round(ready_s or 0.0, 2),
                planned.frozen_s,
            )
        )

    async def _watch_for(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._look()
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> None:
        now_s = time.monotonic()
        for client, pauses in zip(self._load_clients.clients, self._each, strict=True):
            if client.cursor is not None:
                pauses.see(client.cursor[0], now_s)
        cursors = [client.cursor for client in self._load_clients.clients if client.cursor is not None]
        self._positions.see(max((loc for loc, _ in cursors), default=-1), now_s)
        self._events.see(max((ev for _, ev in cursors), default=-1), now_s)
        self._checks.see(self._verdicts.verdicts, now_s)

    def _goes_on(self) -> bool:
        """Whether positions, events and verdicts arrive, and every client is live."""
        now_s = time.monotonic()
        return (
            self._positions.is_over(now_s, _POSITIONS_S)
            and self._events.is_over(now_s, _EVENTS_S)
            and self._checks.is_over(now_s, _VERDICTS_S)
            and all(client.is_live for client in self._load_clients.clients)
            and all(pauses.is_over(now_s, _POSITIONS_S) for pauses in self._each)
        )

    def _strike(self, planned: PlannedKill) -> int:
        """Kill or stop the part. Returns its pid."""
        if not planned.frozen_s:
            pid = parts.kill(self._data_dir, planned.part).pid
            self._load_clients.record_kill(planned.part, time.time_ns() // 1_000_000)
            return pid
        found = [part for part in parts.list_current(self._data_dir) if part.name == planned.part]
        if not found or not found[0].send(signal.SIGSTOP):
            raise LocalError(f"{planned.part} is not running.", do="`taxi ps` shows the demo's parts.")
        return found[0].pid

    def _wake(self, name: str, pid: int) -> None:
        if any(part.pid == pid and part.name == name for part in parts.list_current(self._data_dir)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _is_back(self, planned: PlannedKill, pid: int) -> bool:
        found = [part for part in parts.list_current(self._data_dir) if part.name == planned.part]
        is_same = bool(planned.frozen_s)
        return any((is_same or part.pid != pid) and part.state is State.READY for part in found)

    def _noticed_s(self, kind: str) -> float:
        now_s = time.monotonic()
        match kind:
            case "gateway":
                return max(pauses.longest_s(now_s) for pauses in self._each)
            case "dispatcher":
                return self._events.longest_s(now_s)
            case "simulator":
                return self._positions.longest_s(now_s)
            case "verifier":
                return self._checks.longest_s(now_s)
        return max(self._positions.longest_s(now_s), self._events.longest_s(now_s))
