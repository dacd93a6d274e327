# SPDX-License-Identifier: Apache-2.0
"""The stream with a picture of mere cells: who gets which frame, how sessions go on and end."""

import asyncio
import json
from typing import Any

import pytest

from gateway.access.tokens import Grant, Keys, Role
from gateway.stream.delta_source import ScenarioNotice
from gateway.stream.drain import drain
from gateway.stream.session import LogOffsets
from taxi.bus import Unavailable
from taxi.city_time import Period
from testing.gateway_cells import CELLS, Harness, Viewer

SECRET = "s" * 32


async def busy(harness: Harness) -> None:
    """Something is always written."""
    number = 0
    while True:
        number += 1
        harness.cells.write(number * 7 % CELLS, number)
        await asyncio.sleep(0.03)


async def follow(viewer: Viewer, cuts: int) -> None:
    for _ in range(cuts):
        await viewer.frame()


def test_a_cut_is_encoded_once_for_all_clients_in_sync() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewers = [await harness.watch() for _ in range(10)]
        harness.cells.steps = harness.cells.diffs = 0
        writing = harness.loop.create_task(busy(harness))
        await asyncio.gather(*(follow(viewer, 20) for viewer in viewers))
        assert harness.cells.diffs == 0
        assert harness.cells.steps <= 22
        writing.cancel()

    harness.run(scenario())


def test_clients_of_one_view_share_and_those_of_another_do_not_hear_of_it() -> None:
    harness = Harness()

    async def scenario() -> None:
        left = [await harness.watch(view=[0, 0, 4, 1]) for _ in range(3)]
        right = [await harness.watch(view=[5, 0, 9, 1]) for _ in range(3)]
        harness.cells.steps = harness.cells.diffs = 0
        writing = harness.loop.create_task(busy(harness))
        await asyncio.gather(*(follow(viewer, 20) for viewer in left + right))
        assert harness.cells.diffs == 0
        assert harness.cells.steps <= 2 * 22
        assert set(left[0].rows) == {0, 1, 2, 3, 4}
        assert set(right[0].rows) == {5, 6, 7, 8, 9}
        writing.cancel()

    harness.run(scenario())


def test_the_first_cut_of_a_new_view_is_a_diff_that_names_it() -> None:
    harness = Harness()

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        await asyncio.sleep(1)
        viewer = await harness.watch(view=[0, 0, 4, 1])
        viewer.request_viewport(7, (3, 0, 8, 1))
        while not (frame := await viewer.frame())["generation"]:
            pass
        assert frame["generation"] == 7
        assert frame["from"] is not None
        assert {0, 1, 2} <= set(frame["gone"])
        await follow(viewer, 5)
        assert set(viewer.rows) == {3, 4, 5, 6, 7, 8}
        assert [said["type"] for said in viewer.said] == ["ready"]
        writing.cancel()

    harness.run(scenario())


def test_rapid_panning_settles_on_the_last_view() -> None:
    harness = Harness()

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        viewer = await harness.watch()
        for generation in range(1, 9):
            viewer.request_viewport(generation, (generation, 0, generation, 1))
        while not (frame := await viewer.frame())["generation"]:
            pass
        seen = [frame["generation"], *[(await viewer.frame())["generation"] for _ in range(10)]]
        assert [one for one in seen if one][-1] == 8
        assert len([one for one in seen if one]) <= 2
        assert viewer.area == (8, 8)
        writing.cancel()

    harness.run(scenario())


def test_a_view_over_the_same_rows_is_named_all_the_same_also_while_the_log_does_not_move() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch(view=[0, 0, 4, 1])
        viewer.request_viewport(3, (0.5, 0, 4.5, 1))
        while not (frame := await viewer.frame())["generation"]:
            pass
        assert (frame["generation"], frame["gone"], frame["set"]) == (3, [], [])

    harness.run(scenario())


def test_a_mismatch_is_answered_with_a_reset_and_an_image_and_written_down() -> None:
    harness = Harness()

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        viewer = await harness.watch()
        await follow(viewer, 3)
        viewer.complain()
        while (frame := await viewer.frame())["from"] is not None:
            pass
        assert [said["type"] for said in viewer.said] == ["ready", "reset", "ready"]
        assert viewer.said[1] == {"type": "reset", "reason": "mismatch"}
        assert viewer.said[2]["mode"] == "image"
        assert frame["from"] is None
        await follow(viewer, 3)
        [line] = [line for line in harness.spy.said if "picture is wrong" in line]
        assert "00000001 00000002" in line
        assert "00000003 00000004" in line
        assert f"ab:{frame['to']}:0" not in line
        assert harness.spy.counts["gateway_mismatches_total"] == 1
        assert harness.spy.counts["gateway_resets_total mismatch"] == 1
        writing.cancel()

    harness.run(scenario())


