# SPDX-License-Identifier: Apache-2.0
"""The stream with a picture of mere cells: who gets which frame, how sessions go on and end."""

import asyncio
import json
from typing import Any

import pytest

from gateway.stream.drain import drain
from gateway.stream.tokens import Grant, Keys, Role
from taxi.bus import Unavailable
from tests.unit.gateway.cells import CELLS, Theatre, Viewer

SECRET = "s" * 32


async def busy(theatre: Theatre) -> None:
    """Something is always written."""
    number = 0
    while True:
        number += 1
        theatre.cells.write(number * 7 % CELLS, number)
        await asyncio.sleep(0.03)


async def follow(viewer: Viewer, cuts: int) -> None:
    for _ in range(cuts):
        await viewer.frame()


def test_a_cut_is_encoded_once_for_everyone_who_stands_abreast() -> None:
    theatre = Theatre()

    async def story() -> None:
        viewers = [await theatre.watch() for _ in range(10)]
        theatre.cells.steps = theatre.cells.diffs = 0
        writing = theatre.loop.create_task(busy(theatre))
        await asyncio.gather(*(follow(viewer, 20) for viewer in viewers))
        assert theatre.cells.diffs == 0
        assert theatre.cells.steps <= 22
        writing.cancel()

    theatre.run(story())


def test_clients_of_one_view_share_and_those_of_another_do_not_hear_of_it() -> None:
    theatre = Theatre()

    async def story() -> None:
        left = [await theatre.watch(view=[0, 0, 4, 1]) for _ in range(3)]
        right = [await theatre.watch(view=[5, 0, 9, 1]) for _ in range(3)]
        theatre.cells.steps = theatre.cells.diffs = 0
        writing = theatre.loop.create_task(busy(theatre))
        await asyncio.gather(*(follow(viewer, 20) for viewer in left + right))
        assert theatre.cells.diffs == 0
        assert theatre.cells.steps <= 2 * 22
        assert set(left[0].rows) == {0, 1, 2, 3, 4}
        assert set(right[0].rows) == {5, 6, 7, 8, 9}
        writing.cancel()

    theatre.run(story())


def test_the_first_cut_of_a_new_view_is_a_diff_that_names_it() -> None:
    theatre = Theatre()

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        await asyncio.sleep(1)
        viewer = await theatre.watch(view=[0, 0, 4, 1])
        viewer.look(7, (3, 0, 8, 1))
        while not (frame := await viewer.frame())["generation"]:
            pass
        assert frame["generation"] == 7
        assert frame["from"] is not None
        assert {0, 1, 2} <= set(frame["gone"])
        await follow(viewer, 5)
        assert set(viewer.rows) == {3, 4, 5, 6, 7, 8}
        assert [said["type"] for said in viewer.said] == ["ready"]
        writing.cancel()

    theatre.run(story())


def test_rapid_panning_settles_on_the_last_view() -> None:
    theatre = Theatre()

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        viewer = await theatre.watch()
        for generation in range(1, 9):
            viewer.look(generation, (generation, 0, generation, 1))
        while not (frame := await viewer.frame())["generation"]:
            pass
        seen = [frame["generation"], *[(await viewer.frame())["generation"] for _ in range(10)]]
        assert [one for one in seen if one][-1] == 8
        assert len([one for one in seen if one]) <= 2
        assert viewer.area == (8, 8)
        writing.cancel()

    theatre.run(story())


def test_a_view_over_the_same_rows_is_named_all_the_same_also_while_the_log_stands_still() -> None:
    theatre = Theatre()

    async def story() -> None:
        viewer = await theatre.watch(view=[0, 0, 4, 1])
        viewer.look(3, (0.5, 0, 4.5, 1))
        while not (frame := await viewer.frame())["generation"]:
            pass
        assert (frame["generation"], frame["gone"], frame["set"]) == (3, [], [])

    theatre.run(story())


def test_a_mismatch_is_answered_with_a_reset_and_an_image_and_written_down() -> None:
    theatre = Theatre()

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        viewer = await theatre.watch()
        await follow(viewer, 3)
        viewer.complain()
        while (frame := await viewer.frame())["from"] is not None:
            pass
        assert [said["type"] for said in viewer.said] == ["ready", "reset", "ready"]
        assert viewer.said[1] == {"type": "reset", "reason": "mismatch"}
        assert viewer.said[2]["mode"] == "image"
        assert frame["from"] is None
        await follow(viewer, 3)
        [line] = [line for line in theatre.spy.said if "picture is wrong" in line]
        assert "00000001 00000002" in line
        assert "00000003 00000004" in line
        assert f"ab:{frame['to']}:0" not in line
        assert theatre.spy.counts["gateway_mismatches_total"] == 1
        assert theatre.spy.counts["gateway_resets_total mismatch"] == 1
        writing.cancel()

    theatre.run(story())


