# SPDX-License-Identifier: Apache-2.0
"""What clients say after `hello`, and every way of saying it wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stream import messages
from gateway.stream.messages import (
    Close,
    Hello,
    Mismatch,
    SessionRefusal,
    ViewportRequest,
    read_hello,
    read_later,
    short,
)
from taxi.client.protocol import SUBPROTOCOL
from taxi.cursor import Cursor

HELLO = '{"type":"hello","v":1,"city":"grid"'


def test_both_sides_speak_the_same_subprotocol() -> None:
    assert messages.SUBPROTOCOL == SUBPROTOCOL


def test_the_protocol_lists_every_code_with_which_a_gateway_closes() -> None:
    protocol = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text("utf-8")
    assert not [code for code in Close if f"| {code.value} |" not in protocol]


def test_a_hello_has_the_cursor_the_viewport_and_the_token() -> None:
    assert read_hello(HELLO + "}", "grid") == Hello()
    whole = HELLO + ',"cursor":"ab:1:2","view":[-74,40.5,-73.5,41],"token":"t","later":1}'
    assert read_hello(whole, "grid") == Hello(Cursor("ab", 1, 2), (-74, 40.5, -73.5, 41), "t")
    assert read_hello(HELLO + ',"cursor":null,"view":null,"token":null}', "grid") == Hello()


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (',"view":[1,2,3]}', Close.BAD_HELLO),
        (',"view":"all"}', Close.BAD_HELLO),
        (',"view":[1,2,3,null]}', Close.BAD_HELLO),
        (',"token":5}', Close.BAD_HELLO),
        (',"cursor":"x"}', Close.BAD_HELLO),
    ],
)
def test_a_hello_that_makes_no_sense_is_refused_for_good(rest: str, code: Close) -> None:
    refusal = read_hello(HELLO + rest, "grid")
    assert isinstance(refusal, SessionRefusal)
    assert refusal.code is code


def test_a_view_or_a_mismatch_is_read() -> None:
    assert read_later('{"type":"view","generation":1,"bbox":null}') == ViewportRequest(1, None)
    assert read_later('{"type":"view","generation":65535,"bbox":[0,0,1,1],"x":1}') == ViewportRequest(
        65535, (0, 0, 1, 1)
    )
    said = read_later('{"type":"mismatch","cursor":"ab:1:2","own":[1,2],"received":[3,4294967295]}')
    assert said == Mismatch("ab:1:2", (1, 2), (3, 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00", Close.PROTOCOL),
        ("", Close.PROTOCOL),
        ("nonsense", Close.PROTOCOL),
        ("{}", Close.PROTOCOL),
        ("[" * 4000, Close.PROTOCOL),
        ("\ud800", Close.PROTOCOL),
        ("x" * 5000, Close.PROTOCOL),
        ('{"type":"unheard"}', Close.PROTOCOL),
        ('{"type":"view","generation":0,"bbox":null}', Close.PROTOCOL),
        ('{"type":"view","generation":65536,"bbox":null}', Close.PROTOCOL),
        ('{"type":"view","generation":1.5,"bbox":null}', Close.PROTOCOL),
        ('{"type":"view","generation":1}', Close.PROTOCOL),
        ('{"type":"view","generation":1,"bbox":[1,2,3]}', Close.PROTOCOL),
        ('{"type":"mismatch","cursor":"a","own":[1],"received":[1,2]}', Close.PROTOCOL),
        ('{"type":"mismatch","cursor":"a","own":[1,-2],"received":[1,2]}', Close.PROTOCOL),
        (HELLO + "}", Close.UNEXPECTED),
    ],
)
def test_what_is_no_message_ends_the_session_and_says_so(message: bytes | str, code: Close) -> None:
    refusal = read_later(message)
    assert isinstance(refusal, SessionRefusal)
    assert refusal.code is code
    assert 0 < len(refusal.reason.encode()) <= 123


@pytest.mark.parametrize("kind", ["view", "mismatch"])
def test_nothing_comes_before_hello(kind: str) -> None:
    refusal = read_hello(f'{{"type":"{kind}"}}', "grid")
    assert isinstance(refusal, SessionRefusal)
    assert refusal.code is Close.UNEXPECTED


@given(st.text() | st.binary(max_size=300))
def test_whatever_is_said_is_a_message_or_refused(message: bytes | str) -> None:
    read_hello(message, "grid")
    read_later(message)


@given(st.text())
def test_a_reason_fits_into_a_close_frame(reason: str) -> None:
    assert len(short(reason).encode()) <= 123
