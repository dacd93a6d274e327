# SPDX-License-Identifier: Apache-2.0
"""The input of a policy (`Market`) and its output (`Offer`, `Chain`, `Drive`).

Tables have rides as rows and drivers (cars) as columns. Nodes are indices into the city's road network.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from dispatcher.policies.tuning import Tuning
from taxi.messages import Candidate
from taxi.roads.zones import Zones

Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

FAR_S: Final = np.int32(1 << 30)
"""The travel time of a forbidden pair: the driver refused this ride before."""
CANDIDATES_SHOWN: Final = 3
"""Drivers in the explanation of a choice, including the chosen one."""


class Times(Protocol):
    """Driving times between nodes, in whole seconds. `RoadNetwork` implements it."""

    def travel_time_s(self, from_nodes: npt.ArrayLike, to_nodes: npt.ArrayLike) -> Ints: ...


class Rides(NamedTuple):
    """n rides as columns of length n, sorted by the time of the request, then by id."""

    names: tuple[str, ...]
    """Ride ids."""
    waited_s: Ints
    """(n,) since the request."""
    pickup: Ints
    """(n,) nodes."""
    dropoff: Ints
    """(n,) nodes."""
    refused: tuple[list[int], ...]
    """For each ride, the drivers who must not be offered it."""
    swaps: Ints
    """(n,) how often the ride's driver was changed."""


class Cars(NamedTuple):
    """n drivers as columns of length n, sorted by number unless said otherwise.

    A car can't turn before the end of its street, so it counts as being at the next node after `rest_s`.
    """

    numbers: Longs
    """(n,) drivers' numbers."""
    node: Ints
    """(n,) the node where the car can first turn."""
    rest_s: Ints
    """(n,) driving time to that node."""
    points_m: Floats
    """(n, 2) that node on the plane, metres."""
    bound: Ints
    """(n,) the node that an idle driver was asked to drive to, or −1."""


Columns = TypeVar("Columns", Rides, Cars)


def joined(one: Columns, other: Columns) -> Columns:
    """The rows of `one`, then the rows of `other`."""
    above: list[Any] = [*one]
    below: list[Any] = [*other]
    columns: list[Any] = [
        a + b if isinstance(a, tuple) else np.concatenate((a, b)) for a, b in zip(above, below, strict=True)
    ]
    return type(one)(*columns)


def rows_of(table: Columns, rows: Longs) -> Columns:
    """The rows with these indices, in their order."""
    whole: list[Any] = [*table]
    columns: list[Any] = [
        tuple(column[row] for row in rows.tolist()) if isinstance(column, tuple) else column[rows]
        for column in whole
    ]
    return type(table)(*columns)


class Fetching(NamedTuple):
    """Rides whose driver is on the way to the pickup. Row i of `cars` is the driver of row i of `rides`."""

    rides: Rides
    cars: Cars


