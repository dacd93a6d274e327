# SPDX-License-Identifier: Apache-2.0
"""What clients hear of a gateway's faults: at the start of a session, at each change, and not too often."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.http.parts import read_faults
from gateway.stream.health import FAULTS_MAX, StreamHealth
from taxi.runtime.faults import Fault
from taxi.runtime.parts import Demo, DemoFault, Parts
from taxi.runtime.parts import path as parts_path
from taxi.runtime.parts import write as write_parts
from testing.gateway_cells import Harness, Viewer
from testing.gateway_harness import GatewayHarness

EMPTY = Fault("no_positions", "no positions arrive")
AHEAD = Fault("positions_ahead", "positions are 2 s in the future")


def health_messages(viewer: Viewer) -> list[list[dict[str, str]]]:
    """The faults of each `health` that came."""
    return [notice["faults"] for notice in viewer.notices if notice["type"] == "health"]


def as_json(*faults: Fault) -> list[dict[str, str]]:
    return [{"code": fault.code, "text": fault.text} for fault in faults]


def test_a_change_is_sent_to_everyone_and_the_state_to_those_who_come_later() -> None:
    harness = Harness()

    async def scenario() -> None:
        early = await harness.watch()
        assert health_messages(early) == []
        harness.hub.tell_health([EMPTY], harness.loop.now)
        await early.frame()
        assert health_messages(early) == [as_json(EMPTY)]
        late = await harness.watch()
        assert health_messages(late) == [as_json(EMPTY)]
        harness.hub.tell_health([], harness.loop.now)
        for viewer in (early, late):
            await viewer.frame()
            assert health_messages(viewer)[-1] == []
        assert health_messages(await harness.watch()) == []

    harness.run(scenario())


def test_a_fault_that_did_not_change_is_sent_once() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch()
        for _ in range(30):
            harness.hub.tell_health([EMPTY, EMPTY], harness.loop.now)
            await asyncio.sleep(0.1)
        await viewer.frame()
        assert health_messages(viewer) == [as_json(EMPTY)]

    harness.run(scenario())


def test_a_text_that_counts_is_sent_once_a_second_and_another_code_at_once() -> None:
    health, sent_s = StreamHealth(), []
    for tick in range(100):
        counting = Fault("no_positions", f"none for {tick}")
        if health.change([counting] if tick < 55 else [counting, AHEAD], tick / 10):
            sent_s.append(tick / 10)
    assert sent_s == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.5, 7.5, 8.5, 9.5]


def test_a_client_that_reads_slowly_hears_of_the_last_change_when_it_reads_again() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch()
        harness.cells.epoch = "ab"
        for number in range(20_000):  # more than the network holds
            harness.cells.write(number % 10, number)
            if number % 100 == 0:
                await asyncio.sleep(0.1)
        harness.hub.tell_health([EMPTY], harness.loop.now)
        await asyncio.sleep(1)
        harness.hub.tell_health([AHEAD], harness.loop.now)
        await asyncio.sleep(1)
        while harness.hub.publisher.health_owed or not health_messages(viewer):
            await viewer.frame()
        assert health_messages(viewer)[-1] == as_json(AHEAD)

    harness.run(scenario())


def test_the_message_has_a_bound_whatever_is_reported() -> None:
    health = StreamHealth()
    health.change([Fault(f"code_{n}", "x" * 10_000) for n in range(1_000)], 0.0)
    assert len(health.faults) == FAULTS_MAX
    assert len(health.message) < 12_000


def demo(**fields: Any) -> Parts:
    no_demo = Demo(pid=1, created=0, started_ms=1, url="", bootstrap_servers="")
    return Parts(demo=no_demo, parts=[], **fields)


def test_faults_of_a_demo_are_read_from_its_parts_file(tmp_path: Path) -> None:
    assert read_faults(tmp_path) == ()
    write_parts(tmp_path, demo())
    assert read_faults(tmp_path) == ()
    write_parts(tmp_path, demo(faults=[DemoFault(code="disk_full", text="the disk is full: make room")]))
    assert read_faults(tmp_path) == (Fault("disk_full", "the disk is full: make room"),)
    parts_path(tmp_path).write_bytes(b"{")
    [fault] = read_faults(tmp_path)
    assert fault.code == "parts_unreadable"
    parts_path(tmp_path).unlink()
    parts_path(tmp_path).mkdir()
    [fault] = read_faults(tmp_path)
    assert fault.code == "parts_unreadable"


def test_a_gateway_of_a_demo_shows_the_faults_of_the_demo(
    harness: GatewayHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(call: Callable[..., Any], *arguments: Any) -> Any:
        return call(*arguments)

    monkeypatch.setattr("gateway.shell.asyncio.to_thread", at_once)  # virtual time knows no threads

    async def scenario() -> None:
        harness.batch()
        harness.fix(1)
        await harness.gateway(parts_dir=str(tmp_path))
        browser = await harness.watch()
        write_parts(tmp_path, demo(faults=[DemoFault(code="disk_full", text="the disk is full")]))
        while not browser.notices:
            assert await browser.next() is not None
        assert browser.notices[-1]["faults"] == [{"code": "disk_full", "text": "the disk is full"}]

    harness.run(scenario())
