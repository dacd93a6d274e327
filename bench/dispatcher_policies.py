# SPDX-License-Identifier: Apache-2.0
"""What matching costs at 10,000 drivers, in CPU: `python bench/dispatcher_policies.py`.

500 requests × 10,000 idle drivers on the real streets: the solver alone, and everything from records to
records (two seconds of fixes unpacked from what a fetch brings, read and folded, decided, made a batch of
the log). And a joint re-solve of 2,100 rides (1,600 of them being fetched) and 2,500 drivers, and, once a
minute, repositioning.
"""

import random
import struct
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from aiokafka.record.util import calc_crc32c

from dispatcher.batch_input import BatchInput, EpochToBegin, ReadCommand
from dispatcher.core import DecisionConfig, decide
from dispatcher.partition_worker import record_of
from dispatcher.policies.joint import solve
from dispatcher.policies.market import Cars, Fetching, Ints, Market, Rides, Riding
from dispatcher.policies.reposition import drives
from taxi import messages as m
from taxi.bus import Outgoing
from taxi.bus.kafka.fetched import InHand
from taxi.bus.kafka.producer import Identity, build
from taxi.messages import codec
from taxi.positions.columns import NO_FIXES, FixColumns, read_fixes
from taxi.positions.newest import NewestFixes
from taxi.roads.network import RoadNetwork, TripDemand
from taxi.runtime import tracing
from taxi.state import CityState

LZ4, _APPEND_TIME = 3, 8
_CRC_AT, _ATTRIBUTES_AT, _TIMES_AT = 17, 21, 27
"""In a record batch, version 2 (Kafka documentation, "Message Format")."""
T0, TIMES = 1_750_089_602_000, 5
DRIVERS, REQUESTS = 10_000, 500
WAITING, FETCHED, IDLE = 500, 1_600, 900


def cpu_ms(work: Callable[[], Any]) -> float:
    """The median of some calls."""
    taken = []
    for _ in range(TIMES):
        began_s = time.process_time()
        work()
        taken.append((time.process_time() - began_s) * 1000)
    return median(taken)


class Streets:
    """Markets on the real network."""

    def __init__(self) -> None:
        self.roads = RoadNetwork.load("manhattan").prepare()
        self.demand = TripDemand.load("manhattan")
        self.rng = np.random.default_rng(7)

    def rides(self, n: int, first: int = 0, pickup: Ints | None = None) -> Rides:
        """`n` random rides."""
        begins, ends = self.demand.sample(self.rng.random(n))
        return Rides(
            names=tuple(f"r{first + i}" for i in range(n)),
            waited_s=np.sort(self.rng.integers(0, 120, n).astype(np.int32))[::-1].copy(),
            pickup=begins if pickup is None else pickup,
            dropoff=ends,
            refused=tuple([] for _ in range(n)),
            swaps=np.zeros(n, np.int32),
        )

    def cars(self, n: int, first: int = 1) -> Cars:
        """`n` cars at random drop-offs."""
        _, node = self.demand.sample(self.rng.random(n))
        return Cars(
            numbers=np.arange(first, first + n, dtype=np.int64),
            node=node,
            rest_s=self.rng.integers(0, 20, n).astype(np.int32),
            points_m=self.roads.plane.metres(self.roads.nodes[node]),
            bound=np.full(n, -1, np.int32),
        )

    def riding(self, n: int, first: int = 1) -> Riding:
        """Trips of up to half an hour."""
        numbers = np.arange(first, first + n, dtype=np.int64)
        return Riding(
            numbers, self.demand.sample(self.rng.random(n))[1], self.rng.integers(0, 1_800, n, np.int32)
        )

    def market(
        self, rides: Rides, cars: Cars, fetching: Fetching | None = None, riding: Riding | None = None
    ) -> Market:
        """As the core opens it."""
        return Market(
            rides=rides,
            cars=cars,
            times=self.roads,
            now_ms=T0,
            before_ms=T0 - 2_000,
            pickup_m=lambda nodes: self.roads.plane.metres(self.roads.nodes[nodes]),
            zones=self.roads.zones,
            find_fetching=lambda: fetching or Fetching(self.rides(0), self.cars(0)),
            find_riding=lambda _: riding or self.riding(0),
        )

    def fetching(self) -> Fetching:
        """Each driver two to seven minutes from a pickup."""
        cars = self.cars(FETCHED, first=IDLE + 1)
        begins, _ = self.demand.sample(self.rng.random(20_000))
        begins = np.concatenate((begins, np.arange(self.roads.n_nodes, dtype=np.int32)))
        pickup = np.empty(FETCHED, np.int32)
        for i, node in enumerate(cars.node.tolist()):
            away_s = self.roads.travel_time_s(node, begins)
            pickup[i] = self.rng.choice(begins[(away_s > 120) & (away_s < 420)])
        return Fetching(self.rides(FETCHED, first=WAITING, pickup=pickup), cars)


