# SPDX-License-Identifier: Apache-2.0
"""What verifiers say reaches every client: now, and after each `ready`."""

import asyncio
from typing import Any

from gateway.follower.verdicts import GATEWAYS_MAX, TEXT_CHARS_MAX, shown
from gateway.stream.publisher import VERIFIERS_MAX
from taxi import messages as m
from taxi import topics
from taxi.messages import codec
from testing.gateway_cells import Harness, Viewer
from testing.gateway_harness import Browser, GatewayHarness

RIGHT = m.CheckedGateway(gateway="gateway-1", loc=7, ev=3, cut_ms=5_000, checked=4)
WRONG = m.CheckedGateway(
    gateway="gateway-2", loc=7, ev=3, cut_ms=5_000, checked=4, wrong=1, rule="wrong_hash", text="a for b"
)


def verdicts(viewer: Viewer | Browser) -> list[dict[str, Any]]:
    return [notice for notice in viewer.notices if notice["type"] == "verdict"]


def verdict(*gateways: m.CheckedGateway, verifier: str = "verifier") -> m.Verdict:
    return m.Verdict(verifier=verifier, at_ms=1, gateways=list(gateways))


def test_a_verdict_is_sent_to_everyone_and_to_those_who_come_later() -> None:
    harness = Harness()

    async def scenario() -> None:
        early = await harness.watch()
        harness.hub.tell_verdict("verifier", shown(verdict(RIGHT)))
        harness.hub.tell_verdict("verifier", shown(verdict(RIGHT, WRONG)))
        await early.frame()
        assert [len(one["gateways"]) for one in verdicts(early)] == [1, 2]
        late = await harness.watch()
        assert verdicts(late) == verdicts(early)[-1:]
        assert verdicts(late)[0] == {
            "type": "verdict",
            "verifier": "verifier",
            "gateways": [
                {"gateway": "gateway-1", "cut_ms": 5000, "checked": 4, "wrong": 0, "rule": "", "text": ""},
                {
                    "gateway": "gateway-2",
                    "cut_ms": 5000,
                    "checked": 4,
                    "wrong": 1,
                    "rule": "wrong_hash",
                    "text": "a for b",
                },
            ],
        }

    harness.run(scenario())


def test_who_reads_slowly_is_sent_no_old_verdicts() -> None:
    harness = Harness()

    async def scenario() -> None:
        viewer = await harness.watch()
        viewer.socket._unread_bytes = 10**6
        for _ in range(5):
            harness.hub.tell_verdict("verifier", shown(verdict(RIGHT)))
            await asyncio.sleep(1)
        viewer.socket._unread_bytes = 0
        harness.hub.tell_verdict("verifier", shown(verdict(WRONG)))
        await asyncio.sleep(0.2)
        harness.cells.write(0, 1)
        await viewer.frame()
        assert [one["gateways"][0]["gateway"] for one in verdicts(viewer)] == ["gateway-2"]

    harness.run(scenario())


def test_only_so_many_verifiers_are_passed_on() -> None:
    harness = Harness()

    async def scenario() -> None:
        for number in range(VERIFIERS_MAX + 3):
            harness.hub.tell_verdict(f"verifier-{number}", shown(verdict(RIGHT)))
        assert len(verdicts(await harness.watch())) == VERIFIERS_MAX

    harness.run(scenario())


def test_what_a_verifier_says_is_bounded() -> None:
    long = m.CheckedGateway(gateway="g", loc=0, ev=0, cut_ms=0, checked=1, rule="wrong_row", text="x" * 9_999)
    found = shown(verdict(*[long] * 999))
    assert len(found) == GATEWAYS_MAX
    assert {len(one["text"]) for one in found} == {TEXT_CHARS_MAX}


def test_the_gateway_follows_the_topic_and_passes_over_what_it_cannot_read(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        harness.raw(topics.VERDICTS, codec.encode(verdict(WRONG)))  # before it began: not of these gateways
        await harness.gateway()
        browser = await harness.watch()
        await asyncio.sleep(1)
        harness.raw(topics.VERDICTS, b"\xff nonsense")
        harness.raw(topics.VERDICTS, None)
        harness.raw(topics.VERDICTS, codec.encode(verdict(RIGHT)))
        harness.fix(1)
        await asyncio.sleep(1)
        while browser.state.cursor != harness.end:
            await browser.cut()
        assert [one["gateways"][0]["gateway"] for one in verdicts(browser)] == ["gateway-1"]

    harness.run(scenario())
