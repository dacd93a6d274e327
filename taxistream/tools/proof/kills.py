# SPDX-License-Identifier: Apache-2.0
"""Kills parts of a demo one after the other, and measures how long each kill was noticed."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taxi.runtime import parts
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

    Gateway: until each of its clients had an update again. Dispatcher: without events. Simulator: without
    positions. Broker: without positions or without events. Verifier: without verdicts. Events come every 2 s
    and verdicts every second if nothing fails.
    """
    ready_s: float | None
    """Until the part was ready again."""


class PartKiller:
    """Kills parts of the demo in `data_dir` while `load_clients` follow its city."""

    def __init__(self, data_dir: Path, load_clients: LoadClients, verdicts: VerdictCount) -> None:
        self.outcomes: list[KillOutcome] = []
        self._data_dir = data_dir
        self._load_clients = load_clients
        self._verdicts = verdicts
        self._positions, self._events, self._checks = Pauses(), Pauses(), Pauses()

    async def kill(self, planned: PlannedKill) -> None:
        """Kill a part, and wait until the city has recovered. Raises LocalError if there is no such part."""
        await self._watch_for(planned.after_s)
        began_s, recovered_before = time.monotonic(), len(self._load_clients.recoveries_ms)
        for pauses in (self._positions, self._events, self._checks):
            pauses.begin(began_s)
        pid = parts.kill(self._data_dir, planned.part).pid
        hit = self._load_clients.record_kill(planned.part, time.time_ns() // 1_000_000)
        ready_s: float | None = None
        while (passed_s := time.monotonic() - began_s) < RECOVERED_S_MAX:
            self._look()
            if ready_s is None and self._is_back(planned.part, pid):
                ready_s = passed_s
            is_over = ready_s is not None and passed_s >= _WATCHED_S_MIN and self._goes_on()
            if is_over and len(self._load_clients.recoveries_ms) - recovered_before >= hit:
                break
            await asyncio.sleep(_LOOK_S)
        else:
            self.outcomes.append(KillOutcome(planned.kind, planned.part, None, ready_s))
            return
        recovered_s = self._noticed_s(planned.kind, self._load_clients.recoveries_ms[recovered_before:])
        self.outcomes.append(
            KillOutcome(planned.kind, planned.part, round(recovered_s, 2), round(ready_s or 0.0, 2))
        )

    async def _watch_for(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._look()
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> None:
        now_s = time.monotonic()
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
        )

    def _is_back(self, name: str, pid: int) -> bool:
        found = [part for part in parts.list_current(self._data_dir) if part.name == name]
        return any(part.pid != pid and part.state is State.READY for part in found)

    def _noticed_s(self, kind: str, recoveries_ms: list[float]) -> float:
        now_s = time.monotonic()
        match kind:
            case "gateway":
                return max(recoveries_ms, default=0.0) / 1000
            case "dispatcher":
                return self._events.longest_s(now_s)
            case "simulator":
                return self._positions.longest_s(now_s)
            case "verifier":
                return self._checks.longest_s(now_s)
        return max(self._positions.longest_s(now_s), self._events.longest_s(now_s))
