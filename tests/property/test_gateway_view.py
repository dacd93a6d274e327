# SPDX-License-Identifier: Apache-2.0
"""Whatever the log holds and however it was read: a client's rows are the fold of the log ∩ its view."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.updates.city_view import CityView
from gateway.updates.drivers import SKEW_MS
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.cursor import Cursor
from testing.gateway_log import (
    EAST,
    EPOCH,
    NORTH,
    SOUTH,
    SPAN,
    WEST,
    Box,
    Log,
    Oracle,
    advance,
    booted,
    read_to,
    written,
)

seeds = st.integers(0, 2**32)


def somewhere(draw: random.Random) -> Box | None:
    """A city view: mostly a tile or a few, now and then everything, a point, or what lies beyond the city."""
    if draw.random() < 0.15:
        return None
    west, south = draw.uniform(WEST - 0.004, EAST), draw.uniform(SOUTH - 0.004, NORTH)
    return west, south, west + draw.choice([0, 0.003, 0.008]), south + draw.choice([0, 0.003, 0.008])


@dataclass
class Viewer:
    """A client of some gateway, that looks at some view of it."""

    oracle: Oracle
    box: Box | None = None
    state: Replica = field(default_factory=lambda: Replica(epoch=EPOCH))
    shown: list[int] = field(default_factory=list)
    """Offsets of feed events, since the last image."""

    def take(self, message: bytes) -> None:
        cut = decode_update(message)
        self.shown = [*([] if cut.is_image else self.shown), *(offset for offset, *_ in cut.feed)]
        self.state.apply(cut)
        self.oracle.assert_right(self.state, self.box)
        cursor = self.state.cursor
        assert cursor is not None
        first = self.shown[0] if self.shown else cursor.ev
        expected = [r.offset for r in self.oracle.log.events if first <= r.offset < cursor.ev]
        assert self.shown == expected

    def image(self, city_view: CityView) -> None:
        self.take(city_view.diff(None, None, city_view.area(self.box)))

    def catch_up(self, city_view: CityView) -> None:
        """A diff from its cursor; an image where none can be cut."""
        cursor = self.state.cursor
        if cursor is None or not city_view.serves(cursor):
            self.image(city_view)
        else:
            self.take(city_view.diff(cursor, city_view.area(self.box), city_view.area(self.box)))

    def pan(self, city_view: CityView, box: Box | None) -> None:
        """Look elsewhere, at the gateway's cut."""
        cursor, old = self.state.cursor, city_view.area(self.box)
        assert cursor is not None
        self.box = box
        if city_view.serves(cursor):
            self.take(city_view.diff(cursor, old, city_view.area(box), generation=7))
        else:
            self.image(city_view)

    def follow(self, city_view: CityView) -> None:
        """What the hub sends: the shared step to those at the previous cut, a diff to everyone else."""
        if self.state.cursor == city_view.previous:
            self.take(city_view.step(city_view.area(self.box)))
        else:
            self.catch_up(city_view)


def cuts(
    log: Log, city_view: CityView, draw: random.Random, *, fixes: int = 6, batches: int = 3
) -> Iterator[None]:
    """Let the gateway read on to the end of the log, a cut at a time."""
    while city_view.loc < len(log.locations) or city_view.ev < log.closed[-1][0]:
        loc = min(len(log.locations), city_view.loc + draw.randint(0, fixes))
        ev = draw.choice([ev for ev, _ in log.closed if ev >= city_view.ev][:batches])
        advance(city_view, log, loc, ev)
        yield


def successor(oracle: Oracle, city_view: CityView, draw: random.Random) -> CityView:
    """Another gateway, that has just booted and read a little further."""
    log = oracle.log
    loc = min(len(log.locations), city_view.loc + draw.choice([0, 1, 30]))
    ev = draw.choice([ev for ev, _ in log.closed if ev >= city_view.ev][:4])
    back_ms = draw.choice([SPAN.boot_ms, SPAN.boot_ms, draw.randint(0, SPAN.boot_ms)])
    return booted(oracle, loc, ev, back_ms=back_ms, records_at_once=draw.choice([3, 10_000]))


ALL_SIXTEEN = list(product([False, True], repeat=4))
NAMES = [
    "-".join(name for name, on in zip(("conflated", "viewport", "diff", "resume"), each, strict=True) if on)
    for each in ALL_SIXTEEN
]