def test_clients_cannot_fill_the_log_with_mismatches_nor_write_what_they_like() -> None:
    harness = Harness()

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        for _ in range(60):
            viewer = await harness.watch()
            said = {"type": "mismatch", "cursor": "\x1b[2J\n" * 250, "own": [1, 2], "received": [3, 4]}
            viewer.socket.send(json.dumps(said))
            await follow(viewer, 2)
            viewer.socket.close()
        lines = [line for line in harness.spy.said if "picture is wrong" in line]
        assert 20 <= len(lines) < 60
        assert not any(hidden in "".join(lines) for hidden in "\x1b\n")
        assert max(map(len, lines)) < 500
        assert harness.spy.counts["gateway_mismatches_total"] == 60
        writing.cancel()

    harness.run(scenario())


def test_a_mismatch_and_a_view_at_once_come_to_one_image_of_the_view() -> None:
    harness = Harness()

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        viewer = await harness.watch()
        viewer.complain()
        viewer.request_viewport(2, (1, 0, 2, 1))
        viewer.complain()
        while not (frame := await viewer.frame())["generation"]:
            pass
        await follow(viewer, 3)
        assert frame["from"] is None
        assert viewer.area == (1, 2)
        assert [said["type"] for said in viewer.said].count("reset") == 1
        writing.cancel()

    harness.run(scenario())


def test_who_stopped_reading_comes_back_to_the_view_it_asked_for_last() -> None:
    harness = Harness()

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        viewer = await harness.watch()
        harness.sockets.slow = 1.0
        viewer.socket._unread_bytes = 10**6  # as if a megabyte lay unread
        viewer.request_viewport(1, (1, 0, 2, 1))
        await asyncio.sleep(0.5)
        viewer.request_viewport(2, (3, 0, 4, 1))
        await asyncio.sleep(0.5)
        assert harness.spy.counts["gateway_skipped_total"] >= 5
        viewer.socket._unread_bytes = 0
        while not (frame := await viewer.frame())["generation"]:
            pass
        assert frame["generation"] == 2
        writing.cancel()

    harness.run(scenario())


@pytest.mark.parametrize("box", [[5, 0, 2, 1], [1, 2, 3], "all", [1, 2, 3, None]])
def test_a_view_that_is_none_is_an_error_in_hello_and_later(box: Any) -> None:
    harness = Harness()

    async def scenario() -> None:
        first = harness.connect()
        first.socket.send(
            f'{{"type":"hello","v":1,"city":"cells","view":{box!r}}}'.replace("'", '"').replace(
                "None", "null"
            )
        )
        assert (await first.closed())[0] == 4400
        later = await harness.watch()
        later.socket.send(
            f'{{"type":"view","generation":1,"bbox":{box!r}}}'.replace("'", '"').replace("None", "null")
        )
        assert (await later.closed())[0] == 4008

    harness.run(scenario())


def test_a_client_that_sends_too_much_is_closed_with_the_time_to_come_back() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch()
        for generation in range(1, 23):
            viewer.request_viewport(generation, None)
        code, reason = await viewer.closed()
        assert code == 4029
        assert 100 <= int(reason) <= 1500
        calm = await harness.watch()
        for generation in range(1, 30):
            calm.request_viewport(generation, None)
            await asyncio.sleep(0.2)
        await calm.frame()

    harness.run(scenario())


def test_one_address_may_not_take_all_seats() -> None:
    harness = Harness(address_clients_max=2)

    async def scenario() -> None:
        first, second = await harness.watch(), await harness.watch()
        assert (await harness.connect().closed())[0] == 4029
        other = harness.connect("elsewhere")
        other.hello()
        await other.frame()
        first.socket.close()
        await asyncio.sleep(1)
        await harness.watch()
        await second.frame()

    harness.run(scenario())


def test_no_frame_follows_an_expired_token() -> None:
    keys = Keys(SECRET)
    harness = Harness(keys=keys)

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        token = keys.mint(Grant(Role.VIEWER, harness.now_ms() + 5_000), harness.now_ms())
        viewer = await harness.watch(token=token)
        assert await viewer.closed() == (4401, "the token has expired")
        assert viewer.frames
        assert 4.5 < viewer.at_s[-1] < 5.0
        writing.cancel()

    harness.run(scenario())


