# SPDX-License-Identifier: Apache-2.0
"""From every place that a client can stand, a gateway that has just booted leads it to the right picture.

Live tests pass by luck: the states that matter are rare. Here a recorded log is gone through offline,
cursor by cursor and view by view. Two bugs that live tests passed by are planted, and must be found.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.updates.city_view import CityView, Span
from taxi.client.decode import decode_update
from taxi.client.rows import StreamError
from taxi.cursor import Cursor
from testing.gateway_log import Box, booted
from testing.recorded_log import SPAN, Recording, copied, views

FOLD_SIZES = [1, 25, 120, 10_000]


@cache
def recording() -> Recording:
    return Recording.taken()


def fresh_gateway(end: Cursor, records_at_once: int) -> CityView:
    city_view = booted(recording().oracle, end.loc, end.ev, records_at_once=records_at_once)
    assert city_view.cursor == end
    return city_view


def wrong_pictures(city_view: CityView) -> Iterator[tuple[object, ...]]:
    """Wherever this gateway leads to anything but the oracle's rows: all cursors it serves, all views."""
    states = recording().states
    assert city_view.cursor is not None
    for cursor in filter(city_view.serves, recording().cursors):
        for old, new in pairs():
            client, right = copied(states[cursor, old]), states[city_view.cursor, new]
            try:
                client.apply(decode_update(city_view.diff(cursor, city_view.area(old), city_view.area(new))))
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
    city_view = fresh_gateway(recording().cursors[-1], 25)
    assert city_view.begins.loc > 0
    served = [cursor for cursor in recording().cursors if city_view.serves(cursor)]
    assert len(served) > 50


# --- bugs that must be found ----------------------------------------------------------------------------


@contextmanager
def window_equal_to_expiry() -> Iterator[None]:
    """Read back as far as a row lives, and serve diffs from there on at once: ghosts."""

    def at_once(self: CityView, _unread_ms: int) -> None:
        self._live = True

    with (
        patch.object(CityView, "went_live", at_once),
        patch.object(Span, "boot_ms", property(lambda span: span.expiry_ms)),
    ):
        yield


def test_a_window_that_is_too_short_is_found() -> None:
    assert SPAN.boot_ms > SPAN.expiry_ms
    with window_equal_to_expiry():
        assert next(found_in(late_boots(8), [60, 35]), None)
