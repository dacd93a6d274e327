# SPDX-License-Identifier: Apache-2.0
"""What a policy sees of the city, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from dispatcher.policies.tuning import Tuning
from taxi.messages import Candidate
from taxi.roads_zones import Zones

Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

FAR_S: Final = np.int32(1 << 30)
"""The travel time of a pair that must not be: the driver refused this ride before."""
CANDIDATES_SHOWN: Final = 3


class Times(Protocol):
    """Driving times between nodes; a RoadNetwork is one."""

    def travel_time_s(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints: ...


class Rides(NamedTuple):
    """n rides, oldest request first, ties by id."""

    names: tuple[str, ...]
    waited_s: Ints
    """Since the request."""
    pickup: Ints
    """Nodes."""
    dropoff: Ints
    refused: tuple[list[int], ...]
    """Drivers who must not be offered this ride."""
    swaps: Ints
    """How often the driver was changed."""


class Cars(NamedTuple):
    """n drivers, ascending by number unless said otherwise, and where each can first turn."""

    numbers: Longs
    node: Ints
    rest_s: Ints
    """Until there."""
    points_m: Floats
    """(n, 2) those nodes on the plane."""
    bound: Ints
    """The node that an idle driver was asked to drive to; −1: none."""


Columns = TypeVar("Columns", Rides, Cars)


def joined(one: Columns, other: Columns) -> Columns:
    """All rows of one, then all rows of the other."""
    above: list[Any] = [*one]
    below: list[Any] = [*other]
    columns: list[Any] = [
        a + b if isinstance(a, tuple) else np.concatenate((a, b)) for a, b in zip(above, below, strict=True)
    ]
    return type(one)(*columns)


def rows_of(table: Columns, rows: Longs) -> Columns:
    """These rows alone."""
    whole: list[Any] = [*table]
    columns: list[Any] = [
        tuple(column[row] for row in rows.tolist()) if isinstance(column, tuple) else column[rows]
        for column in whole
    ]
    return type(table)(*columns)


class Fetching(NamedTuple):
    """Rides whose drivers are on the way to the pickup, and those drivers, row by row."""

    rides: Rides
    cars: Cars


class Riding(NamedTuple):
    """Trips that end soon, of drivers who go on working, ascending by driver."""

    numbers: Longs
    """The drivers."""
    dropoff: Ints
    """Nodes."""
    left_s: Ints
    """Until the driver should be there; below 0: should have been."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Market:
    """Rides that wait, drivers who are idle; and who is on the way, for policies that look further."""

    rides: Rides
    cars: Cars
    times: Times
    now_ms: int
    before_ms: int
    """Log time of the batch before."""
    pickup_m: Callable[[Ints], Floats]
    """Nodes → their places on the plane (n, 2)."""
    tuning: Tuning = field(default_factory=Tuning)
    zones: Zones | None = None
    find_fetching: Callable[[], Fetching]
    find_riding: Callable[[int], Riding]
    """Who has a rider and should be there within so many ms; whoever should have been is among them."""

    @cached_property
    def eta_s(self) -> Ints:
        """(n_rides, n_cars) driving times to the pickups; FAR_S for a pair that must not be."""
        return self.eta_table_s(self.rides, self.cars)

    @cached_property
    def fetching(self) -> Fetching:
        """Who is on the way to a pickup."""
        return self.find_fetching()

    def is_due(self, interval_ms: int) -> bool:
        """Whether log time has passed a multiple of the interval since the batch before."""
        return self.now_ms // interval_ms > self.before_ms // interval_ms

    def eta_table_s(self, rides: Rides, cars: Cars) -> Ints:
        """(n_rides, n_cars), from where each car can first turn; FAR_S for a pair that must not be."""
        eta_s = self.times.travel_time_s(cars.node[None, :], rides.pickup[:, None]) + cars.rest_s
        for row, column in refusals(rides, cars):
            eta_s[row, column] = FAR_S
        return eta_s

    def offer(self, ride: int, car: int) -> "Offer":
        """An offer of a ride (its row) to an idle driver (its column); driving time is the cost."""
        eta_s = self.eta_s[ride]
        few = np.argsort(eta_s, kind="stable")[:CANDIDATES_SHOWN].tolist()
        shown = [self._considered(ride, column) for column in few if eta_s[column] < FAR_S and column != car]
        return Offer(self.rides.names[ride], explain(self._considered(ride, car), shown))

    def _considered(self, ride: int, car: int) -> "Considered":
        eta_s = int(self.eta_s[ride, car])
        return Considered(eta_s, self.numbers[car], eta_s)

    @cached_property
    def numbers(self) -> list[int]:
        """Of the idle drivers, by column."""
        found: list[int] = self.cars.numbers.tolist()
        return found


def refusals(rides: Rides, cars: Cars) -> list[tuple[int, int]]:
    """(row, column) of all pairs that must not be."""
    if not any(rides.refused):
        return []
    column = {number: i for i, number in enumerate(cars.numbers.tolist())}
    return [
        (row, column[number])
        for row, refused in enumerate(rides.refused)
        for number in refused
        if number in column
    ]


class Choice(NamedTuple):
    """A driver for a ride, and why this one."""

    driver: int
    eta_s: int
    candidates: tuple[Candidate, ...]
    """Cheapest first, the chosen one among them."""
    runner_up: int | None

    def fields(self) -> dict[str, Any]:
        """As an event has them."""
        return self._asdict()


class Considered(NamedTuple):
    """A driver who may be shown. The less, the better: of equal cost the lower number."""

    cost: int
    driver: int
    eta_s: int


def explain(chosen: Considered, others: list[Considered]) -> Choice:
    """The choice of one driver among all these, of whom the cheapest are shown."""
    best = sorted(others)[: CANDIDATES_SHOWN - 1]
    candidates = tuple([Candidate(each.driver, each.eta_s, each.cost) for each in sorted([*best, chosen])])
    return Choice(chosen.driver, chosen.eta_s, candidates, best[0].driver if best else None)


@dataclass(frozen=True, slots=True)
class Offer:
    """Ask a driver who is idle."""

    ride: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Move:
    """One ride gets another driver."""

    ride: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Chain:
    """Moves that hold together or not at all; each driver is free once the moves before were made."""

    moves: tuple[Move, ...]
    saves_s: int
    """By how much sooner the rides that had a driver are picked up, together."""


@dataclass(frozen=True, slots=True)
class Drive:
    """Ask an idle driver to drive to a node."""

    driver: int
    node: int
    eta_s: int
    zone: int


Decision: TypeAlias = Offer | Chain | Drive
