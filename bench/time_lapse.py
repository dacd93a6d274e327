# SPDX-License-Identifier: Apache-2.0
"""A city that lives faster than the clock, in virtual time: `--speed 10 --minutes 30 --drivers 300`.

The real dispatcher and simulator on a bus in memory, with Manhattan's streets. With `--then 1` the dispatcher
is killed after half of the time, and its successor decides at that speed. At the end `taxi audit` and `taxi
replay --verify` read the log. Prints what they found, and how long riders waited, in city time. Exit 1 if
anything is wrong.
"""

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import numpy as np

import dispatcher.shell
import simulator.shell
from dispatcher.city_context import CityContext
from dispatcher.core import DecisionConfig
from dispatcher.settings import Settings as DispatcherSettings
from simulator.settings import Settings as SimulatorSettings
from taxi import topics
from taxi.bus.memory.bus import MemoryLimits
from taxi.roads.network import RoadNetwork, TripDemand
from taxistream.local.demo import batch_interval_ms
from taxistream.tools.audit.shell import audit
from taxistream.tools.documented_time import CityClock
from taxistream.tools.replay.shell import verify
from testing.memory_world import MemoryWorld
from testing.still_bus import StillBus, at_once

START_MS = 1_750_089_600_000
"""A Monday at noon in New York."""
CITY = "manhattan"
SETTLED_SHARE = 0.2
"""Rides that were requested in this share of the time at the beginning are not measured."""


class Lapse(MemoryWorld):
    """Two processes, and a broker."""

    def __init__(self, drivers: int, load: float, interval_ms: int | None) -> None:
        """`interval_ms`: of batches; None: as `taxi demo` chooses it."""
        super().__init__(1, start_ms=START_MS, limits=MemoryLimits(), look_every_s=1.0)
        self._roads, self._demand = RoadNetwork.load(CITY).prepare(), TripDemand.load(CITY)
        self._interval_ms = interval_ms
        settings = SimulatorSettings(name="simulator", drivers=drivers, load=load)
        self.spawn(
            "simulator",
            settings,
            "0" * 16,
            lambda env: simulator.shell.main(env, roads=self._roads, demand=self._demand),
        )

    def decide(self, speed: int) -> Any:
        """Start a dispatcher. Returns its node."""
        settings = DispatcherSettings(
            name="dispatcher", speed=speed, batch_interval_ms=self._interval_ms or batch_interval_ms(speed)
        )
        own = [CityContext(0, self._roads, DecisionConfig(speed=speed, limits=settings.limits()))]
        name = f"{speed:016x}"
        node, _, _ = self.spawn("dispatcher", settings, name, lambda env: dispatcher.shell.main(env, own=own))
        return node

    async def run(self, speed: int, then: int | None, seconds: float) -> None:
        """Let the city live."""
        node = self.decide(speed)
        if then is not None:
            await asyncio.sleep(seconds / 2)
            self.loop.kill(node)
            self.decide(then)
            seconds /= 2
        await asyncio.sleep(seconds)

    def waits_s(self, from_ms: int) -> list[float]:
        """Of rides that were requested since, in city time."""
        clock, since_ms, waits_s = CityClock(), dict[str, int](), list[float]()
        for entry in self.broker.partition(topics.EVENTS, 0).entries:
            if entry.is_marker or not entry.record.value:
                continue
            event = json.loads(entry.record.value)
            clock.take(event["type"], event)
            if event["type"] == "RideRequested" and event["at_ms"] >= from_ms:
                since_ms[event["ride"]] = event["at_ms"]
            elif event["type"] == "DriverArrived" and event["ride"] in since_ms:
                waits_s.append(clock.lived_ms(since_ms[event["ride"]], event["at_ms"]) / 1000)
        return waits_s

    def check(self) -> dict[str, Any]:
        """What audit and replay say."""
        bus = StillBus(self.broker)
        findings = at_once(audit(bus, [0]))
        verdict = at_once(verify(bus, 0, self._roads, code_digest=lambda _: "", data_digest=""))
        return {
            "rides": findings.rides,
            "completed": findings.completed,
            "events": findings.events,
            "violations": dict(findings.violations),
            "batches_decided_alike": verdict.verified,
            "not_verifiable": dict(verdict.not_verifiable),
            "difference": verdict.difference and str(verdict.difference),
        }


def main() -> int:
    """Run one city and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=int, default=10)
    parser.add_argument("--then", type=int, help="The speed of the second half.")
    parser.add_argument("--interval-ms", type=int, help="Of batches, if not as in `taxi demo --speed`.")
    parser.add_argument("--minutes", type=float, default=30.0, help="By the clock.")
    parser.add_argument("--drivers", type=int, default=300)
    parser.add_argument("--load", type=float, default=0.8)
    options = parser.parse_args()
    began_s = time.process_time()
    lapse = Lapse(options.drivers, options.load, options.interval_ms)
    seconds = 60 * options.minutes
    lapse.loop.run_until_complete(lapse.run(options.speed, options.then, seconds))
    waits_s = lapse.waits_s(START_MS + round(SETTLED_SHARE * seconds * 1000))
    found = lapse.check()
    lapse.loop.shut_down()
    report = {
        **vars(options),
        **found,
        "wait_mean_s": round(float(np.mean(waits_s)), 1),
        "wait_p50_s": round(float(np.median(waits_s)), 1),
        "wait_p90_s": round(float(np.percentile(waits_s, 90)), 1),
        "cpu_s": round(time.process_time() - began_s, 1),
    }
    print(json.dumps(report, indent=1))
    return 1 if found["violations"] or found["not_verifiable"] or found["difference"] else 0


if __name__ == "__main__":
    sys.exit(main())
