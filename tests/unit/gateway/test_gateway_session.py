# SPDX-License-Identifier: Apache-2.0
"""A session as plain data, a cursor as text, and what is decided of the two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.tokens import EVERYTHING
from gateway.follower.tail import Pace
from gateway.stream.messages import Close
from gateway.stream.session import (
    IllegalSessionTransitionError,
    LogOffsets,
    Serve,
    Session,
    SessionPhase,
    Wish,
    judge,
)
from taxi.client.rows import near
from taxi.cursor import OFFSET_MAX, Cursor

EPOCH = "0123456789abcdef"
NOW = Cursor(EPOCH, 100, 50)

offsets = st.integers(0, OFFSET_MAX)


@given(st.from_regex(r"[0-9a-f]{1,32}", fullmatch=True), offsets, offsets)
def test_a_cursor_reads_back_as_it_was_written(epoch: str, loc: int, ev: int) -> None:
    cursor = Cursor(epoch, loc, ev)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a:1",
        "a:1:2:3",
        "A:1:2",
        "a:-1:2",
        "a:01:2",
        "a:1:2 ",
        "a:1:٣",
        f"a:1:{OFFSET_MAX + 1}",
        "a:1:2\n",
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="epoch:loc:ev"):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("cursor", "in_window", "ends", "verdict"),
    [
        (None, False, None, Serve(None)),
        (NOW, True, None, Serve(NOW)),
        (Cursor(EPOCH, 0, 0), True, None, Serve(Cursor(EPOCH, 0, 0))),
        (Cursor(EPOCH, 0, 0), False, None, Serve(None, "expired")),
        (Cursor("f" * 16, 100, 50), True, None, Serve(None, "epoch")),
        (Cursor(EPOCH, 101, 50), False, None, None),
        (Cursor(EPOCH, 99, 51), False, LogOffsets(101, 51), None),
        (Cursor(EPOCH, 102, 50), False, LogOffsets(101, 51), Serve(None, "ahead")),
        (Cursor(EPOCH, 0, 52), False, LogOffsets(101, 51), Serve(None, "ahead")),
    ],
)
def test_every_cursor_has_its_outcome(
    cursor: Cursor | None, in_window: bool, ends: LogOffsets | None, verdict: Serve | None
) -> None:
    assert judge(cursor, NOW, in_window=in_window, ends=ends) == verdict


def test_a_session_moves_only_as_drawn() -> None:
    session = Session("s", 0.0)
    with pytest.raises(IllegalSessionTransitionError):
        session.live(1.0)
    session.greet(NOW, None, EVERYTHING, 1.0)
    with pytest.raises(IllegalSessionTransitionError):
        session.greet(NOW, None, EVERYTHING, 1.0)
    session.live(2.0)
    session.make_pending(3.0, LogOffsets(1, 1))
    assert session.phase is SessionPhase.PENDING
    session.close(4.0)
    session.close(5.0)
    with pytest.raises(IllegalSessionTransitionError):
        session.live(6.0)


def test_of_the_views_asked_for_only_the_last_is_served() -> None:
    session = Session("s", 0.0)
    session.greet(NOW, "here", EVERYTHING, 0.0)
    session.live(1.0)
    for generation, place in enumerate(("there", "elsewhere"), start=1):
        session.want(Wish(place, generation))
    wish = session.wish
    assert wish == Wish("elsewhere", 2)
    session.sent(NOW, wish.area)
    assert (session.wish is None, session.area) == (True, "elsewhere")


def test_a_session_that_requires_an_image_is_pending_and_may_still_ask_for_views() -> None:
    session = Session("s", 0.0)
    session.greet(NOW, None, EVERYTHING, 0.0)
    assert not session.was_ready
    session.live(1.0)
    session.require_image("mismatch", 2.0)
    assert (session.phase, session.reset, session.was_ready) == (SessionPhase.PENDING, "mismatch", True)
    session.live(3.0)
    assert session.reset is None


def test_waiting_and_making_wait_have_their_limits() -> None:
    session = Session("s", 0.0)
    assert session.overdue(100.0) is None
    session.greet(NOW, None, EVERYTHING, 0.0)
    assert session.overdue(9.9) is None
    refusal = session.overdue(10.0)
    assert refusal is not None
    assert refusal.code is Close.AWAY
    session.live(10.0)
    session.blocked(20.0)
    session.blocked(30.0)
    assert session.overdue(49.9) is None
    refusal = session.overdue(50.0)
    assert refusal is not None
    assert refusal.code is Close.TOO_SLOW
    session.sent(NOW, None)
    assert session.overdue(50.0) is None


@given(st.integers(0, 2**42), st.integers(-(2**31) + 1, 2**31 - 1))
def test_a_time_is_read_from_its_low_bits(cut_ms: int, away_ms: int) -> None:
    assert near((cut_ms + away_ms) & 0xFFFFFFFF, cut_ms) == cut_ms + away_ms


def test_cuts_keep_their_beat_but_do_not_make_up_for_a_stand_still() -> None:
    pace = Pace(0.1, 10.0)
    assert pace.advance(10.0) == pytest.approx(0.2)
    assert pace.advance(10.25) == pytest.approx(0.05)
    assert pace.advance(10.45) == 0.0
    assert pace.advance(99.0) == pytest.approx(0.1)
