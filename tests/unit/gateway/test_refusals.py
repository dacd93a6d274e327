# SPDX-License-Identifier: Apache-2.0
"""Refusals are counted all, and logged once a minute for each kind, with what would let the request in."""

import asyncio
from http import HTTPStatus

from gateway.http.refusals import Refusals
from taxi.runtime.entry import RequestRefusal
from testing.gateway_harness import GatewayHarness, Spy


def of(origin: str) -> RequestRefusal:
    return RequestRefusal(HTTPStatus.FORBIDDEN, "not this page", f"allow {origin}", (("origin", origin),))


def test_each_kind_is_logged_once_a_minute_and_says_how_often_it_came(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        spy = Spy()
        refused = Refusals(spy, spy)
        for _ in range(5):
            refused(of("https://a.example"))
        refused(of("https://b.example"))
        assert len(spy.said) == 2
        assert "'do': 'allow https://a.example'" in spy.said[0]
        await asyncio.sleep(60)
        refused(of("https://a.example"))
        assert len(spy.said) == 3
        assert "'times': 5" in spy.said[2]
        assert spy.counts == {"gateway_refused_total 403": 7}

    harness.run(scenario())


def test_a_client_cannot_fill_the_log_or_the_memory(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        spy = Spy()
        refused = Refusals(spy, spy)
        for minute in range(3):
            for number in range(1000):
                refused(of(f"https://{minute}-{number}.example"))
                refused(of(f"https://{minute}-{number}.example"))
            assert len(spy.said) == 50 * (minute + 1)
            assert len(refused._logged_s) + len(refused._unlogged) <= 100
            await asyncio.sleep(60)

    harness.run(scenario())
