# SPDX-License-Identifier: Apache-2.0
"""What a batch costs the dispatcher: CPU for reading, deciding and writing, the log itself left out.

2,000 drivers at 1 Hz on the real streets, 80 % of them busy, 1,700 rides in the state. A full batch every
2 s, early ones as answers come (about three a second), a snapshot a minute: the sum is the share of a core.
"""

import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from dispatcher.batch_input import BatchInput, EpochToBegin, ReadCommand
from dispatcher.core import DecisionConfig, decide
from taxi import messages as m
from taxi.bus import Record
from taxi.messages import codec
from taxi.messages.states import DriverStatus, RideState
from taxi.positions.columns import NO_FIXES, FixColumns, joined, read_fixes
from taxi.positions.newest import NewestFixes
from taxi.roads.network import RoadNetwork
from taxi.runtime import tracing
from taxi.state import CityState, snapshots

DRIVERS, BUSY, RIDES = 2_000, 1_600, 1_700
REMEMBERED = 40_000
"""How many command ids the state has from the last hour."""
INTERVAL_MS, EARLY_PER_S = 2_000, 3
TIMES = 30
T0 = 1_750_000_000_000


class Worker:
    """A dispatcher without a log."""

    def __init__(self) -> None:
        self.roads = RoadNetwork.load("manhattan").prepare()
        self.city, self.newest = CityState(), NewestFixes()
        self.rng = random.Random(7)
        self.decision_config = DecisionConfig()
        self.now_ms = T0
        self.offset = self.serial = 0
        self.run([m.GoOnline(command_id=f"on {n}", driver=n) for n in range(1, DRIVERS + 1)])

    def place(self) -> m.Place:
        """A random corner."""
        lng, lat = self.roads.nodes[self.rng.randrange(self.roads.n_nodes)].tolist()
        return lng, lat

    def fixes(self) -> list[Record]:
        """Two seconds of positions of all drivers."""
        records = []
        for _ in range(2):
            for driver in range(1, DRIVERS + 1):
                lng, lat = self.place()
                fix = m.Fix(driver=driver, at_ms=self.now_ms, lng=lng, lat=lat, heading=90, speed=7.5)
                records.append(Record(self.offset, self.now_ms, str(driver).encode(), codec.encode(fix)))
                self.offset += 1
        return records

    def batch_input(self, fixes: FixColumns, commands: list[m.AnyCommand]) -> BatchInput:
        """A batch input, as the shell makes it."""
        self.serial += len(commands)
        return BatchInput(
            commands=tuple(ReadCommand(c, self.now_ms, tracing.root(c.command_id)) for c in commands),
            fixes=fixes,
            commands_offset=self.serial,
            locations_offset=self.offset,
            heard_ms=self.now_ms,
            epoch_to_begin=None if self.city.epoch else EpochToBegin("0" * 16, "birth"),
        )

    def run(self, commands: list[m.AnyCommand], after_ms: int = INTERVAL_MS) -> list[m.AnyEvent]:
        """Decide a batch without measuring it."""
        self.now_ms += after_ms
        batch_input = self.batch_input(read_fixes(self.fixes()).fixes, commands)
        return [
            one.event for one in decide(self.city, self.newest, batch_input, self.roads, self.decision_config)
        ]

    def request(self) -> m.RequestRide:
        """A new ride."""
        self.serial += 1
        name = f"r{self.serial}"
        return m.RequestRide(command_id=name, ride=name, rider="a", pickup=self.place(), dropoff=self.place())

    def answers(self) -> list[m.AnyCommand]:
        """Acceptances of all offers."""
        return [
            m.AnswerOffer(
                command_id=f"{r.ride} {r.attempt}",
                driver=r.driver or 0,
                ride=r.ride,
                attempt=r.attempt,
                accept=True,
            )
            for r in self.city.rides.values()
            if r.state is RideState.OFFERED
        ]

    def fill(self) -> None:
        """Decide batches until the city has its final load."""
        while len(self.city.rides) < BUSY:
            self.run([self.request() for _ in range(40)])
            self.run(self.answers())
        while len(self.city.rides) < RIDES:
            ride = self.request()
            self.run([ride, m.CancelRide(command_id=f"{ride.ride} off", ride=ride.ride)])
        while len(self.city.commands) < REMEMBERED:
            self.serial += 1
            self.city.commands[f"some command {self.serial}"] = self.now_ms


def cpu_ms(work: Callable[[], Any]) -> float:
    """The CPU time of one call, in milliseconds."""
    began_s = time.process_time()
    work()
    return (time.process_time() - began_s) * 1000


def main() -> None:
    """Print a table."""
    worker = Worker()
    worker.fill()
    idle = sum(worker.city.status(n) is DriverStatus.IDLE for n in worker.city.drivers)
    print(f"{DRIVERS} drivers ({idle} idle), {len(worker.city.rides)} rides, {len(worker.city.commands)} ids")
    costs: dict[str, list[float]] = {"read": [], "decide": [], "write": [], "early": [], "snapshot": []}
    for _ in range(TIMES):
        measure(worker, costs)
    full = sum(median(costs[name]) for name in ("read", "decide", "write"))
    for name, values in costs.items():
        print(f"{name:10} {median(values):8.2f} ms")
    early, snapshot = median(costs["early"]), median(costs["snapshot"])
    core = (full * 1000 / INTERVAL_MS + early * EARLY_PER_S + snapshot / 60) / 1000
    print(f"full batch {full:8.2f} ms")
    print(f"of a core  {core:8.3f}")


def measure(worker: Worker, costs: dict[str, list[float]]) -> None:
    """One full batch with four requests, one early one with an answer, one snapshot."""
    worker.now_ms += INTERVAL_MS
    fixes = worker.fixes()
    found: list[FixColumns] = []
    costs["read"].append(cpu_ms(lambda: found.append(read_fixes(fixes).fixes)))
    batch_input = worker.batch_input(joined(found), [worker.request() for _ in range(4)])
    decided: list[Any] = []
    costs["decide"].append(
        cpu_ms(
            lambda: decided.extend(
                decide(worker.city, worker.newest, batch_input, worker.roads, worker.decision_config)
            )
        )
    )
    costs["write"].append(cpu_ms(lambda: [(codec.encode(d.event), d.trace.headers()) for d in decided]))
    worker.now_ms += 100
    answers = worker.answers()[:1]
    early = worker.batch_input(NO_FIXES, answers)
    costs["early"].append(
        cpu_ms(lambda: decide(worker.city, worker.newest, early, worker.roads, worker.decision_config))
    )
    costs["snapshot"].append(cpu_ms(lambda: snapshots.pack(worker.city, worker.newest, 1)))


if __name__ == "__main__":
    main()