def test_a_token_that_expires_while_its_client_is_pending_is_noticed_too() -> None:
    keys = Keys(SECRET)
    harness = Harness(keys=keys)

    async def scenario() -> None:
        token = keys.mint(Grant(Role.VIEWER, harness.now_ms() + 3_000), harness.now_ms())
        ahead = harness.connect()
        ahead.hello(token=token, cursor="ab:1000:0")
        assert await ahead.closed() == (4401, "the token has expired")

    harness.run(scenario())


def test_a_clock_that_leaps_ends_what_has_expired_by_it() -> None:
    keys = Keys(SECRET)
    harness = Harness(keys=keys)

    async def scenario() -> None:
        token = keys.mint(Grant(Role.VIEWER, harness.now_ms() + 3_600_000), harness.now_ms())
        viewer = await harness.watch(token=token)
        harness.clock_ms = 3_600_000
        assert (await viewer.closed())[0] == 4401

    harness.run(scenario())


def test_without_a_token_or_with_one_for_elsewhere_no_client_comes_in() -> None:
    keys = Keys(SECRET)
    harness = Harness(keys=keys)

    async def scenario() -> None:
        naked, foreign = harness.connect(), harness.connect()
        naked.hello()
        assert await naked.closed() == (4401, "a token is needed")
        expires_ms = harness.now_ms() + 60_000
        foreign.hello(token=keys.mint(Grant(Role.OPERATOR, expires_ms, "atlantis"), harness.now_ms()))
        assert (await foreign.closed())[0] == 4403
        at_home = keys.mint(Grant(Role.VIEWER, expires_ms, "cells"), harness.now_ms())
        await harness.watch(token=at_home)

    harness.run(scenario())


def test_tokens_of_clients_long_gone_are_not_kept() -> None:
    keys = Keys(SECRET)
    harness = Harness(keys=keys)

    async def scenario() -> None:
        token = keys.mint(Grant(Role.VIEWER, harness.now_ms() + 3_600_000), harness.now_ms())
        for _ in range(1_500):
            viewer = await harness.watch(token=token)
            viewer.socket.close()
        assert harness.hub.admission.deadlines < 1_100

    harness.run(scenario())


def test_at_a_drain_every_client_is_notified_at_the_rate_and_sees_cuts_until_it_has_left() -> None:
    harness = Harness(drain_per_s=10.0)

    async def scenario() -> None:
        writing = harness.loop.create_task(busy(harness))
        viewers = [await harness.watch() for _ in range(20)]
        began_s = harness.loop.now
        draining = harness.loop.spawn(harness.node, drain(harness.hub, harness.env))
        drained_s = []

        async def leave(viewer: Viewer) -> None:
            while (message := await viewer.next()) != {"type": "drain", "within_ms": 1_500}:
                assert message is not None
            drained_s.append(harness.loop.now - began_s)
            await follow(viewer, 3)
            viewer.socket.close()

        await asyncio.gather(*(leave(viewer) for viewer in viewers))
        drained_s.sort()
        assert 1.5 < drained_s[-1] < 2.3
        for first_s in drained_s:
            assert sum(first_s <= s < first_s + 0.5 for s in drained_s) <= 5 + 1
        await draining
        assert harness.loop.now - began_s < 3.0
        late = harness.connect()
        code, reason = await late.closed()
        assert code == 4001
        assert int(reason) >= 100
        writing.cancel()

    harness.run(scenario())


def test_what_a_drain_missed_it_does_not_make_up_for_in_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness(drain_per_s=500.0, clients_max=300, address_clients_max=300)
    drained_s: list[float] = []

    def encode_message(**message: Any) -> str:
        drained_s.append(harness.loop.now)
        return json.dumps(message)

    monkeypatch.setattr("gateway.stream.drain.encode_message", encode_message)

    async def scenario() -> None:
        for _ in range(200):
            await harness.watch()
        draining = harness.loop.spawn(harness.node, drain(harness.hub, harness.env))
        await asyncio.sleep(0.1)
        harness.loop.freeze(harness.node)
        await asyncio.sleep(0.15)
        harness.loop.thaw(harness.node)
        await draining

    harness.run(scenario())
    assert len(drained_s) == 200
    for first_s in drained_s:
        assert sum(first_s <= at_s < first_s + 0.0999 for at_s in drained_s) <= 50
    assert drained_s[-1] - drained_s[0] < 200 / 500 + 0.15 + 0.1, "and it does not dawdle"


