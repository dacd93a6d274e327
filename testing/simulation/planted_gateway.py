# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the gateway: its tables, its boot, its stream."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

import gateway.access.limits
import gateway.follower.boot
import gateway.shell
import gateway.stream.drain
import gateway.stream.fanout
import gateway.stream.hub
import gateway.stream.session_handler
import gateway.updates.blocks
import gateway.updates.city_view
import gateway.updates.drivers
from gateway.follower import boot
from gateway.stream.session import Session, Wish
from taxi.bus import Offsets, Reader, Record
from taxi.messages import codec
from taxi.positions.columns import FixColumns
from taxi.positions.dropped import Dropped
from taxi.positions.fixes import AHEAD_MS_MAX
from taxi.state.batches import Batch
from taxi.topics import EVENTS


@contextmanager
def half_a_batch_applied() -> Iterator[None]:
    """Events are applied as they come."""

    def at_once(self: gateway.updates.city_view.CityView, records: Iterable[Record]) -> None:
        for record in records:
            event = codec.decode(EVENTS, record)
            touched = self.city.apply(event)
            self.ev = record.offset + 1
            for driver in touched.drivers:
                self.drivers.set_status(driver, self.city.status(driver), self.ev)
            for ride in touched.rides:
                self._set_ride(self.city.rides[ride], self.ev)

    with patch.object(gateway.updates.city_view.CityView, "fold_events", at_once):
        yield


@contextmanager
def cursor_is_the_position() -> Iterator[None]:
    """The cursor counts the commit marker that the reader has passed."""
    fold = gateway.updates.city_view.CityView._fold

    def past_the_marker(self: gateway.updates.city_view.CityView, batch: Batch) -> None:
        fold(self, batch)
        self.ev += 1

    with patch.object(gateway.updates.city_view.CityView, "_fold", past_the_marker):
        yield


@contextmanager
def ghosts() -> Iterator[None]:
    """A fresh gateway reads back as far as a row lives, and serves diffs from before that."""

    def at_once(self: gateway.updates.city_view.CityView, _unread_ms: int) -> None:
        self._live = True

    with (
        patch.object(gateway.updates.city_view.CityView, "went_live", at_once),
        patch.object(gateway.updates.city_view.Span, "boot_ms", property(lambda span: span.expiry_ms)),
        patch.object(gateway.follower.boot, "SKEW_MS", -gateway.follower.boot.SHALLOW_MS),
    ):
        yield


@contextmanager
def rows_leave_the_tile_they_enter() -> Iterator[None]:
    """The hash of a tile that a driver left goes stale; the city's is right."""
    show = gateway.updates.drivers.DriverTable._take_rows

    def wrong(self: gateway.updates.drivers.DriverTable, slots: Any, before: Any, after: Any) -> None:
        show(self, slots, before._replace(tile=after.tile), after)

    with patch.object(gateway.updates.drivers.DriverTable, "_take_rows", wrong):
        yield


@contextmanager
def dropped_positions_are_not_counted() -> Iterator[None]:
    """Dropped positions are neither counted nor reported."""
    with patch.object(Dropped, "add", lambda *_: None):
        yield


@contextmanager
def a_gateway_shifts_no_times() -> Iterator[None]:
    """It goes on folding where the clock was set back."""
    with patch.object(gateway.updates.city_view.CityView, "_is_decided", lambda *_: True):
        yield


class _Credulous(Dropped):
    """Drops no position for being old."""

    def sift(self, fixes: FixColumns, is_near: npt.NDArray[np.bool_]) -> FixColumns:
        return fixes.take((fixes.at_ms <= fixes.append_ms + AHEAD_MS_MAX) & is_near)


@contextmanager
def yesterdays_fixes_count() -> Iterator[None]:
    """The gateway takes every fix for what it says."""
    with patch.object(gateway.updates.drivers, "Dropped", _Credulous):
        yield


