# SPDX-License-Identifier: Apache-2.0
"""JSON that is meant to break the reader: huge numbers, deep nesting, odd characters.

Whatever a client says ends at most its own session, with a code that says what was wrong with it. 1011 means
a bug of the gateway, so no message may lead to it.
"""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.stream.messages import Close, Hello, SessionRefusal, ViewportRequest, read_hello, read_later
from gateway.stream.nesting import DEPTH_MAX, is_too_deep
from gateway.updates.grid import TileGrid, Tiles
from taxi.client.viewport import BBox
from testing.gateway_harness import EPOCH, Browser, GatewayHarness

GRID = TileGrid.over((-74.02, 40.70, -73.92, 40.87))
HELLO = '{"type":"hello","v":1,"city":"grid"'
VIEW = '{"type":"view","generation":1,"bbox":null'


def nested(opening: str, closing: str, depth: int) -> str:
    """A later field, `depth` levels deep."""
    return f',"later":{opening * depth}1{closing * depth}}}'


# --- coordinates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("huge", [1e7, 1e304, 1e308, math.nextafter(math.inf, 0)])
def test_a_view_that_reaches_far_beyond_the_city_is_the_whole_city(huge: float) -> None:
    assert GRID.touched((-huge, -huge, huge, huge)) is None
    assert GRID.touched((0, 0, huge, 1)) == Tiles(GRID.columns - 1, 0, GRID.columns - 1, 0)
    assert GRID.touched((-huge, 80, -huge, huge)) == Tiles(0, GRID.rows - 1, 0, GRID.rows - 1)


@given(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4))
@example((0.0, 0.0, 5e-324, 5e-324))
def test_any_four_numbers_are_a_view_or_no_view(box: BBox) -> None:
    try:
        tiles = GRID.touched(box)
    except ValueError:
        assert not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]
    else:
        assert tiles is None or (0 <= tiles.west <= tiles.east < GRID.columns)


# --- nesting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("depth", [65, 1_000, 2_000])
def test_an_unknown_field_may_be_nested_but_not_without_limit(opening: str, closing: str, depth: int) -> None:
    depth //= opening.count("[") + opening.count("{")
    deep, shallow = nested(opening, closing, depth + 1), nested(opening, closing, 20)
    if len(HELLO + deep) <= 4096:
        too_deep = "nested more than 64 deep"
        assert read_hello(HELLO + deep, "grid") == SessionRefusal(Close.BAD_HELLO, too_deep)
        assert read_later(VIEW + deep) == SessionRefusal(Close.PROTOCOL, too_deep)
    assert read_hello(HELLO + shallow, "grid") == Hello()
    assert read_later(VIEW + shallow) == ViewportRequest(1, None)


def test_brackets_within_strings_are_no_nesting() -> None:
    assert not is_too_deep(json.dumps({"later": '[{"\\' * 500}))
    assert not is_too_deep(json.dumps([[]] * 500))
    assert is_too_deep("[" * (DEPTH_MAX + 1))
    assert not is_too_deep("[" * DEPTH_MAX)
    assert is_too_deep('"\\"' + '"' + "[" * 65)


# --- whole sessions -------------------------------------------------------------------------------------

HOSTILE_HELLOS = [
    {"view": [0, 0, 1e304, 1]},
    {"view": [-1e308, -1e308, 1e308, 1e308]},
    {"view": [5e-324, 5e-324, 1e-320, 1e-310]},
    {"cursor": f"{EPOCH}:9223372036854775807:9223372036854775807"},
    {"cursor": f"{EPOCH}:0:9223372036854775807"},
    {"cursor": f"{'f' * 32}:0:0"},
    {"cursor": "\u0661:\u0661:\u0661"},
    {"token": "\ud800"},
    {"token": "a.b.c", "later": "\x00\u2028\ud83d"},
]


@pytest.mark.parametrize("hello", HOSTILE_HELLOS)
def test_no_hello_ends_a_session_by_a_bug(harness: GatewayHarness, hello: dict[str, Any]) -> None:
    async def scenario() -> None:
        harness.fix(1)
        harness.batch()
        await harness.gateway()
        browser = harness.browse()
        browser.hello(**hello)
        await served_or_closed(browser)
        assert_no_bug(harness, browser)

    harness.run(scenario())


def test_no_message_after_hello_ends_a_session_by_a_bug(harness: GatewayHarness) -> None:
    dice = random.Random(5)

    async def scenario() -> None:
        harness.fix(1)
        harness.batch()
        await harness.gateway()
        for _ in range(150):
            browser = await harness.watch()
            for _ in range(3):
                browser.socket.send(hostile(dice))
            await served_or_closed(browser)
            assert_no_bug(harness, browser)
            browser.socket.close()

    harness.run(scenario())


async def served_or_closed(browser: Browser) -> None:
    """Two cuts after what was said, or the end."""
    for _ in range(2):
        while isinstance(message := await browser.next(), dict):
            pass
        if message is None:
            return


def assert_no_bug(harness: GatewayHarness, browser: Browser) -> None:
    assert browser.socket.closed is None or browser.socket.closed.code != Close.BUG
    assert not [line for line in harness.spy().said if "bug" in line]


def hostile(dice: random.Random) -> bytes | str:
    """A message with one thing wrong with it, or several."""
    numbers = ["1e304", "-1e308", "1e400", "9" * 400, "-0.0", "NaN", "1e-324", "0.5", "65536", "4294967296"]
    kinds = [*numbers, "null", "[]", '""', '"\\ud800"', "[" * 300 + "]" * 300, '{"a":' * 300 + "1"]

    def one() -> str:
        return dice.choice(kinds)

    box = f"[{one()},{one()},{one()},{one()}]"
    messages: list[bytes | str] = [
        f'{{"type":"view","generation":{dice.choice(["1", one()])},"bbox":{dice.choice([box, one()])}}}',
        f'{{"type":"mismatch","cursor":{one()},"own":[{one()},1],"received":[1,{one()}]}}',
        f'{{"type":"mismatch","cursor":"{"x" * dice.randrange(3_000)}","own":[1,1],"received":[1,1]}}',
        f'{{"type":{one()}}}',
        '{"type":"view","generation":1,"bbox":null,"later":' + one() + "}",
        dice.randbytes(dice.randrange(50)),
        dice.randbytes(50).decode("latin-1"),
        "\ufeff" + '{"type":"view","generation":1,"bbox":null}',
    ]
    return dice.choice(messages)
