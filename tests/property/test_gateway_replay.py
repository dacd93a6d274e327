# SPDX-License-Identifier: Apache-2.0
"""From every place that a client can stand, a gateway that has just booted leads it to the right picture.

Live tests pass by luck: the states that matter are rare. Here a recorded log is gone through offline,
cursor by cursor and view by view. Two bugs that live tests passed by are planted, and must be found.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gateway.city.drivers
from gateway.city.succession import Succession, succession
from gateway.city.view import Span, View
from taxi.client.decode import decode_cut
from taxi.client.rows import StreamError
from taxi.cursor import Cursor
from tests.property.gateway_log import Box, booted
from tests.property.recorded_log import SPAN, Recording, copied, views

FOLD_SIZES = [1, 25, 120, 10_000]


@cache
def recording() -> Recording:
    return Recording.taken()


def fresh_gateway(end: Cursor, records_at_once: int) -> View:
    view = booted(recording().oracle, end.loc, end.ev, records_at_once=records_at_once)
    assert view.cursor == end
    return view


def wrong_pictures(view: View) -> Iterator[tuple[object, ...]]:
    """Wherever this gateway leads to anything but the oracle's rows: all cursors it serves, all views."""
    states = recording().states
    assert view.cursor is not None
    for cursor in filter(view.serves, recording().cursors):
        for old, new in pairs():
            client, right = copied(states[cursor, old]), states[view.cursor, new]
            try:
                client.apply(decode_cut(view.diff(cursor, view.area(old), view.area(new))))
            except StreamError as error:
                yield cursor, old, new, error
            else:
                if (client.drivers, client.rides) != (right.drivers, right.rides):
                    yield cursor, old, new, client.drivers, right.drivers


@cache
def pairs() -> list[tuple[Box | None, Box | None]]:
    """Every view kept, and a change from each to another."""
    boxes = views()
    return [*zip(boxes, boxes, strict=True), *zip(boxes, boxes[1:] + boxes[:1], strict=True)]


def found_in(boots: list[Cursor], fold_sizes: list[int]) -> Iterator[tuple[object, ...]]:
    """Wrong pictures after each boot."""
    for end, records_at_once in product(boots, fold_sizes):
        yield from wrong_pictures(fresh_gateway(end, records_at_once))


def late_boots(step: int) -> list[Cursor]:
    """Every so often, from where the window no longer reaches to the beginning."""
    return recording().cursors[len(recording().cursors) // 2 :: step]


@settings(max_examples=4, deadline=None)
@given(st.data(), st.sampled_from(FOLD_SIZES))
def test_every_diff_of_a_fresh_gateway_leads_to_the_fold_of_the_log(
    data: st.DataObject, records_at_once: int
) -> None:
    cursors = recording().cursors
    end = cursors[data.draw(st.integers(10, len(cursors) - 1))]
    assert list(wrong_pictures(fresh_gateway(end, records_at_once))) == []


def test_the_recording_serves_many_cursors_from_the_middle_of_the_log() -> None:
    view = fresh_gateway(recording().cursors[-1], 25)
    assert view.begins.loc > 0
    served = [cursor for cursor in recording().cursors if view.serves(cursor)]
    assert len(served) > 50


# --- bugs that must be found ----------------------------------------------------------------------------


@contextmanager
def window_equal_to_expiry() -> Iterator[None]:
    """Read back as far as a row lives, and serve diffs from there on at once: ghosts."""

    def at_once(self: View, _unread_ms: int) -> None:
        self._live = True

    with (
        patch.object(View, "went_live", at_once),
        patch.object(Span, "boot_ms", property(lambda span: span.expiry_ms)),
    ):
        yield


@contextmanager
def coarse_tile_fold() -> Iterator[None]:
    """Only the newest fix of each driver in a fold counts: A to B to A looks like staying."""

    def newest_only(slot: np.ndarray, at_ms: np.ndarray) -> Succession:
        found = succession(slot, at_ms)
        last = found.chain[found.is_last]
        return Succession(last, np.ones(len(last), np.bool_), np.zeros(len(last), np.bool_))

    with patch.object(gateway.city.drivers, "succession", newest_only):
        yield


@pytest.mark.parametrize("bug", [window_equal_to_expiry, coarse_tile_fold], ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: "type[AbstractContextManager[None]]") -> None:
    assert SPAN.boot_ms > SPAN.expiry_ms
    boots = late_boots(8)
    with bug():
        found = next(found_in(boots, [60, 35]), None)
    assert found, f"{bug.__name__} went unnoticed"
    print(f"{bug.__name__}: {found!r:.300}")
