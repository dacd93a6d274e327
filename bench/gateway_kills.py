# SPDX-License-Identifier: Apache-2.0
"""Gateways killed, restarted and asked to leave under clients that check everything.

    python bench/gateway_kills.py [--clients 200] [--kills 40] [--frozen 10] [--rounds 3] [--lone 10]
                                  [--cold 5] [--json]

Real processes, real Kafka. First two gateways: `--kills` times SIGKILL to the one with the most clients; then
`--frozen` times SIGSTOP, after which the supervisor replaces it; then `--rounds` of SIGTERM to each; then one
gateway alone, killed `--lone` times; then `--cold` times without a standby process. Each step waits until all
clients are live and all gateways are ready. Exit code 1 if a rule of the stream is broken.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.clients.load import city, repeated, watched  # noqa: E402 - after the path
from taxi.runtime import parts  # noqa: E402
from taxi.runtime.parts import State  # noqa: E402
from taxistream.tools.loadtest.clients.load_clients import LoadClients  # noqa: E402
from taxistream.tools.loadtest.kills import Killer  # noqa: E402
from taxistream.tools.loadtest.latency import quantiles  # noqa: E402

STEADY_S: Final = 8.0
"""A gateway that lived shorter may be restarted with a pause, as one that crashes for its start."""
SETTLE_S: Final = 20.0
WAIT_S: Final = 60.0
DRAIN_PER_S: Final = 100
"""Slower than usual, so that a second of it is more than what this process may be late by."""
_LOGGED: Final = re.compile(r"^(\S+Z) .*?\b(starting|the log is read|ready)\b")


class Witness:
    """Measures the effects of each kill, freeze and restart of a gateway."""

    def __init__(self, data_dir: Path) -> None:
        self.all_live_ms: list[float] = []
        """From each kill until every client had a cut again."""
        self.stages_ms: dict[str, list[float]] = {}
        """From each kill to what the next process did."""
        self.loads: list[float] = []
        """The machine's load average before each kill: with more work than cores, times tell of that."""
        self._data_dir = data_dir
        self._seen_s: dict[int, float] = {}
        """Process id → since when it is ready (loop time)."""

    async def kill(self, load_clients: LoadClients, killer: Killer) -> None:
        """One kill, and everything after it."""
        await self._end(load_clients, killer.kill)

    async def freeze(self, load_clients: LoadClients, killer: Killer) -> None:
        """One SIGSTOP, and everything after it."""
        await self._end(load_clients, killer.freeze)

    async def _end(self, load_clients: LoadClients, end: Callable[[], None]) -> None:
        await self._all_well(load_clients)
        name, before = load_clients.most_used(), len(load_clients.recoveries_ms)
        killed_ms, pid = time.time() * 1000, self._gateways()[name].pid
        self.loads.append(os.getloadavg()[0])
        end()
        await self._all_well(load_clients, but={name: pid})
        self.all_live_ms.append(max(load_clients.recoveries_ms[before:], default=0.0))
        self._note_stages(name, killed_ms)

    async def restart(self, load_clients: LoadClients, killer: Killer) -> None:
        """Send one SIGTERM, and wait until all clients have another gateway."""
        await self._all_well(load_clients)
        before = {name: part.pid for name, part in self._gateways().items()}
        killer.restart()
        await self._all_well(load_clients, but={killer.last: before[killer.last]})

    def _gateways(self) -> dict[str, parts.Part]:
        return {
            part.name: part for part in parts.list_current(self._data_dir) if part.name.startswith("gateway-")
        }

    async def _all_well(
        self, load_clients: LoadClients, but: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Everyone follows the city; each gateway has been ready for a while, `but` with another pid."""
        deadline_s = time.monotonic() + WAIT_S
        while not (self._steady(but) and load_clients.all_recovered()):
            if time.monotonic() > deadline_s:
                found = load_clients.findings.examples or "no violation"
                raise TimeoutError(
                    f"{load_clients.live()} of {len(load_clients.clients)} live after {WAIT_S:g} s: {found}"
                )
            await asyncio.sleep(0.1)

    def _steady(self, but: Mapping[str, int]) -> bool:
        now_s, gateways = time.monotonic(), self._gateways()
        ready = [part.pid for name, part in gateways.items() if part.state is State.READY]
        self._seen_s = {pid: self._seen_s.get(pid, now_s) for pid in ready}
        return len(ready) == len(gateways) and all(
            part.pid != but.get(name) and now_s - self._seen_s[part.pid] > STEADY_S
            for name, part in gateways.items()
        )

    def _note_stages(self, name: str, killed_ms: float) -> None:
        stages: dict[str, float] = {}
        for line in (self._data_dir / "logs" / f"{name}.log").read_text("utf-8").splitlines():
            found = _LOGGED.match(line)
            if found and (at_ms := datetime.fromisoformat(found[1]).timestamp() * 1000) > killed_ms:
                stages.setdefault(found[2], at_ms)
        for stage, at_ms in stages.items():
            self.stages_ms.setdefault(stage, []).append(at_ms - killed_ms)


def two_gateways(asked: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Kills, then rolling restarts."""
    rate = {"TAXI_DRAIN_PER_S": str(DRAIN_PER_S)}
    with city(scratch / "two" / "data", 28400, drivers=asked.drivers, gateways=2, **rate) as demo:
        time.sleep(SETTLE_S)
        witness = Witness(demo.data_dir)
        steps = {
            "two": (witness.kill, asked.kills),
            "frozen": (witness.freeze, asked.frozen),
            "rolling": (witness.restart, 2 * asked.rounds),
        }
        return {
            name: watched(demo, asked.clients, repeated(step, times))
            for name, (step, times) in steps.items()
            if times
        }


def lone_gateway(asked: argparse.Namespace, scratch: Path, times: int, *options: str) -> dict[str, Any]:
    """The only gateway, killed and started again."""
    with city(scratch / "data", 28400, *options, drivers=asked.drivers) as demo:
        time.sleep(SETTLE_S)
        witness = Witness(demo.data_dir)
        return watched(demo, asked.clients, repeated(witness.kill, times)) | {
            "load_average": [round(load, 1) for load in (min(witness.loads), max(witness.loads))],
            "all_live_ms": quantiles(witness.all_live_ms),
            "stages_ms": {stage: quantiles(times) for stage, times in witness.stages_ms.items()},
        }


KILLS: Final = {
    "two": "one of two gateways killed",
    "frozen": "one of two gateways frozen",
    "lone": "the only gateway killed",
    "cold": "the same, without a spare",
}


def show_kills(what: str, figures: dict[str, Any]) -> None:
    """What one way of dying cost."""
    recovery = figures["recovery_ms"]
    print(f"| {what}, {figures['kills']} times | → next cut p50 {recovery['p50']}", end="")
    print(f", p99 {recovery['p99']}, max {recovery['max']} ms | {figures['violations'] or 'no violation'} |")
    if live := figures.get("all_live_ms"):
        least, most = figures["load_average"]
        print(f"| … until everyone is live | p50 {live['p50']}, max {live['max']} ms ", end="")
        print(f"| load average {least} to {most} |")
    for stage, at in figures.get("stages_ms", {}).items():
        print(f"| … {stage} after the kill | p50 {at['p50']}, max {at['max']} ms |")


def show(found: dict[str, Any]) -> None:
    """Print the figures as text."""
    print(f"{found['machine']}; {found['drivers']:,} drivers at 1 Hz, {found['clients']} clients")
    for name, what in KILLS.items():
        if figures := found.get(name):
            show_kills(what, figures)
    if rolling := found.get("rolling"):
        gaps = rolling["handover_gap_ms"]
        print(f"| rolling restart, {rolling['restarts']} times, {rolling['handovers']} moved ", end="")
        print(f"| without a cut for p50 {gaps['p50']}, p99 {gaps['p99']}, max {gaps['max']} ms; ", end="")
        print(f"at most {rolling['handovers_in_1_s_max']} in a second, ", end="")
        print(f"where {DRAIN_PER_S} may | ", end="")
        print(f"{rolling['violations'] or 'no violation'} |")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--drivers", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--frozen", type=int, default=10)
    parser.add_argument("--lone", type=int, default=10)
    parser.add_argument("--cold", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.system()}",
        "drivers": asked.drivers,
        "clients": asked.clients,
    }
    with tempfile.TemporaryDirectory() as scratch:
        if asked.kills or asked.frozen or asked.rounds:
            found |= two_gateways(asked, Path(scratch))
        if asked.lone:
            found["lone"] = lone_gateway(asked, Path(scratch) / "lone", asked.lone)
        if asked.cold:
            found["cold"] = lone_gateway(asked, Path(scratch) / "cold", asked.cold, "--no-spare")
    print(json.dumps(found)) if asked.json else show(found)
    return int(any(found[name]["violations_total"] for name in ("rolling", *KILLS) if name in found))


if __name__ == "__main__":
    sys.exit(main())
