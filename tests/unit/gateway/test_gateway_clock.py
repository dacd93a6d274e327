# SPDX-License-Identifier: Apache-2.0
"""A gateway whose positions have wrong times: of one record, or since the clock was set back."""

from functools import partial

from gateway.shell import CLOCK_SET_BACK
from gateway.updates.city_view import CityView
from taxi import messages as m
from taxi import topics
from testing.gateway_harness import Browser, GatewayHarness
from tests.unit.gateway.test_input_faults import codes, followed

HOUR_MS = 3_600_000
DRIVERS = range(1, 6)


def shown(harness: GatewayHarness, name: str = "gateway-1") -> CityView:
    city_view = harness.gateways[name][0].city_view
    assert city_view is not None
    return city_view


def everyone(harness: GatewayHarness, back_ms: int = 0) -> int:
    """A fix of each; the offset of the third."""
    offsets = [harness.fix_at(driver, harness.now_ms() - back_ms) for driver in DRIVERS]
    return offsets[2]


def begin(harness: GatewayHarness) -> None:
    harness.batch(*(partial(m.DriverCameOnline, driver=driver) for driver in DRIVERS))
    everyone(harness)


async def for_a_while(harness: GatewayHarness, browser: Browser, seconds: int, back_ms: int = 0) -> None:
    for _ in range(seconds):
        everyone(harness, back_ms)
        await followed(browser, 1.0)


def test_a_position_an_hour_ahead_moves_nothing_and_makes_no_row(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        begin(harness)
        await harness.gateway()
        browser = await harness.watch()
        await for_a_while(harness, browser, 3)
        harness.fix_at(77, harness.now_ms() + HOUR_MS - 1_000)
        await for_a_while(harness, browser, 3)
        assert set(browser.state.drivers) == set(DRIVERS)
        city_view = shown(harness)
        assert abs(city_view.cut_ms - harness.now_ms()) < 3_000

    harness.run(scenario())


def test_many_positions_with_times_of_their_own_are_a_fault(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        begin(harness)
        await harness.gateway()
        browser = await harness.watch()
        for _ in range(6):
            everyone(harness)
            harness.fix_at(77, harness.now_ms() + HOUR_MS)
            await followed(browser, 1.0)
        assert codes(browser)[-1] == ["positions_unbelieved"]

    harness.run(scenario())


def test_the_cut_waits_where_the_clock_was_set_back_and_goes_on_with_the_batch(
    harness: GatewayHarness,
) -> None:
    async def scenario() -> None:
        begin(harness)
        await harness.gateway()
        browser = await harness.watch()
        await for_a_while(harness, browser, 3)
        first = everyone(harness, HOUR_MS)
        before = browser.state.cursor
        await for_a_while(harness, browser, 5, HOUR_MS)
        assert browser.state.cursor is not None
        assert browser.state.cursor.loc == first
        assert "clock_set_back" in codes(browser)[-1]
        assert harness.spy().reason == CLOCK_SET_BACK
        harness.batch(partial(m.ClockSetBack, locations_from=first, shift_ms=HOUR_MS))
        await for_a_while(harness, browser, 3, HOUR_MS)
        assert browser.state.cursor.loc > first
        assert before is not None
        assert browser.state.cursor.epoch == before.epoch
        assert set(browser.state.drivers) == set(DRIVERS)
        assert "clock_set_back" not in codes(browser)[-1]
        assert harness.spy().reason is None

    harness.run(scenario())


def test_a_gateway_that_boots_after_the_clock_was_set_back_shows_the_same(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        begin(harness)
        await harness.gateway()
        browser = await harness.watch()
        await for_a_while(harness, browser, 10)
        first = everyone(harness, HOUR_MS)
        harness.batch(partial(m.ClockSetBack, locations_from=first, shift_ms=HOUR_MS))
        await for_a_while(harness, browser, 30, HOUR_MS)
        harness.snapshot()
        harness.batch()
        await for_a_while(harness, browser, 90, HOUR_MS)
        await harness.gateway("gateway-2")
        assert shown(harness, "gateway-2").begins.loc > first
        await for_a_while(harness, browser, 2, HOUR_MS)
        city_view, other = shown(harness), shown(harness, "gateway-2")
        assert (other.cursor, other.cut_ms) == (city_view.cursor, city_view.cut_ms)
        assert other.diff(None, None, None) == city_view.diff(None, None, None)
        assert other.drivers.total == len(DRIVERS)

    harness.run(scenario())


def test_a_gateway_that_boots_later_knows_a_row_whose_time_lies_ahead(harness: GatewayHarness) -> None:
    """A position 20 s ahead of those around it counts, so its row lives as much longer."""

    async def scenario() -> None:
        begin(harness)
        await harness.gateway("gateway-1", resume_ms=2_000)
        browser = await harness.watch()
        await for_a_while(harness, browser, 10)
        harness.fix_at(77, harness.now_ms() + 20_000)
        await for_a_while(harness, browser, 40)
        harness.snapshot()
        harness.batch()
        await for_a_while(harness, browser, 35)
        await harness.gateway("gateway-2", resume_ms=2_000)
        await for_a_while(harness, browser, 2)
        assert shown(harness, "gateway-2").begins.loc > 0
        assert 77 in browser.state.drivers
        assert shown(harness).drivers.total == shown(harness, "gateway-2").drivers.total

    harness.run(scenario())


def test_the_first_position_that_retention_left_does_not_say_what_time_it_is(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        begin(harness)
        await harness.gateway("gateway-1", resume_ms=100_000)
        browser = await harness.watch()
        await for_a_while(harness, browser, 10)
        wrong = harness.fix_at(77, harness.now_ms() + HOUR_MS)
        await for_a_while(harness, browser, 20)
        harness.snapshot()
        harness.batch()
        await for_a_while(harness, browser, 100)
        harness.broker.partition(topics.LOCATIONS, 0).delete_before(wrong)
        await harness.gateway("gateway-2", resume_ms=100_000)
        await harness.until(lambda: shown(harness, "gateway-2").begins.loc < wrong + 100)
        await for_a_while(harness, browser, 2)
        city_view, other = shown(harness), shown(harness, "gateway-2")
        assert (other.cursor, other.cut_ms) == (city_view.cursor, city_view.cut_ms)
        assert other.drivers.total == city_view.drivers.total

    harness.run(scenario())
