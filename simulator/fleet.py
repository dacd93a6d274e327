# SPDX-License-Identifier: Apache-2.0
"""Where all drivers are and how they move: arrays with one row a driver, stepped in slices.

A row's place is an arc and the share of its driving time that has passed. Movement takes the time that the
city's travel tables say, because it is counted in that same time.
"""

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from simulator.draws import Floats, between, draws, key
from simulator.settings import CityBehavior
from simulator.streets import Bools, Ints, Spots, Streets

Rows: TypeAlias = npt.NDArray[np.intp]

STEP_S_MAX: Final = 2.0
"""In seconds of the clock. After a pause (a sleeping laptop, a broker away) the city goes on from where
it was last seen."""
_CRUISE_PACE: Final = 0.65
_SIDEWAYS_MPS: Final = 1.5
_NEVER: Final = np.inf
"""A share that no drive along an arc reaches."""


class Mode(IntEnum):
    """What a car does."""

    CRUISE = 0
    """Idle: wanders, and parks now and then."""
    PARK = 1
    """At the kerb until a set time, then cruises."""
    DRIVE = 2
    """To a node."""
    STAND = 3
    """At the kerb until `send` or `cruise` is called."""


class FleetPositions(NamedTuple):
    """What others see of some rows."""

    points: Floats
    """(n, 2) longitude, latitude."""
    heading: Floats
    """Degrees clockwise from north."""
    speed: Floats
    """Metres a second."""