def test_a_mismatch_and_a_view_at_once_come_to_one_image_of_the_view() -> None:
    theatre = Theatre()

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        viewer = await theatre.watch()
        viewer.complain()
        viewer.look(2, (1, 0, 2, 1))
        viewer.complain()
        while not (frame := await viewer.frame())["generation"]:
            pass
        await follow(viewer, 3)
        assert frame["from"] is None
        assert viewer.area == (1, 2)
        assert [said["type"] for said in viewer.said].count("reset") == 1
        writing.cancel()

    theatre.run(story())


def test_who_stopped_reading_comes_back_to_the_view_it_asked_for_last() -> None:
    theatre = Theatre()

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        viewer = await theatre.watch()
        theatre.sockets.slow = 1.0
        viewer.socket._unread_bytes = 10**6  # as if a megabyte lay unread
        viewer.look(1, (1, 0, 2, 1))
        await asyncio.sleep(0.5)
        viewer.look(2, (3, 0, 4, 1))
        await asyncio.sleep(0.5)
        assert theatre.spy.counts["gateway_skipped_total"] >= 5
        viewer.socket._unread_bytes = 0
        while not (frame := await viewer.frame())["generation"]:
            pass
        assert frame["generation"] == 2
        writing.cancel()

    theatre.run(story())


@pytest.mark.parametrize("box", [[5, 0, 2, 1], [1, 2, 3], "all", [1, 2, 3, None]])
def test_a_view_that_is_none_is_an_error_in_hello_and_later(box: Any) -> None:
    theatre = Theatre()

    async def story() -> None:
        first = theatre.connect()
        first.socket.send(
            f'{{"type":"hello","v":1,"city":"cells","view":{box!r}}}'.replace("'", '"').replace(
                "None", "null"
            )
        )
        assert (await first.closed())[0] == 4400
        later = await theatre.watch()
        later.socket.send(
            f'{{"type":"view","generation":1,"bbox":{box!r}}}'.replace("'", '"').replace("None", "null")
        )
        assert (await later.closed())[0] == 4008

    theatre.run(story())


def test_who_says_too_much_is_closed_and_told_when_to_come_back() -> None:
    theatre = Theatre()

    async def story() -> None:
        viewer = await theatre.watch()
        for generation in range(1, 13):
            viewer.look(generation, None)
        code, reason = await viewer.closed()
        assert code == 4029
        assert 100 <= int(reason) <= 1500
        calm = await theatre.watch()
        for generation in range(1, 30):
            calm.look(generation, None)
            await asyncio.sleep(0.2)
        await calm.frame()

    theatre.run(story())


def test_one_address_may_not_take_all_seats() -> None:
    theatre = Theatre(address_clients_max=2)

    async def story() -> None:
        first, second = await theatre.watch(), await theatre.watch()
        assert (await theatre.connect().closed())[0] == 4029
        other = theatre.connect("elsewhere")
        other.hello()
        await other.frame()
        first.socket.close()
        await asyncio.sleep(1)
        await theatre.watch()
        await second.frame()

    theatre.run(story())


def test_no_frame_follows_an_expired_token() -> None:
    keys = Keys(SECRET)
    theatre = Theatre(keys=keys)

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        token = keys.mint(Grant(Role.VIEWER, theatre.now_ms() + 5_000), theatre.now_ms())
        viewer = await theatre.watch(token=token)
        assert await viewer.closed() == (4401, "the token has expired")
        assert viewer.frames
        assert 4.5 < viewer.at_s[-1] < 5.0
        writing.cancel()

    theatre.run(story())


def test_a_token_that_expires_while_its_client_is_held_is_noticed_too() -> None:
    keys = Keys(SECRET)
    theatre = Theatre(keys=keys)

    async def story() -> None:
        token = keys.mint(Grant(Role.VIEWER, theatre.now_ms() + 3_000), theatre.now_ms())
        ahead = theatre.connect()
        ahead.hello(token=token, cursor="ab:1000:0")
        assert await ahead.closed() == (4401, "the token has expired")

    theatre.run(story())


def test_a_clock_that_leaps_ends_what_has_expired_by_it() -> None:
    keys = Keys(SECRET)
    theatre = Theatre(keys=keys)

    async def story() -> None:
        token = keys.mint(Grant(Role.VIEWER, theatre.now_ms() + 3_600_000), theatre.now_ms())
        viewer = await theatre.watch(token=token)
        theatre.clock_ms = 3_600_000
        assert (await viewer.closed())[0] == 4401

    theatre.run(story())


def test_without_a_token_or_with_one_for_elsewhere_nobody_comes_in() -> None:
    keys = Keys(SECRET)
    theatre = Theatre(keys=keys)

    async def story() -> None:
        naked, foreign = theatre.connect(), theatre.connect()
        naked.hello()
        assert await naked.closed() == (4401, "a token is needed")
        expires_ms = theatre.now_ms() + 60_000
        foreign.hello(token=keys.mint(Grant(Role.OPERATOR, expires_ms, "atlantis"), theatre.now_ms()))
        assert (await foreign.closed())[0] == 4403
        at_home = keys.mint(Grant(Role.VIEWER, expires_ms, "cells"), theatre.now_ms())
        await theatre.watch(token=at_home)

    theatre.run(story())