class Riding(NamedTuple):
    """n trips that end soon, without drivers who stop working then; sorted by driver."""

    numbers: Longs
    """(n,) drivers' numbers."""
    dropoff: Ints
    """(n,) nodes."""
    left_s: Ints
    """(n,) until the expected arrival; negative if it has passed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Market:
    """The state of a city as a policy sees it: waiting rides, idle drivers, and on request the others."""

    rides: Rides
    """Waiting rides."""
    cars: Cars
    """Idle drivers."""
    times: Times
    now_ms: int
    """City time of this batch, as all times here."""
    before_ms: int
    """City time of the batch before."""
    pickup_m: Callable[[Ints], Floats]
    """(n,) nodes → (n, 2) their places on the plane, metres."""
    tuning: Tuning = field(default_factory=Tuning)
    zones: Zones | None = None
    """None if the city has no zones; then places have no value and no driver is repositioned."""
    find_fetching: Callable[[], Fetching]
    """Returns the rides whose driver is on the way to the pickup."""
    find_riding: Callable[[int], Riding]
    """Milliseconds → the trips that should end within that time, including those that should have ended."""

    @cached_property
    def eta_s(self) -> Ints:
        """(n_rides, n_cars) driving times to the pickups; FAR_S for a forbidden pair."""
        return self.eta_table_s(self.rides, self.cars)

    def for_a_table(self) -> "Market":
        """This market with the oldest rides only, so many that `eta_s` has at most `Tuning.table_max` pairs.

        At least one ride is left.
        """
        at_most = max(1, self.tuning.table_max // max(1, len(self.cars.numbers)))
        if len(self.rides.names) <= at_most:
            return self
        return replace(self, rides=rows_of(self.rides, np.arange(at_most)))

    @cached_property
    def fetching(self) -> Fetching:
        """The rides whose driver is on the way to the pickup, found once."""
        return self.find_fetching()

    def is_due(self, interval_ms: int) -> bool:
        """Whether city time has reached a multiple of the interval since the batch before."""
        return self.now_ms // interval_ms > self.before_ms // interval_ms

    def eta_table_s(self, rides: Rides, cars: Cars) -> Ints:
        """(n_rides, n_cars) driving times to the pickups, including `rest_s`; FAR_S for a forbidden pair."""
        eta_s = self.times.travel_time_s(cars.node[None, :], rides.pickup[:, None]) + cars.rest_s
        for row, column in refusals(rides, cars):
            eta_s[row, column] = FAR_S
        return eta_s

    def offer(self, ride: int, car: int) -> "Offer":
        """An offer of ride `ride` (row) to idle driver `car` (column); the cost is the driving time."""
        eta_s = self.eta_s[ride]
        few = np.argsort(eta_s, kind="stable")[:CANDIDATES_SHOWN].tolist()
        shown = [self._considered(ride, column) for column in few if eta_s[column] < FAR_S and column != car]
        return Offer(self.rides.names[ride], explain(self._considered(ride, car), shown))

    def _considered(self, ride: int, car: int) -> "Considered":
        eta_s = int(self.eta_s[ride, car])
        return Considered(eta_s, self.numbers[car], eta_s)

    @cached_property
    def numbers(self) -> list[int]:
        """The idle drivers' numbers, by column."""
        found: list[int] = self.cars.numbers.tolist()
        return found


def refusals(rides: Rides, cars: Cars) -> list[tuple[int, int]]:
    """(row, column) of all forbidden pairs: the driver refused the ride."""
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
    """The driver chosen for a ride, with the candidates that explain the choice."""

    driver: int
    eta_s: int
    candidates: tuple[Candidate, ...]
    """Cheapest first, including the chosen one; at most CANDIDATES_SHOWN."""
    runner_up: int | None
    """The cheapest other driver; None if there is no other candidate."""

    def fields(self) -> dict[str, Any]:
        """Field name → value, as in the event."""
        return self._asdict()


class Considered(NamedTuple):
    """A candidate of a choice. Candidates sort by cost, then by number."""

    cost: int
    driver: int
    eta_s: int


def explain(chosen: Considered, others: list[Considered]) -> Choice:
    """The choice of one driver, with the cheapest of the others."""
    best = sorted(others)[: CANDIDATES_SHOWN - 1]
    candidates = tuple([Candidate(each.driver, each.eta_s, each.cost) for each in sorted([*best, chosen])])
    return Choice(chosen.driver, chosen.eta_s, candidates, best[0].driver if best else None)


@dataclass(frozen=True, slots=True)
class Offer:
    """Offer a waiting ride to an idle driver, who may decline."""

    ride: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class DirectAssignment:
    """Assign a ride to a driver, without asking."""

    ride: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Chain:
    """Moves that take effect together or not at all.

    Each driver is free after the moves before, except in a ring.
    """

    moves: tuple[DirectAssignment, ...]
    saves_s: int
    """The sum of the pickup times gained by the rides that had a driver; it may be negative."""


@dataclass(frozen=True, slots=True)
class Drive:
    """Reposition: ask an idle driver to drive to a node."""

    driver: int
    node: int
    eta_s: int
    zone: int
    """The zone that the node is the centre of."""


Decision: TypeAlias = Offer | Chain | Drive