class Fleet:
    """The cars. Row i belongs to driver i + 1; nothing here knows of rides. All times are city time."""

    def __init__(self, streets: Streets, behavior: CityBehavior, seed: int, spots: Spots) -> None:
        n = len(spots.arc)
        self._streets = streets
        self._behavior = behavior
        self._turn_key, self._park_key = key(seed, "turn"), key(seed, "park")
        self._seed = seed
        self.arc: Ints = spots.arc.copy()
        self.share: Floats = spots.share.copy()
        self.mode = np.full(n, Mode.CRUISE, np.int8)
        self.stop = np.full(n, _NEVER)
        """The share of this arc at which to halt."""
        self.target = np.full(n, -1, np.int32)
        self.until_ms = np.zeros(n, np.int64)
        self.stepped_ms = np.zeros(n, np.int64)
        self.speed = 1
        """How many seconds of city time pass in one of the clock."""
        self._traffic = 1.0
        """How fast one drives at this hour, of what the tables say."""
        self.drive_percent = 100.0
        """How long drives take because of scenarios, in per cent of what they take at this hour."""
        self.pace = np.ones(n)
        """How fast the present drive goes, of what the tables say."""
        self.driven_m = np.zeros(n)
        """Since the start."""
        self.lane = draws(key(seed, "lane"), np.arange(n))
        self.side_m = streets.lane_m(self.arc, self.lane)

    def __len__(self) -> int:
        return len(self.arc)

    @staticmethod
    def home_spots(streets: Streets, n: int, seed: int) -> Spots:
        """Where drivers are before anything is known of them: where trips tend to end."""
        rows = np.arange(n)
        _, node = streets.demand.sample(draws(key(seed, "home"), rows))
        starts, arcs = streets.ways_out
        width = starts[node + 1] - starts[node]
        nth = (draws(key(seed, "home way"), rows) * width).astype(np.int32)
        return Spots(arcs[starts[node] + nth], draws(key(seed, "home share"), rows))

    # --- orders -----------------------------------------------------------------------------------

    def send(self, row: int, node: int) -> None:
        """Drive to a node and stand there."""
        self.mode[row], self.target[row] = Mode.DRIVE, node
        noise = self._behavior.drive_noise
        if noise:
            self.pace[row] = 1 / between(
                1 - noise, 1 + noise, self._seed, "drive", row, int(self.arc[row]), node
            )
        self.stop[row] = max(self._stops(np.array([row]))[0], self.share[row])

    def park(self, row: int, until_ms: int) -> None:
        """Stand here, then cruise."""
        self.mode[row], self.until_ms[row], self.stop[row] = Mode.PARK, until_ms, _NEVER

    def stand(self, row: int) -> None:
        """Stay here until another call moves the car."""
        self.mode[row], self.stop[row] = Mode.STAND, _NEVER

    def cruise(self, row: int) -> None:
        """Wander about."""
        self.mode[row], self.stop[row] = Mode.CRUISE, _NEVER

    # --- time -------------------------------------------------------------------------------------

    def step(self, rows: Rows, now_ms: int) -> Rows:
        """Move `rows` to `now_ms`; those that have reached their node in this step."""
        passed_s = np.clip((now_ms - self.stepped_ms[rows]) / 1000, 0, STEP_S_MAX * self.speed)
        self.stepped_ms[rows] = now_ms
        self._traffic = 1e4 / self._streets.roads.city.drive_percent_at(now_ms) / self.drive_percent
        self._leave_kerb(rows, now_ms)
        moving = self._moves(rows)
        arrived: list[Rows] = []
        driving, left_s = rows[moving], passed_s[moving]
        while len(driving):
            driving, left_s, halted = self._drive(driving, left_s)
            arrived.append(self._halt(halted, now_ms))
            self._turn(driving, now_ms)
        self._drift(rows, passed_s)
        return np.concatenate(arrived) if arrived else rows[:0]

    def see(self, rows: Rows) -> FleetPositions:
        """What others see of `rows`."""
        arc, share, mode = self.arc[rows], self.share[rows], self.mode[rows]
        points, heading = self._streets.places(arc, share, self.side_m[rows])
        pace = np.where(mode == Mode.DRIVE, 1.0, np.where(mode == Mode.CRUISE, _CRUISE_PACE, 0.0))
        return FleetPositions(points, heading, self._streets.speed(arc, share) * pace * self._traffic)

    def _moves(self, rows: Rows) -> Bools:
        mode = self.mode[rows]
        moves: Bools = (mode == Mode.CRUISE) | (mode == Mode.DRIVE)
        return moves

    def _leave_kerb(self, rows: Rows, now_ms: int) -> None:
        leaving = rows[(self.mode[rows] == Mode.PARK) & (self.until_ms[rows] <= now_ms)]
        self.mode[leaving], self.stop[leaving] = Mode.CRUISE, _NEVER

    def _drive(self, rows: Rows, left_s: Floats) -> tuple[Rows, Floats, Rows]:
        """Along the arc: (rows at its end, the seconds they have left, rows that halted)."""
        arc, before = self.arc[rows], self.share[rows]
        pace = np.where(self.mode[rows] == Mode.DRIVE, self.pace[rows], _CRUISE_PACE)
        pace *= self._traffic / self._streets.time_s[arc]
        share = before + left_s * pace
        halts = share >= self.stop[rows]
        ends = ~halts & (share >= 1)
        self.share[rows] = np.minimum(share, self.stop[rows])
        self.driven_m[rows] += (np.minimum(self.share[rows], 1) - before) * self._streets.length_m[arc]
        return rows[ends], (share[ends] - 1) / pace[ends], rows[halts]

    def _halt(self, rows: Rows, now_ms: int) -> Rows:
        """At their stop: who cruised parks, who drove has arrived."""
        if not len(rows):
            return rows
        arrived = self.mode[rows] == Mode.DRIVE
        self.stop[rows] = _NEVER
        self.mode[rows] = np.where(arrived, Mode.STAND, Mode.PARK)
        low, high = self._behavior.park_s
        long_s = low + (high - low) * draws(self._park_key, rows, self.arc[rows], now_ms // 1000)
        self.until_ms[rows] = now_ms + (long_s * 1000).astype(np.int64)
        there: Rows = rows[arrived]
        return there

    def _turn(self, rows: Rows, now_ms: int) -> None:
        """Into the next arc."""
        if not len(rows):
            return
        is_bound = self.mode[rows] == Mode.DRIVE
        bound, free = rows[is_bound], rows[~is_bound]
        if len(bound):
            node = self._streets.roads.arc_to[self.arc[bound]]
            self.arc[bound] = self._streets.towards(node, self.target[bound])
        if len(free):
            draw = draws(self._turn_key, free, self.arc[free], now_ms // 1000)
            self.arc[free] = self._streets.stroll(self.arc[free], draw)
        self.share[rows] = 0.0
        self.stop[rows] = self._stops(rows)
        if len(free):
            self._choose_kerb(free, now_ms)

    def _stops(self, rows: Rows) -> Floats:
        """Where on their arc rows that DRIVE halt: some metres before their node, if it is the next."""
        arc = self.arc[rows]
        there = (self.mode[rows] == Mode.DRIVE) & (self._streets.roads.arc_to[arc] == self.target[rows])
        stops = np.full(len(rows), _NEVER)
        if there.any():
            arc, lane = arc[there], self.lane[rows[there]]
            length = self._streets.length_m[arc]
            before = length - np.minimum(8.0 + 14.0 * lane, length / 2)
            stops[there] = self._streets.share_at(arc, before)
        return stops

    def _choose_kerb(self, rows: Rows, now_ms: int) -> None:
        """Some who cruise stop halfway down a block."""
        arc = self.arc[rows]
        draw = draws(self._park_key, rows, arc, now_ms)
        parks = (draw < self._behavior.park_share) & (self._streets.length_m[arc] > 40)
        within = draw[parks] / max(self._behavior.park_share, 1e-9)
        self.stop[rows[parks]] = 0.3 + 0.4 * within

    def _drift(self, rows: Rows, passed_s: Floats) -> None:
        """Change lanes and pull over at a walking pace, so that no car jumps sideways."""
        arc = self.arc[rows]
        goal = np.where(
            self._moves(rows), self._streets.lane_m(arc, self.lane[rows]), self._streets.kerb_m(arc)
        )
        most = _SIDEWAYS_MPS * passed_s
        self.side_m[rows] += np.clip(goal - self.side_m[rows], -most, most)