@contextmanager
def the_last_fix_wins() -> Iterator[None]:
    """The newest fix is the one that arrived last."""
    fold = gateway.updates.drivers.DriverTable.fold

    def overwrite(self: gateway.updates.drivers.DriverTable, *args: Any) -> None:
        self._device_ms[:] = 0
        fold(self, *args)

    with patch.object(gateway.updates.drivers.DriverTable, "fold", overwrite):
        yield


@contextmanager
def removed_rows_are_not_sent() -> Iterator[None]:
    """A diff tells what is there, and forgets what is not."""
    one_block = gateway.updates.blocks.one_block

    def kept(gone: Any, rows: Any) -> bytes:
        return one_block(gone[:0], rows)

    with patch.object(gateway.updates.drivers, "one_block", kept):
        yield


# --- the stream -------------------------------------------------------------------------------------


@contextmanager
def what_falls_outside_stays() -> Iterator[None]:
    """A new view brings its rows, and leaves those of the old one where they are."""
    diff = gateway.updates.city_view.CityView.diff

    def forgetful(self: Any, since: Any, old: Any, new: Any, **options: Any) -> bytes:
        return diff(self, since, new if options.get("generation") else old, new, **options)

    with patch.object(gateway.updates.city_view.CityView, "diff", forgetful):
        yield


@contextmanager
def the_first_wish_holds() -> Iterator[None]:
    """Who pans quickly gets the view it asked for first."""

    def stubborn(self: Session, wish: Any) -> None:
        self.wish = self.wish or wish

    with patch.object(Session, "want", stubborn):
        yield


@contextmanager
def a_view_without_its_name() -> Iterator[None]:
    """The first cut of a new view does not say so."""
    with patch.object(gateway.stream.session_handler, "Wish", lambda area, _: Wish(area, 0)):
        yield


@contextmanager
def mismatches_only_counted() -> Iterator[None]:
    """A wrong picture is written down, and stays wrong."""
    with patch.object(gateway.stream.session_handler.SessionHandler, "correct", lambda *_: None):
        yield


@contextmanager
def the_late_stay_in_sync() -> Iterator[None]:
    """Who has not read the last cut gets the next one all the same."""
    with patch.object(gateway.stream.fanout.Fanout, "set_blocked", lambda *_: None):
        yield


@contextmanager
def tokens_read_once() -> Iterator[None]:
    """A session outlives its token."""
    with patch.object(gateway.stream.session_handler.SessionHandler, "close_expired", lambda *_: None):
        yield


@contextmanager
def everyone_leaves_at_once() -> Iterator[None]:
    """A drain that knows no rate."""
    drain = gateway.stream.drain.drain

    async def hasty(hub: gateway.stream.hub.Hub, env: Any) -> None:
        hub.terms = replace(hub.terms, drain_per_s=1e9)
        await drain(hub, env)

    with patch.object(gateway.shell, "drain", hasty):
        yield


@contextmanager
def the_missed_leave_in_a_crowd() -> Iterator[None]:
    """A drain that was held up makes up for it at once."""
    with patch.object(gateway.access.limits.SlidingWindowLimiter, "free_s", lambda _: 0.0):
        yield


@contextmanager
def the_scenarios_of_the_start() -> Iterator[None]:
    """A gateway passes on which scenarios were under way when it began, whatever the log says since."""

    def first(view: gateway.updates.city_view.CityView) -> object:
        return view.__dict__.setdefault("first_scenarios", view._scenarios)

    with patch.object(gateway.updates.city_view.CityView, "scenarios", property(first)):
        yield


@contextmanager
def the_speed_of_the_start() -> Iterator[None]:
    """A gateway passes on how fast people lived when it began, whatever the log says since."""

    def first(view: gateway.updates.city_view.CityView) -> object:
        return view.__dict__.setdefault("first_periods", tuple(view.city.periods))

    with patch.object(gateway.updates.city_view.CityView, "periods", property(first)):
        yield


@contextmanager
def the_first_left_is_the_clock() -> Iterator[None]:
    """The first position that retention has left says what time it is."""

    def skip_nothing(_: boot.Boot, locations: Reader, __: Offsets) -> int:
        return locations.position

    with patch.object(boot.Boot, "_skip_the_first", skip_nothing):
        yield