def test_tokens_of_clients_long_gone_are_not_kept() -> None:
    keys = Keys(SECRET)
    theatre = Theatre(keys=keys)

    async def story() -> None:
        token = keys.mint(Grant(Role.VIEWER, theatre.now_ms() + 3_600_000), theatre.now_ms())
        for _ in range(1_500):
            viewer = await theatre.watch(token=token)
            viewer.socket.close()
        assert len(theatre.hub._expiries) < 1_100

    theatre.run(story())


def test_at_a_drain_everyone_is_told_first_at_the_rate_and_sees_cuts_until_it_has_left() -> None:
    theatre = Theatre(drain_per_s=10.0)

    async def story() -> None:
        writing = theatre.loop.create_task(busy(theatre))
        viewers = [await theatre.watch() for _ in range(20)]
        began_s = theatre.loop.now
        draining = theatre.loop.spawn(theatre.node, drain(theatre.hub, theatre.env))
        told_s = []

        async def leave(viewer: Viewer) -> None:
            while (message := await viewer.next()) != {"type": "drain", "within_ms": 1_500}:
                assert message is not None
            told_s.append(theatre.loop.now - began_s)
            await follow(viewer, 3)
            viewer.socket.close()

        await asyncio.gather(*(leave(viewer) for viewer in viewers))
        told_s.sort()
        assert 1.5 < told_s[-1] < 2.3
        for first_s in told_s:
            assert sum(first_s <= s < first_s + 0.5 for s in told_s) <= 5 + 1
        await draining
        assert theatre.loop.now - began_s < 3.0
        late = theatre.connect()
        code, reason = await late.closed()
        assert code == 4001
        assert int(reason) >= 100
        writing.cancel()

    theatre.run(story())


def test_what_a_drain_missed_it_does_not_make_up_for_in_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre = Theatre(drain_per_s=500.0, clients_max=300, address_clients_max=300)
    told_s: list[float] = []

    def told(**message: Any) -> str:
        told_s.append(theatre.loop.now)
        return json.dumps(message)

    monkeypatch.setattr("gateway.stream.drain.told", told)

    async def story() -> None:
        for _ in range(200):
            await theatre.watch()
        draining = theatre.loop.spawn(theatre.node, drain(theatre.hub, theatre.env))
        await asyncio.sleep(0.1)
        theatre.loop.freeze(theatre.node)
        await asyncio.sleep(0.15)
        theatre.loop.thaw(theatre.node)
        await draining

    theatre.run(story())
    assert len(told_s) == 200
    for first_s in told_s:
        assert sum(first_s <= at_s < first_s + 0.0999 for at_s in told_s) <= 50
    assert told_s[-1] - told_s[0] < 200 / 500 + 0.15 + 0.1, "and it does not dawdle"


def test_who_does_not_leave_at_a_drain_is_closed_after_its_grace() -> None:
    theatre = Theatre(drain_per_s=100.0)

    async def story() -> None:
        viewers = [await theatre.watch() for _ in range(5)]
        theatre.loop.spawn(theatre.node, drain(theatre.hub, theatre.env))
        ends = await asyncio.gather(*(viewer.closed() for viewer in viewers))
        assert {code for code, _ in ends} == {4001}
        assert len({reason for _, reason in ends}) > 1
        assert not theatre.hub.clients

    theatre.run(story())


def test_without_a_broker_a_client_ahead_is_held_and_then_sent_away() -> None:
    theatre = Theatre()

    async def nobody() -> Any:
        raise Unavailable("no broker")

    theatre.hub._ask_ends = nobody

    async def story() -> None:
        viewer = theatre.connect()
        viewer.hello(cursor="ab:1000:0")
        assert (await viewer.closed())[0] == 4001
        assert 10 <= theatre.loop.now < 11

    theatre.run(story())


def test_a_view_before_ready_has_no_place() -> None:
    theatre = Theatre()

    async def story() -> None:
        viewer = theatre.connect()
        viewer.hello(cursor="ab:1000:0")
        viewer.look(1, None)
        assert (await viewer.closed())[0] == 4010

    theatre.run(story())


def test_cuts_that_were_closed_unseen_are_made_up_for_by_a_diff() -> None:
    theatre = Theatre()

    async def story() -> None:
        viewer = await theatre.watch()
        for number in range(3):
            theatre.cells.write(number, number)
            theatre.cells.close()
        await asyncio.sleep(0.3)
        theatre.cells.write(5, 5)
        await follow(viewer, 2)
        assert viewer.rows == {0: 0, 1: 1, 2: 2, 5: 5}

    theatre.run(story())


def test_who_fell_out_of_the_window_begins_anew() -> None:
    theatre = Theatre()

    async def story() -> None:
        viewer = await theatre.watch()
        viewer.socket._unread_bytes = 10**6
        for number in range(500):
            theatre.cells.write(number % CELLS, number)
            await asyncio.sleep(0.02)
        viewer.socket._unread_bytes = 0
        while (await viewer.frame())["from"] is not None:
            pass
        assert {"type": "reset", "reason": "overflow"} in viewer.said

    theatre.run(story())
