# SPDX-License-Identifier: Apache-2.0
"""What always holds: the sixteen rules of the stream, each shown on real gateways, each able to fail.

Every rule is a scenario that asserts it. It runs twice: as things are, and with a mistake planted that
breaks this rule, which it must notice.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

import gateway.stream.fanout
import gateway.stream.publisher
import gateway.stream.session_handler
import gateway.updates.drivers
import gateway.updates.feed
from gateway.access.tokens import Grant, Keys, Role
from gateway.stream.session import Serve, judge
from taxi import messages as m
from taxi.client.replica import GapError, HashMismatchError
from taxi.cursor import Cursor
from testing.gateway_harness import EPOCH, HERE, THERE, Browser
from testing.simulation import planted_gateway as planted
from testing.virtual_sockets import KERNEL_BYTES, Socket
from tests.protocol.stage import CORNER, EXPIRY_MS, Stage, request_viewport, until_seen

SECRET = "a secret of at least thirty-two bytes"
Scenario = Callable[[Stage], Coroutine[Any, Any, None]]


async def rule_01_the_rows_at_every_cut_are_those_of_the_log_within_the_view(stage: Stage) -> None:
    await stage.begun()
    with stage.traffic():
        await asyncio.sleep(1)
        whole, corner = await stage.harness.watch(), await stage.harness.watch(view=CORNER)
        for _ in range(25):
            await whole.cut()
            stage.hold_to_the_log(whole)
            await corner.cut()
            stage.hold_to_the_log(corner, CORNER)
        assert whole.state.lanes == whole.cuts[-1].hash
        assert len(corner.state.drivers) < len(whole.state.drivers)


async def rule_02_the_cursor_never_goes_back_across_gateways(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun("gateway-1", "gateway-2")
    with stage.traffic():
        browser = harness.browse()
        while browser.socket.peer != "gateway-1":
            browser = harness.browse()
        browser.hello()
        await browser.cut()
        harness.loop.freeze(harness.gateways["gateway-2"][2])
        for _ in range(10):
            await browser.cut()
        before = browser.state.cursor
        harness.kill("gateway-1")
        harness.loop.thaw(harness.gateways["gateway-2"][2])  # it is where it was frozen, far behind
        again = await stage.elsewhere(browser.state)
        assert before is not None
        for _ in range(10):
            assert again.state.cursor is not None
            assert before.reached_by(again.state.cursor), "the cursor went back"
            before = again.state.cursor
            await again.cut()


async def rule_03_the_fix_shown_of_a_driver_never_gets_older(stage: Stage) -> None:
    await stage.begun("gateway-1", "gateway-2")
    with stage.traffic():
        browser, newest = await stage.harness.watch(), dict[int, int]()
        for number in range(40):
            if number % 10 == 9:
                browser = await stage.elsewhere(browser.state)
            await browser.cut()
            for driver, row in browser.state.drivers.items():
                assert row.at_ms >= newest.get(driver, 0), "an older fix is shown"
                newest[driver] = row.at_ms


async def rule_04_each_feed_event_comes_once_in_order_without_a_gap(stage: Stage) -> None:
    await stage.begun("gateway-1", "gateway-2")
    with stage.traffic():
        browser = await stage.harness.watch()
        began, received = browser.cuts[0].ev, list[int]()
        for number in range(30):
            if number % 7 == 6:
                browser.socket.close()
                browser = await stage.elsewhere(browser.state)
                received += [offset for cut in browser.cuts for offset, *_ in cut.feed]
            received += [offset for offset, *_ in (await browser.cut()).feed]
        assert browser.state.cursor is not None
        assert received == stage.feed_offsets(began, browser.state.cursor.ev), "the feed differs from the log"
        assert len(received) > 20


async def rule_05_only_superseded_fixes_are_skipped_and_the_newest_arrives(stage: Stage) -> None:
    await stage.begun()
    with stage.traffic(drivers=60):
        slow, quick = await stage.harness.watch(), await stage.harness.watch()
        while stage.harness.spy().counts.get("gateway_skipped_total", 0) < 20:
            await quick.cut()
        stage.harness.fix(999, THERE)  # seen once, while the slow one does not read
        while stage.harness.spy().counts["gateway_skipped_total"] < 60:
            await quick.cut()
    for browser in (slow, quick):
        while browser.state.cursor != stage.harness.end:
            await browser.cut()
        stage.hold_to_the_log(browser)
    assert len(slow.cuts) < len(quick.cuts) / 2


async def rule_06_when_input_stops_everyone_reaches_one_hash_within_two_seconds(stage: Stage) -> None:
    await stage.begun("gateway-1", "gateway-2")
    with stage.traffic(drivers=60):
        browsers = [await stage.harness.watch() for _ in range(4)]
        stopped = browsers.pop()
        reading = [stage.harness.loop.create_task(read(browser)) for browser in browsers]
        await asyncio.sleep(5)
    for task in reading:
        task.cancel()
    stopped_s = stage.harness.loop.now
    for browser in (*browsers, stopped):
        with in_time("no cut within two seconds"):
            while browser.state.cursor != stage.harness.end:
                await browser.cut(within_s=2)
    assert stage.harness.loop.now - stopped_s <= 2
    assert len({browser.state.lanes for browser in (*browsers, stopped)}) == 1


async def rule_07_an_image_is_whole_nothing_after_it_is_lost_no_cut_halves_a_batch(stage: Stage) -> None:
    stage.harness.broker.harshness.cut_fetches = 1.0
    await stage.begun()
    drivers = itertools.count(1_000)
    with stage.traffic(drivers=20):
        for _ in range(8):
            browser = await stage.harness.watch()
            assert browser.cuts[0].is_image
            for _ in range(5):
                stage.harness.batch(
                    *(partial(m.DriverCameOnline, driver=driver) for driver in itertools.islice(drivers, 8))
                )
                cut = await browser.cut()
                assert (cut.loc_before, cut.ev_before) == (browser.cuts[-2].loc, browser.cuts[-2].ev)
                assert cut.ev in stage.events().boundaries, "a cut inside a batch"
                stage.hold_to_the_log(browser)
            browser.socket.close()


async def rule_08_epoch_and_offsets_travel_as_one(stage: Stage) -> None:
    await stage.begun()
    first = (await stage.harness.watch()).state
    for torn in ("", EPOCH, f"{EPOCH}:1", f":{first.cursor and first.cursor.loc}:1"):
        with pytest.raises(ValueError, match="epoch:loc:ev"):
            Cursor.parse(torn)
    stage.harness.batch(epoch="fedcba9876543210")
    await stage.harness.until(lambda: stage.harness.spy().counts.get("gateway_rebuilds_total", 0) > 0)
    await stage.harness.until(lambda: stage.harness.spy().reason is None)
    again = await stage.elsewhere(first)
    assert again.cuts[0].is_image
    assert again.state.cursor is not None
    assert (again.state.cursor.epoch, again.said[0]["reason"]) == ("fedcba9876543210", "epoch")


async def rule_09_every_odd_cursor_has_its_outcome_within_ten_seconds(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun()
    with stage.traffic():
        old = (await harness.watch()).state
        await asyncio.sleep(130)
        assert old.cursor is not None
        outcomes = {
            str(old.cursor): "expired",
            str(Cursor("feedfeedfeedfeed", 1, 1)): "epoch",
            str(old.cursor._replace(ev=10**9)): "ahead",
            str(old.cursor._replace(loc=10**9)): "ahead",
        }
        for cursor, reason in outcomes.items():
            asked_s, browser = harness.loop.now, harness.browse()
            browser.hello(cursor=cursor)
            await browser.cut()
            assert [said.get("reason") for said in browser.said] == [reason, reason]
            assert harness.loop.now - asked_s < 10
        unknown = harness.browse()
        unknown.hello(cursor="nonsense")
        assert (await unknown.closed())[0] == 4400
    harness.broker.harshness.down = True  # within the log, for all this gateway can know
    pending, asked_s = harness.browse(), harness.loop.now
    pending.hello(cursor=str(Cursor(EPOCH, harness.end.loc + 1, harness.end.ev)))
    assert (await pending.closed())[0] == 4001
    assert harness.loop.now - asked_s < 10.5


async def rule_10_a_session_that_saw_no_event_resumes_as_well_as_any_other(stage: Stage) -> None:
    await stage.begun("gateway-1", "gateway-2")
    browser = await stage.harness.watch()
    assert browser.state.cursor is not None
    assert browser.state.cursor.loc == 0  # nothing has ever happened
    stage.harness.fix(1)
    again = await stage.elsewhere(browser.state)
    assert again.said[0]["mode"] == "resume", "no resume"
    assert not again.cuts[0].is_image
    while again.state.cursor != stage.harness.end:
        await again.cut()
    stage.hold_to_the_log(again)


async def rule_11_who_leaves_the_view_or_the_city_is_removed_and_no_ghost_stays(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun()
    harness.fix(1, HERE)
    harness.fix(2, HERE)
    corner, whole = await harness.watch(view=CORNER), await harness.watch()
    while set(corner.state.drivers) != {1, 2}:
        await corner.cut()
    harness.fix(1, THERE)
    left_s = harness.loop.now
    while 1 in corner.state.drivers:
        await corner.cut()
    assert harness.loop.now - left_s < 1
    while set(whole.state.drivers) != {1, 2}:
        await whole.cut()
    gone_s = harness.loop.now
    while {1, 2} & set(whole.state.drivers):
        harness.fix(3, THERE)  # log time goes on
        await whole.cut()
        assert harness.loop.now - gone_s < EXPIRY_MS / 1000 + 1, "a row outlived its time"
    stage.hold_to_the_log(whole)


async def rule_12_a_new_view_begins_with_a_diff_and_the_last_one_asked_for_holds(stage: Stage) -> None:
    await stage.begun()
    with stage.traffic():
        await asyncio.sleep(2)
        browser = await stage.harness.watch()
        await browser.cut()
        request_viewport(browser, 1, CORNER)
        cut = await until_seen(browser, 1)
        assert not cut.is_image
        stage.hold_to_the_log(browser, CORNER)
        opposite = [THERE[0], THERE[1], THERE[0], THERE[1]]
        for generation, box in enumerate((None, CORNER, opposite, CORNER, None, opposite), start=2):
            request_viewport(browser, generation, box)
        before = len(browser.cuts)
        with in_time("the last view does not come"):
            await until_seen(browser, 7)
        assert sum(bool(cut.generation) for cut in browser.cuts[before:]) <= 2
        for _ in range(10):
            stage.hold_to_the_log(browser, opposite)
            assert (await browser.cut()).generation == 0


async def rule_13_a_reader_that_stops_costs_bounded_bytes_and_affects_no_other(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun()
    with stage.traffic(drivers=60):
        dead, quick = await harness.watch(), await harness.watch()
        began_s, frame = harness.loop.now, 0
        while harness.loop.now < began_s + 20:
            seen_s = harness.loop.now
            await quick.cut()
            frame = max(frame, quick.socket._unread_bytes, 4_000)
            assert harness.loop.now - seen_s < 1
            assert dead.socket._unread_bytes <= KERNEL_BYTES + frame, "bytes pile up"


async def rule_14_a_cursor_is_never_ahead_of_what_was_sent(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun()
    hub = harness.gateways["gateway-1"][0].hub
    with stage.traffic(drivers=60):
        slow, quick = await harness.watch(), await harness.watch()
        reached = slow.state.cursor
        while harness.spy().counts.get("gateway_skipped_total", 0) < 20:
            await quick.cut()
        [client] = [client for client in hub.clients.values() if client.group is None]
        noted = client.session.cursor
        while slow.socket._unread_bytes:
            cut = await slow.cut()
            reached = Cursor(EPOCH, cut.loc, cut.ev)
            if not slow.socket._inbox.qsize():
                break
        assert noted is not None
        assert reached is not None
        assert noted.reached_by(reached), "a cursor ahead of what was sent"


async def rule_15_no_frame_follows_an_expired_token(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun(token_secret=SECRET)
    with stage.traffic():
        expires_ms = harness.now_ms() // 1000 * 1000 + 5_000
        token = Keys(SECRET).mint(Grant(Role.VIEWER, expires_ms), harness.now_ms())
        sent_ms: list[int] = []
        harness.sockets.watch = lambda _, message: (
            sent_ms.append(harness.now_ms()) if isinstance(message, bytes) else None
        )
        browser = await harness.watch(token=token)
        with in_time("frames go on after the token's end"):
            async with asyncio.timeout(20):
                assert (await browser.closed())[0] == 4401
        assert sent_ms
        assert sent_ms[-1] < expires_ms


async def rule_16_after_a_drain_clients_come_back_at_no_more_than_the_rate(stage: Stage) -> None:
    harness = stage.harness
    await stage.begun("gateway-1", drain_per_s=4)
    browsers = [await harness.watch() for _ in range(12)]
    await harness.gateway("gateway-2")
    harness.tasks["gateway-1"].cancel()
    came_s: list[float] = []

    async def leave(browser: Browser) -> None:
        while (message := await browser.next()) is not None:
            if isinstance(message, dict) and message["type"] == "drain":
                break
        assert message is not None, "closed without a word"
        came_s.append(harness.loop.now)
        again = await stage.elsewhere(browser.state)
        assert again.said[0] | {"gateway": "gateway-2", "mode": "resume"} == again.said[0]
        assert browser.socket.closed is None, "a dark moment"
        browser.socket.close()

    await asyncio.gather(*(leave(browser) for browser in browsers))
    for first_s in came_s:
        assert sum(first_s <= at_s < first_s + 1 for at_s in came_s) <= 4 + 1, "more than the rate"
    await harness.until(harness.tasks["gateway-1"].done)


@contextmanager
def in_time(otherwise: str) -> Iterator[None]:
    """Say what did not come if it does not come in time."""
    try:
        yield
    except TimeoutError:
        raise AssertionError(otherwise) from None


async def read(browser: Browser) -> None:
    """For ever."""
    while True:
        await browser.cut()


# --- the mistakes ----------------------------------------------------------------------------------------


def judged(otherwise: Callable[..., Serve | None]) -> AbstractContextManager[object]:
    return patch.object(gateway.stream.publisher, "judge", partial(otherwise, judge))


def image_for_who_is_ahead(real: Any, cursor: Any, now: Any, **rest: Any) -> Serve | None:
    return real(cursor, now, **rest) or Serve(None, "ahead")


def any_epoch_will_do(real: Any, cursor: Any, now: Any, **rest: Any) -> Any:
    return real(cursor and cursor._replace(epoch=now.epoch), now, **rest | {"in_window": True})


def nothing_is_no_cursor(real: Any, cursor: Any, now: Any, **rest: Any) -> Any:
    return real(cursor if cursor and cursor.loc else None, now, **rest)


@contextmanager
def events_sent_again() -> Iterator[None]:
    after = gateway.updates.feed.Feed.after
    with patch.object(gateway.updates.feed.Feed, "after", lambda self, ev: after(self, max(0, ev - 3))):
        yield


@contextmanager
def a_diff_of_the_last_cut_alone() -> Iterator[None]:
    changes, close = gateway.updates.drivers.DriverTable.changes, gateway.updates.drivers.DriverTable.close
    at = [0]

    def note(self: Any, cursor: Cursor, *rest: Any) -> None:
        at[0] = cursor.loc
        close(self, cursor, *rest)

    def short(self: Any, since: Cursor, *areas: Any) -> Any:
        return changes(self, since._replace(loc=max(since.loc, at[0] - 60)), *areas)

    with (
        patch.object(gateway.updates.drivers.DriverTable, "close", note),
        patch.object(gateway.updates.drivers.DriverTable, "changes", short),
    ):
        yield


@contextmanager
def rows_outlive_their_time() -> Iterator[None]:
    init = gateway.updates.drivers.DriverTable.__init__

    def patient(self: Any, grid: Any, *, expiry_ms: int, memory_ms: int) -> None:
        init(self, grid, expiry_ms=2 * expiry_ms, memory_ms=memory_ms)

    with patch.object(gateway.updates.drivers.DriverTable, "__init__", patient):
        yield


def no_reader_is_slow() -> AbstractContextManager[object]:
    return patch.object(Socket, "backlog", lambda _: 0)


def the_slow_are_forgotten() -> AbstractContextManager[object]:
    return patch.object(gateway.stream.publisher.Publisher, "catch_up", lambda *_: None)


def the_future_is_not_looked_up() -> AbstractContextManager[object]:
    async def nothing(*_: Any) -> None:
        """Pending, whatever the log says."""

    return patch.object(gateway.stream.session_handler.SessionHandler, "compare_with_log", nothing)


@contextmanager
def cursors_move_on_without_frames() -> Iterator[None]:
    blocked = gateway.stream.fanout.Fanout.set_blocked

    def ahead(self: Any, client: Any, now_s: float) -> None:
        blocked(self, client, now_s)
        client.session.cursor = self.cursor and self.cursor._replace(loc=self.cursor.loc + 10**6)

    def idle(self: Any, client: Any, *_: Any) -> None:
        self._env.metrics.count("gateway_skipped_total")

    with (
        patch.object(gateway.stream.fanout.Fanout, "set_blocked", ahead),
        patch.object(gateway.stream.publisher.Publisher, "catch_up", idle),
    ):
        yield


class Mistake(NamedTuple):
    """A mistake that breaks a rule, and how the rule's scenario notices it."""

    plant: Callable[[], AbstractContextManager[object]]
    says: str
    """The beginning of the error's message."""
    error: type[Exception] = AssertionError


