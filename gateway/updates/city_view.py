# SPDX-License-Identifier: Apache-2.0
"""The city at a cut, and how it changed since any cursor of the window.

Deterministic: gateways that have read the same records have the same rows, wherever reading began and however
it was chunked. What the stream need not know about taxis is here and in the tables.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.stream.delta_source import Area, Box, ScenarioNotice
from gateway.stream.session import LogOffsets
from gateway.updates.driver_trips import DriverTrips
from gateway.updates.drivers import SKEW_MS, DriverTable
from gateway.updates.encoding import ExpectedState, Sections, seal
from gateway.updates.explanations import Explanations
from gateway.updates.feed import Feed, feed_section
from gateway.updates.grid import TileGrid, Tiles
from gateway.updates.rides import RideTable, ride_record, rides_section
from gateway.updates.window import Window
from taxi.bus import Record
from taxi.city_time import Period
from taxi.cursor import Cursor
from taxi.messages import EpochStarted, InputSkipped
from taxi.messages.states import DriverStatus, RideState
from taxi.positions.clock import PositionsClock
from taxi.positions.columns import FixColumns, read_fixes
from taxi.positions.dropped import UNREADABLE
from taxi.positions.fixes import EXPIRY_MS
from taxi.state import CityState, IllegalTransitionError, Ride, shift_at
from taxi.state.batches import ANOTHER_PRODUCER, Batch, WholeBatches
from taxi.state.rows import RunningScenario
from taxi.topics import LOCATIONS

AWAITING_SHIFT_MAX: Final = 200_000
"""Locations that may wait for a batch."""


class CityViewBrokenError(Exception):
    """What was read does not continue what was read before: another epoch, a gap, an illegal event."""


class ClockOverlookedError(CityViewBrokenError):
    """Positions were folded before it was known by how much their times are shifted."""


@dataclass(frozen=True)
class Span:
    """Two lengths of log time."""

    expiry_ms: int = EXPIRY_MS
    """How long a row outlives its last position, or its ride's end."""
    resume_ms: int = 120_000
    """How far back a diff reaches."""

    @property
    def boot_ms(self) -> int:
        """How far back one reads so that every cursor of the last `resume_ms` can be served."""
        return self.expiry_ms + self.resume_ms + SKEW_MS