@pytest.mark.parametrize(("conflated", "viewport", "diff", "resume"), ALL_SIXTEEN, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=seeds, steps=st.integers(5, 90))
def test_a_client_holds_the_fold_of_the_log_in_its_view(
    conflated: bool, viewport: bool, diff: bool, resume: bool, seed: int, steps: int
) -> None:
    """Conflated: cuts are skipped. Viewport: it pans. Diff: never the shared step. Resume: other gateways."""
    log, draw = written(seed, steps), random.Random(seed + 1)
    oracle = Oracle(log)
    city_view = booted(oracle, 0, log.closed[1][0])
    viewer = Viewer(oracle, somewhere(draw) if viewport else None)
    viewer.image(city_view)
    gateway = cuts(log, city_view, draw)
    while next(gateway, "the end") is None:
        if resume and draw.random() < 0.2:
            back_ms = draw.choice([SPAN.boot_ms, SPAN.boot_ms, draw.randint(0, SPAN.boot_ms)])
            later = booted(
                oracle, city_view.loc, city_view.ev, back_ms=back_ms, records_at_once=draw.choice([3, 10_000])
            )
            if later.whole:
                city_view = later
                gateway = cuts(log, city_view, draw)
                viewer.catch_up(city_view)
                continue
        if conflated and draw.random() < 0.6:
            continue
        if viewport and draw.random() < 0.3:
            viewer.pan(city_view, somewhere(draw))
        elif diff:
            viewer.catch_up(city_view)
        else:
            viewer.follow(city_view)


@settings(max_examples=150, deadline=None)
@given(seeds, st.integers(20, 140))
def test_a_client_moves_to_a_freshly_booted_gateway_and_its_view_stays_right(seed: int, steps: int) -> None:
    log, draw = written(seed, steps), random.Random(seed + 1)
    oracle = Oracle(log)
    loc, (ev, _) = draw.randint(0, len(log.locations)), draw.choice(log.closed[1:])
    viewer = Viewer(oracle, somewhere(draw))
    first = booted(oracle, loc, ev)
    if not first.whole:  # it waits for the batch that says by how much the clock was set back
        event("the first gateway waits")
        return
    viewer.image(first)
    back_ms = draw.choice([SPAN.boot_ms, draw.randint(0, SPAN.boot_ms)])
    batches = [c for c, _ in log.closed if c >= ev]
    later = booted(
        oracle,
        draw.randint(loc, len(log.locations)),
        draw.choice(batches),
        back_ms=back_ms,
        records_at_once=7,
    )
    assert viewer.state.cursor is not None
    served = later.serves(viewer.state.cursor)
    event(f"served: {served}, whole: {later.whole}, from the middle: {later.begins.loc > 0}")
    if served or later.whole:
        viewer.catch_up(later)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(20, 120))
def test_two_gateways_send_the_same_bytes(seed: int, steps: int) -> None:
    """Images at one cut; and steps, where both closed the same two cuts, whatever they had read before."""
    log, draw = written(seed, steps), random.Random(seed + 1)
    oracle = Oracle(log)
    old = booted(oracle, 0, log.closed[1][0])
    for _ in cuts(log, old, draw, fixes=9, batches=2):
        fresh = booted(oracle, old.loc, old.ev, records_at_once=draw.choice([4, 10_000]))
        if not fresh.whole or draw.random() < 0.5:
            continue
        areas = [fresh.area(somewhere(draw)) for _ in range(3)]
        assert [old.diff(None, None, area) for area in areas] == [fresh.diff(None, None, a) for a in areas]
        read = max(read_to(old), read_to(fresh))
        ahead = min(len(log.locations), read + draw.randint(0, 9)), log.closed[-1][0]
        for city_view in (old, fresh):
            advance(city_view, log, *ahead)
        assert [old.step(area) for area in areas] == [fresh.step(area) for area in areas]


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(5, 60))
def test_a_step_leads_where_the_diff_does(seed: int, steps: int) -> None:
    log, draw = written(seed, steps), random.Random(seed + 1)
    oracle = Oracle(log)
    city_view = booted(oracle, 0, log.closed[1][0])
    boxes = [somewhere(draw) for _ in range(4)]
    viewers = [Viewer(oracle, box) for box in boxes]
    for viewer in viewers:
        viewer.image(city_view)
    for _ in cuts(log, city_view, draw):
        for viewer in viewers:
            area = city_view.area(viewer.box)
            before = viewer.state.cursor
            stepped = decode_update(city_view.step(area))
            differed = decode_update(city_view.diff(before, area, area))
            assert (stepped.hash, stepped.drivers_held) == (differed.hash, differed.drivers_held)
            viewer.follow(city_view)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(30, 140))
def test_what_is_served_reaches_back_as_far_as_promised(seed: int, steps: int) -> None:
    """A gateway that booted rightly serves every cursor of the resume horizon: no needless image."""
    log = written(seed, steps)
    city_view = booted(Oracle(log), len(log.locations), log.closed[-1][0])
    for record in log.locations:
        cursor = Cursor(EPOCH, record.offset + 1, city_view.ev)
        age_ms = city_view.cut_ms - record.timestamp_ms
        if age_ms <= SPAN.resume_ms and record.offset + 1 == city_view.loc:
            assert city_view.serves(cursor)


def test_the_margin_covers_the_skew_between_devices() -> None:
    assert SPAN.boot_ms == SPAN.expiry_ms + SPAN.resume_ms + SKEW_MS