RULES: dict[Scenario, Mistake] = {
    rule_01_the_rows_at_every_cut_are_those_of_the_log_within_the_view: Mistake(
        planted.yesterdays_fixes_count, "other drivers than the log has"
    ),
    rule_02_the_cursor_never_goes_back_across_gateways: Mistake(
        partial(judged, image_for_who_is_ahead), "the cursor went back"
    ),
    rule_03_the_fix_shown_of_a_driver_never_gets_older: Mistake(
        planted.the_last_fix_wins, "an older fix is shown"
    ),
    rule_04_each_feed_event_comes_once_in_order_without_a_gap: Mistake(
        events_sent_again, "the feed differs from the log"
    ),
    rule_05_only_superseded_fixes_are_skipped_and_the_newest_arrives: Mistake(
        a_diff_of_the_last_cut_alone, "counts or hash differ", HashMismatchError
    ),
    rule_06_when_input_stops_everyone_reaches_one_hash_within_two_seconds: Mistake(
        the_slow_are_forgotten, "no cut within two seconds"
    ),
    rule_07_an_image_is_whole_nothing_after_it_is_lost_no_cut_halves_a_batch: Mistake(
        planted.half_a_batch_applied, "a cut inside a batch"
    ),
    rule_08_epoch_and_offsets_travel_as_one: Mistake(
        partial(judged, any_epoch_will_do), "an update from", GapError
    ),
    rule_09_every_odd_cursor_has_its_outcome_within_ten_seconds: Mistake(
        the_future_is_not_looked_up, r"closed: Closed\(code=<Close.AWAY"
    ),
    rule_10_a_session_that_saw_no_event_resumes_as_well_as_any_other: Mistake(
        partial(judged, nothing_is_no_cursor), "no resume"
    ),
    rule_11_who_leaves_the_view_or_the_city_is_removed_and_no_ghost_stays: Mistake(
        rows_outlive_their_time, "a row outlived its time"
    ),
    rule_12_a_new_view_begins_with_a_diff_and_the_last_one_asked_for_holds: Mistake(
        planted.the_first_wish_holds, "the last view does not come"
    ),
    rule_13_a_reader_that_stops_costs_bounded_bytes_and_affects_no_other: Mistake(
        no_reader_is_slow, "bytes pile up"
    ),
    rule_14_a_cursor_is_never_ahead_of_what_was_sent: Mistake(
        cursors_move_on_without_frames, "a cursor ahead of what was sent"
    ),
    rule_15_no_frame_follows_an_expired_token: Mistake(
        planted.tokens_read_once, "frames go on after the token's end"
    ),
    rule_16_after_a_drain_clients_come_back_at_no_more_than_the_rate: Mistake(
        planted.everyone_leaves_at_once, "more than the rate"
    ),
}


def play(rule: Scenario) -> None:
    """The story of a rule, from a new world to its end."""
    stage = Stage()
    try:
        stage.harness.run(rule(stage))
    finally:
        for _, _, node in stage.harness.gateways.values():
            stage.harness.loop.kill(node)
        stage.harness.loop.shut_down()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_always_holds(rule: Scenario) -> None:
    play(rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_mistake_that_breaks_it_is_noticed(rule: Scenario) -> None:
    mistake = RULES[rule]
    with mistake.plant(), pytest.raises(mistake.error, match=f"^{mistake.says}"):
        play(rule)


def test_there_are_sixteen() -> None:
    numbers = [int(rule.__name__.split("_")[1]) for rule in RULES]
    assert numbers == list(range(1, 17))