class CityView:
    """Fold records, `close` the cut, then ask for updates. Between folding and closing ask nothing."""

    def __init__(
        self,
        city: CityState,
        *,
        loc: int,
        ev: int,
        span: Span,
        grid: TileGrid,
        producer_id: int | None = None,
    ) -> None:
        """Reading begins at `loc` and, with the state `city`, at `ev`.

        `producer_id`: who wrote the snapshot that `city` is from; None outside of a transaction.
        """
        self.city = city
        self.span = span
        self.grid = grid
        self.loc = loc
        self.ev = ev
        self.cut_ms = city.now_ms
        """Log time of the cut."""
        self.cursor: Cursor | None = None
        """Of the last cut closed; None before the log has an epoch."""
        self.previous: Cursor | None = None
        """Of the cut before it."""
        self.undecodable = 0
        """Locations that are no fixes."""
        self.undecodable_events = 0
        self.passed_over = 0
        """Events that do not count, because another producer than the city's wrote them."""
        self.drivers = DriverTable(grid, expiry_ms=span.expiry_ms, memory_ms=span.resume_ms)
        self.rides = RideTable(expiry_ms=span.expiry_ms, memory_ms=span.resume_ms)
        self.explanations = Explanations(self.drivers.place_at)
        self.driver_trips = DriverTrips(city.now_ms)
        self.batches = WholeBatches(city.batch, producer_id)
        self._feed = Feed(ev)
        self._log_ms = 0
        """Log time of the last position that was folded."""
        self._clock = PositionsClock(shift_ms=city.shift_at(loc))
        self._shifted_to = max((at for at, _ in city.shifts if at <= loc), default=-1)
        """The offset of the last shift that was applied."""
        self.awaiting_shift: list[Record] = []
        """Locations that wait for a batch: the clock was set back before them."""
        self.begins = LogOffsets(loc, ev)
        """Where reading began."""
        self.is_deepening = False
        """Whether another city view, which reaches back further, is about to take this one's place."""
        self.covered_ms: int | None = None
        """No position before where reading began was appended later; None where no batch tells."""
        self._skipped_to = 0
        """Batches that read no further than this say nothing of the age of what is before it."""
        self._window = Window(loc=loc, ev=ev, log_ms=city.now_ms, full_ms=0, horizon_ms=span.resume_ms)
        self._live = False
        self._periods: tuple[Period, ...] = ()
        self._scenarios: tuple[ScenarioNotice, ...] = ()
        self._made: dict[Cursor, tuple[bytes, bytes]] = {}
        """Rides and feed sections of this cut, by where they start."""
        self._take_over(city)

    def _take_over(self, city: CityState) -> None:
        """Make the rows of a snapshot."""
        for driver in city.drivers:
            self.drivers.set_status(driver, city.status(driver), self.ev)
        for ride in sorted(city.rides.values(), key=lambda ride: (ride.ended_ms, ride.ride)):
            self._set_ride(ride, self.ev)
        self._cover()

    def _cover(self) -> None:
        """A batch is no earlier than the positions that it read: that bounds the age of what was not read."""
        read_to = self.city.locations_offset
        if self.covered_ms is None and read_to >= self.begins.loc and read_to > self._skipped_to:
            self.covered_ms = self.city.now_ms

    # --- folding ----------------------------------------------------------------------------------

    def fold_positions(self, records: Sequence[Record]) -> None:
        """Take records of `taxi.locations` in, in offset order.

        While positions wait for a batch that says how their times are shifted, later ones wait behind them.
        """
        if not records:
            return
        if self.awaiting_shift:
            self.awaiting_shift += records
            if len(self.awaiting_shift) > AWAITING_SHIFT_MAX:
                message = "no batch says from where on times are shifted"
                raise CityViewBrokenError(message)
            return
        self._fold_positions(records)

    def prime(self, records: Sequence[Record]) -> None:
        """Records that stand just before the first: they only tell what time it was."""
        self._clock.prime(read_fixes(records).fixes.append_ms)

    def _fold_positions(self, records: Sequence[Record]) -> None:
        """Fold positions up to where the clock was set back and no batch says by how much; others wait."""
        read = read_fixes(records)
        waits_from = self._fold_in_log_time(read.fixes)
        self.loc = records[-1].next_offset if waits_from is None else waits_from
        if waits_from is not None:
            self.awaiting_shift = [record for record in records if record.offset >= waits_from]
        unreadable = sum(error.record.offset < self.loc for error in read.unreadable)
        self.undecodable += unreadable
        if unreadable:
            self.drivers.dropped.arrived += unreadable
            self.drivers.dropped.add(UNREADABLE, unreadable)
        self._window.note(self.loc, self._log_ms, self.ev, self.city.now_ms)

    def _fold_in_log_time(self, fixes: FixColumns) -> int | None:
        """Give positions their log times, and fold them.

        Returns:
            The offset of the first position that has none yet, because the clock was set back there and no
            batch says by how much. None if all were folded.
        """
        while len(fixes.offset):
            at = self._next_shift(int(fixes.offset[-1]))
            end = int(np.searchsorted(fixes.offset, at)) if at is not None else len(fixes.offset)
            timed = self._clock.read(fixes.take(slice(end)), self._log_ms)
            done = len(timed.times_ms)
            if done:
                self._log_ms = int(timed.times_ms[-1])
                self.drivers.fold(timed.fixes, timed.is_near)
            fixes = fixes.take(slice(done, None))
            if timed.set_back is None:
                if at is None:
                    return None
                self._clock.shift_ms = self.city.shift_at(at)
                self._shifted_to = at
            elif self._is_decided(timed.set_back.offset):
                self._clock.believe()
            else:
                return timed.set_back.offset
        return None

    def _next_shift(self, last: int) -> int | None:
        """From where on positions up to offset `last` are shifted otherwise, if anywhere."""
        return next((at for at, _ in self.city.shifts if self._shifted_to < at <= last), None)

    def _is_decided(self, offset: int) -> bool:
        """Whether those who decide have read beyond, and found no clock set back there."""
        return self.city.locations_offset > offset

    def _heed_shifts(self, before: list[tuple[int, int]]) -> None:
        """A batch says that the clock was set back. Raises ClockOverlookedError if it was folded over."""
        now = self.city.shifts
        places = {self.begins.loc, *(at for at, _ in (*before, *now) if self.begins.loc < at < self.loc)}
        if self.loc > self.begins.loc and any(shift_at(before, at) != shift_at(now, at) for at in places):
            message = f"times of positions are shifted otherwise: {now}"
            raise ClockOverlookedError(message)

    def _release(self) -> None:
        """Fold the waiting positions if by now it is known how their times are shifted."""
        if self.awaiting_shift and (self._next_shift(self.loc) is not None or self._is_decided(self.loc)):
            records, self.awaiting_shift = self.awaiting_shift, []
            self._fold_positions(records)

    def fold_events(self, records: Iterable[Record]) -> None:
        """Take records of `taxi.events` in, in offset order; batches that count are folded.

        Raises CityViewBrokenError once the city view is live. Before, it reads on behind a gap, up to an
        epoch that begins empty; `batches.gap` says whether it is in one.
        """
        for batch in self.batches.feed(records):
            begins = self.city.epoch and isinstance(batch.events[0].event, EpochStarted)
            if begins and self._live:
                message = f"epoch {batch.events[0].event} follows {self.city.epoch}"
                raise CityViewBrokenError(message)
            self._fold(batch)
        self.undecodable_events += len(self.batches.unreadable)
        self.passed_over += sum(error.reason == ANOTHER_PRODUCER for error in self.batches.passed_over)
        self.batches.take_for_dead_letters()
        if self._live and self.batches.gap is not None:
            raise CityViewBrokenError(self.batches.gap)

    def _fold(self, batch: Batch) -> None:
        shifts = self.city.shifts
        try:
            touched = [self.city.apply(at.event) for at in batch.events]
        except (IllegalTransitionError, KeyError) as error:
            self.batches.break_off(f"batch {batch.closed.batch} is not legal: {error}")
            return
        self.ev = batch.next_offset
        self._feed.add(batch)
        self.explanations.add(batch, self.city.rides)
        self.driver_trips.add(batch)
        self._note_jumps(batch)
        for driver in {driver: None for one in touched for driver in one.drivers}:
            self.drivers.set_status(driver, self.city.status(driver), self.ev)
        for name in {ride: None for one in touched for ride in one.rides}:
            ride = self.city.rides.get(name)
            if ride is None:
                self.rides.drop(name)
            else:
                self._set_ride(ride, self.ev)
        if self.city.shifts != shifts:
            self._heed_shifts(shifts)
        self._cover()
        self._window.note(self.loc, self._log_ms, self.ev, self.city.now_ms)
        self._release()

    def _note_jumps(self, batch: Batch) -> None:
        """What a batch skipped it has not seen the age of, and another epoch may be of another topic."""
        for at in batch.events:
            if isinstance(at.event, EpochStarted):
                self.covered_ms, self._skipped_to = None, self.city.locations_offset
            elif isinstance(at.event, InputSkipped) and at.event.topic == LOCATIONS:
                self._skipped_to = at.event.next

    def _set_ride(self, ride: Ride, ev: int) -> None:
        record = ride_record(
            ride.ride.encode("ascii"),
            state=ride.state,
            attempt=ride.attempt,
            driver=ride.driver or 0,
            pickup_e5=_e5(ride.pickup),
            dropoff_e5=_e5(ride.dropoff),
            times_ms=(
                ride.requested_ms or None,
                ride.assigned_ms or None,
                ride.arrived_ms or None,
                ride.started_ms or None,
                ride.ended_ms or None,
            ),
        )
        self.rides.set(ride.ride, record, ev, ride.ended_ms or None)

    def close(self) -> None:
        """Settle the cut: which rows there are, and what may be forgotten."""
        self.cut_ms = max(self._log_ms, self.city.now_ms, self.cut_ms)
        if not self.city.epoch:
            return
        self._made.clear()
        self._periods = tuple(self.city.periods)
        self._scenarios = tuple(_under_way(*item) for item in self.city.scenarios.items())
        self.previous, self.cursor = self.cursor, Cursor(self.city.epoch, self.loc, self.ev)
        self.drivers.close(self.cursor, self.cut_ms)
        self.rides.close(self.cursor, self.cut_ms)
        self._feed.close(self.ev, self.cut_ms, self.span.boot_ms)
        self._window.prune_before(self.cut_ms - self.span.boot_ms)

    def went_live(self, unread_ms: int) -> None:
        """The end of the log was reached. What was not read was appended before `unread_ms`."""
        self._live = True
        self.drivers.dropped.take()  # history: those who wrote it may be well by now
        if self.begins.loc:
            self._window.full_ms = unread_ms + self.span.expiry_ms + SKEW_MS

    # --- asking -----------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether the rows of the last cut are all known: only then anything of it may be shown."""
        return self._live and self.cursor is not None and self.cut_ms >= self._window.full_ms

    def reaches_beyond(self, other: "CityView") -> bool:
        """Whether reading began earlier than there."""
        mine, others = self.begins, other.begins
        return mine != others and mine.loc <= others.loc and mine.ev <= others.ev

    def awaits(self, cursor: Cursor) -> bool:
        """Whether a diff from there may be had soon: what is missing is being read."""
        reached = self.cursor is not None and cursor.reached_by(self.cursor)
        return self.is_deepening and reached and not self.serves(cursor)

    def serves(self, cursor: Cursor) -> bool:
        """Whether an update can begin there: everything that the rows at `cursor` had must be known."""
        return (
            self.cursor is not None
            and cursor.reached_by(self.cursor)
            and cursor.ev >= self._feed.since
            and self._window.contains(cursor, self.cut_ms)
        )

    def area(self, box: Box | None) -> Tiles | None:
        """The tiles that show a bounding box; None is the whole city. Raises ValueError."""
        return None if box is None else self.grid.touched(box)

    @property
    def periods(self) -> tuple[Period, ...]:
        """How fast people live at the last cut, and since when."""
        return self._periods

    @property
    def scenarios(self) -> tuple[ScenarioNotice, ...]:
        """The scenarios under way at the last cut, the oldest first."""
        return self._scenarios

    def ready_fields(self) -> dict[str, Any]:
        """The fields of `ready` that describe the grid."""
        return {"grid": self.grid.to_json()}

    def step(self, area: Area, *, stale: bool = False) -> bytes:
        """The update from `previous` to `cursor`, only for clients that are there with this very area."""
        since, tiles = self.previous, _tiles(area)
        assert since is not None, "there was no cut before"
        standing, feed = self._shared(since)
        return self._sealed(since, tiles, Sections(self.drivers.step(tiles), standing, feed), stale=stale)

    def diff(
        self, since: Cursor | None, old: Area, new: Area, *, stale: bool = False, generation: int = 0
    ) -> bytes:
        """The update from (`since`, `old`) to (`cursor`, `new`); the image if `since` is None."""
        tiles = _tiles(new)
        if since is None:
            sections = Sections(self.drivers.image(tiles), rides_section((), self.rides.rows(None)))
        else:
            sections = Sections(self.drivers.changes(since, _tiles(old), tiles), *self._shared(since))
        return self._sealed(since, tiles, sections, stale=stale, generation=generation)

    def _shared(self, since: Cursor) -> tuple[bytes, bytes]:
        """Rides and feed since a cursor: the same for every area, so encoded once a cut."""
        made = self._made.get(since)
        if made is None:
            rides = rides_section(self.rides.gone(since), self.rides.rows(since))
            made = self._made[since] = rides, feed_section(self._feed.after(since.ev))
        return made

    def _sealed(
        self,
        since: Cursor | None,
        tiles: Tiles | None,
        sections: Sections,
        *,
        stale: bool,
        generation: int = 0,
    ) -> bytes:
        assert self.cursor is not None
        rows, lanes = self.drivers.held(tiles)
        lanes = lanes.plus(self.rides.lanes)
        return seal(
            since=since,
            cursor=self.cursor,
            cut_ms=self.cut_ms,
            expected=ExpectedState(lanes.a, lanes.b, rows, self.rides.held),
            sections=sections,
            stale=stale,
            generation=generation,
        )

    def driver_counts(self) -> dict[str, int]:
        """Rows with a position by status, as `GET /api/status` tells them."""
        counts = self.drivers.counts(len(DriverStatus))
        return {"total": sum(counts)} | {status.name.lower(): counts[status] for status in DriverStatus}

    def ride_counts(self) -> dict[str, int]:
        """Rides now, and how rides ended since the birth of the log."""
        states = [ride.state for ride in self.city.rides.values()]
        waiting = sum(state in (RideState.REQUESTED, RideState.OFFERED) for state in states)
        active = sum(state in (RideState.ASSIGNED, RideState.ARRIVED, RideState.ON_TRIP) for state in states)
        ended = self.city.totals
        return {
            "waiting": waiting,
            "active": active,
            "completed": ended.completed,
            "cancelled": ended.cancelled,
            "no_show": ended.no_show,
            "expired": ended.expired,
        }


def _e5(place: tuple[float, float]) -> tuple[int, int]:
    return round(place[0] * 1e5), round(place[1] * 1e5)


def _tiles(area: Area) -> Tiles | None:
    assert area is None or isinstance(area, Tiles), "an area comes from CityView.area"
    return area


def _under_way(name: str, scenario: RunningScenario) -> ScenarioNotice:
    disc = scenario.area
    area = (disc.lng, disc.lat, disc.radius_m) if disc is not None else None
    return ScenarioNotice(name, scenario.title, scenario.since_ms, scenario.lasts_s, area)