def test_who_does_not_leave_at_a_drain_is_closed_after_its_grace() -> None:
    harness = Harness(drain_per_s=100.0)

    async def scenario() -> None:
        viewers = [await harness.watch() for _ in range(5)]
        harness.loop.spawn(harness.node, drain(harness.hub, harness.env))
        ends = await asyncio.gather(*(viewer.closed() for viewer in viewers))
        assert {code for code, _ in ends} == {4001}
        assert len({reason for _, reason in ends}) > 1
        assert not harness.hub.clients

    harness.run(scenario())


def test_without_a_broker_a_client_ahead_is_pending_and_then_sent_away() -> None:
    harness = Harness()

    async def no_answer() -> Any:
        raise Unavailable("no broker")

    harness.ask_ends = no_answer

    async def scenario() -> None:
        viewer = harness.connect()
        viewer.hello(cursor="ab:1000:0")
        assert (await viewer.closed())[0] == 4001
        assert 10 <= harness.loop.now < 11

    harness.run(scenario())


def test_a_client_ahead_of_the_log_is_answered_as_soon_as_the_broker_answers_again() -> None:
    harness = Harness()
    answers = iter([Unavailable("no broker"), None, Unavailable("no broker"), LogOffsets(5, 0)])

    async def slowly() -> LogOffsets:
        answer = next(answers)
        if isinstance(answer, Unavailable):
            raise answer
        if answer is None:
            await asyncio.sleep(3)
            raise Unavailable("no answer in time")
        return answer

    harness.ask_ends = slowly

    async def scenario() -> None:
        viewer = harness.connect()
        viewer.hello(cursor="ab:1000:0")
        await viewer.frame()
        assert [said["type"] for said in viewer.said if said["type"] != "pending"] == ["reset", "ready"]
        assert viewer.said[-1]["reason"] == "ahead"
        assert harness.loop.now < 6

    harness.run(scenario())


def test_a_view_before_ready_has_no_place() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = harness.connect()
        viewer.hello(cursor="ab:1000:0")
        viewer.request_viewport(1, None)
        assert (await viewer.closed())[0] == 4010

    harness.run(scenario())


def test_cuts_that_were_closed_unseen_are_made_up_for_by_a_diff() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch()
        for number in range(3):
            harness.cells.write(number, number)
            harness.cells.close()
        await asyncio.sleep(0.3)
        harness.cells.write(5, 5)
        await follow(viewer, 2)
        assert viewer.rows == {0: 0, 1: 1, 2: 2, 5: 5}

    harness.run(scenario())


def test_a_client_that_fell_out_of_the_window_is_reset() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch()
        viewer.socket._unread_bytes = 10**6
        for number in range(500):
            harness.cells.write(number % CELLS, number)
            await asyncio.sleep(0.02)
        viewer.socket._unread_bytes = 0
        while (await viewer.frame())["from"] is not None:
            pass
        assert {"type": "reset", "reason": "overflow"} in viewer.said

    harness.run(scenario())


def test_who_follows_is_sent_another_city_time_before_the_cut_at_which_it_holds() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewers = [await harness.watch(), await harness.watch(view=[0, 0, 4, 1])]
        writing = harness.loop.create_task(busy(harness))
        await asyncio.gather(*(follow(viewer, 3) for viewer in viewers))
        assert all("city_time" not in [word["type"] for word in viewer.said] for viewer in viewers)
        period = Period(5_000, 5_000, 10)
        harness.cells.periods = (period,)
        viewers.append(await harness.watch())
        for viewer in viewers:
            await follow(viewer, 10)
            sent = [said for said in viewer.said if said["type"] == "city_time"]
            assert sent == [{"type": "city_time", "periods": [list(period)]}]
        writing.cancel()

    harness.run(scenario())


def test_who_follows_is_sent_other_scenarios_before_the_cut_at_which_they_hold() -> None:
    harness = Harness()
    rain = ScenarioNotice("rain", "Rain", 5_000, 60, None)
    stadium = ScenarioNotice("stadium", "A stadium empties", 6_000, 60, (1.5, 2.5, 300))

    async def scenario() -> None:
        viewers = [await harness.watch(), await harness.watch(view=[0, 0, 4, 1])]
        writing = harness.loop.create_task(busy(harness))
        wanted: list[list[dict[str, Any]]] = []
        for under_way in ((), (rain,), (rain, stadium), (stadium,), ()):
            if under_way or wanted:
                rows = [one._asdict() for one in under_way]
                wanted.append(json.loads(json.dumps(rows)))
            harness.cells.scenarios = under_way
            for viewer in viewers:
                await follow(viewer, 10)
                sent = [said["under_way"] for said in viewer.said if said["type"] == "scenarios"]
                assert sent == wanted
        writing.cancel()

    harness.run(scenario())