def whole_batch(streets: Streets) -> Callable[[], None]:
    """A whole batch from records to records: 10,000 idle drivers and 500 requests."""
    roads, rng = streets.roads, random.Random(7)
    where = [roads.place(rng.randrange(roads.n_nodes)) for _ in range(DRIVERS)]
    fetched = [
        log_of(fixes(streets, run, 0), 0) + log_of(fixes(streets, run, 1), DRIVERS) for run in range(TIMES)
    ]
    asks: list[m.AnyCommand] = [
        m.RequestRide(
            command_id=f"c{i}", ride=f"r{i}", rider="a", pickup=rng.choice(where), dropoff=rng.choice(where)
        )
        for i in range(REQUESTS)
    ]
    online = CityState()
    decision_config = DecisionConfig()
    on: list[m.AnyCommand] = [m.GoOnline(command_id=f"on{n}", driver=n + 1) for n in range(DRIVERS)]
    decide(
        online,
        NewestFixes(),
        _batch_input(on, NO_FIXES, T0 - 2_000, EpochToBegin("0" * 16, "birth")),
        roads,
        decision_config,
    )
    before = online.to_bytes()
    states = [CityState.from_bytes(before) for _ in range(TIMES)]

    def work() -> None:
        newest, city = NewestFixes(), states.pop()
        records = InHand(fetched.pop(), None, 0, committed=True).take(2 * DRIVERS)
        batch_input = _batch_input(asks, read_fixes(records).fixes, T0, None)
        events = [
            record_of(one, "manhattan") for one in decide(city, newest, batch_input, roads, decision_config)
        ]
        build(events, 0, Identity(1, 1), 0, transactional=True, codec=0)
        assert len(newest.drivers) == DRIVERS
        assert len(events) > REQUESTS

    return work


def fixes(streets: Streets, run: int, second: int) -> list[Outgoing]:
    """Positions of all drivers along a street, a little right of its middle; another street in each run."""
    roads, rng = streets.roads, np.random.default_rng(7 + run)
    arc = rng.integers(0, roads.n_arcs, DRIVERS).astype(np.int32)
    points, heading = roads.along(arc, rng.random(DRIVERS) * roads.arc_length_m[arc])
    points = np.round(points + rng.normal(0, 3e-5, points.shape), 6)
    seen = zip(range(DRIVERS), points.tolist(), np.round(heading).astype(int).tolist(), strict=True)
    at_ms = T0 - 1000 + second * 1000
    return [
        Outgoing(
            b"%d" % (n + 1),
            codec.encode(m.Fix(driver=n + 1, at_ms=at_ms, lng=lng, lat=lat, heading=towards, speed=5.0)),
        )
        for n, (lng, lat), towards in seen
    ]


def log_of(records: list[Outgoing], offset: int) -> bytes:
    """Records as a batch of the log from `offset` on, appended at T0."""
    log = b""
    while records:
        data, size = build(records, 0, Identity(), -1, transactional=False, codec=LZ4)
        batch = bytearray(data)
        struct.pack_into(">q", batch, 0, offset)
        struct.pack_into(">q", batch, _TIMES_AT, T0)
        struct.pack_into(">q", batch, _TIMES_AT + 8, T0)
        struct.pack_into(">H", batch, _ATTRIBUTES_AT, LZ4 | _APPEND_TIME)
        struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(batch[_ATTRIBUTES_AT:]))
        log, records, offset = log + bytes(batch), records[size:], offset + size
    return log


def _batch_input(
    said: list[m.AnyCommand], read: FixColumns, heard_ms: int, epoch_to_begin: EpochToBegin | None
) -> BatchInput:
    return BatchInput(
        commands=tuple(ReadCommand(command, heard_ms, tracing.root(command.command_id)) for command in said),
        fixes=read,
        commands_offset=len(said),
        locations_offset=len(read.driver),
        heard_ms=heard_ms,
        epoch_to_begin=epoch_to_begin,
    )


def main() -> None:
    """Print a line for each measurement."""
    streets = Streets()
    plain = streets.market(streets.rides(REQUESTS), streets.cars(DRIVERS))
    print(f"{REQUESTS} × {DRIVERS}, solver       {cpu_ms(lambda: list(solve(plain, rematch=False))):7.1f} ms")
    riding = streets.riding(DRIVERS - IDLE - FETCHED, first=IDLE + FETCHED + 1)
    joint = streets.market(streets.rides(WAITING), streets.cars(IDLE), streets.fetching(), riding)
    rows, columns = WAITING + FETCHED, FETCHED + IDLE
    print(f"{rows} × {columns}, re-solve     {cpu_ms(lambda: list(solve(joint, rematch=True))):7.1f} ms")
    lonely = streets.market(streets.rides(0), streets.cars(DRIVERS))
    print(f"{DRIVERS} idle, repositioning     {cpu_ms(lambda: list(drives(lonely, set()))):7.1f} ms")
    print(f"{REQUESTS} × {DRIVERS}, poll to publish {cpu_ms(whole_batch(streets)):7.1f} ms")


if __name__ == "__main__":
    main()
