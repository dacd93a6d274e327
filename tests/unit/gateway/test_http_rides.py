# SPDX-License-Identifier: Apache-2.0
"""Rides over HTTP: asked for, followed, cancelled, and a problem document for what is wrong with them."""

import json
from functools import partial
from typing import Any

import pytest

from gateway.http.ride_service import BODY_BYTES_MAX
from taxi import messages as m
from taxi import topics
from testing.gateway_harness import HERE, THERE, GatewayHarness
from tests.unit.gateway.web import GOOD, assert_problem, client, commands, site


def test_a_ride_is_asked_for_and_followed(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        gateway = await harness.gateway()
        async with client(site(harness)) as web:
            answer = await web.post("/api/rides", json=GOOD)
            assert answer.status_code == 202
            assert answer.json() == {"ride": "r-1", "status": "/api/rides/r-1"}
            assert answer.headers["location"] == "/api/rides/r-1"
            assert_problem(await web.get("/api/rides/r-1"), 404)
            harness.batch(partial(m.RideRequested, ride="r-1", rider="browser", pickup=HERE, dropoff=THERE))
            await harness.until(
                lambda: gateway.city_view is not None and "r-1" in gateway.city_view.city.rides
            )
            ride = (await web.get("/api/rides/r-1")).json()
            assert (ride["state"], ride["driver"]) == ("REQUESTED", None)
        [command] = commands(harness)
        assert command == m.RequestRide(
            command_id="request:r-1", ride="r-1", rider="browser", pickup=HERE, dropoff=THERE
        )

    harness.run(scenario())


def test_the_same_request_again_is_the_same_command_again(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            for _ in range(2):
                assert (await web.post("/api/rides", json=GOOD)).status_code == 202
        assert {command.command_id for command in commands(harness)} == {"request:r-1"}

    harness.run(scenario())


def test_a_trace_that_came_with_the_request_goes_on_in_the_command(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        async with client(site(harness)) as web:
            headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
            await web.post("/api/rides", json=GOOD, headers=headers)
            await web.post("/api/rides", json=GOOD | {"ride": "r-2"}, headers={"traceparent": "nonsense"})
        found = [dict(e.record.headers) for e in harness.broker.partition(topics.COMMANDS, 0).entries]
        assert trace_id.encode() in found[0]["traceparent"]
        assert found[1]["traceparent"].startswith(b"00-")

    harness.run(scenario())


FAR = [2.35, 48.86]


BAD = [
    (b"", 400),
    (b"nonsense", 400),
    (b"\xff\xfe", 400),
    (b'{"ride":"r","pickup":[NaN,1],"dropoff":[1,1]}', 400),
    (b"[]", 422),
    (b"{}", 422),
    (json.dumps(GOOD | {"ride": ""}).encode(), 422),
    (json.dumps(GOOD | {"ride": "x" * 41}).encode(), 422),
    (json.dumps(GOOD | {"ride": "a b"}).encode(), 422),
    (json.dumps(GOOD | {"ride": "r\n"}).encode(), 422),
    (json.dumps(GOOD | {"ride": 7}).encode(), 422),
    (json.dumps(GOOD | {"pickup": None}).encode(), 422),
    (json.dumps(GOOD | {"pickup": "here"}).encode(), 422),
    (json.dumps(GOOD | {"pickup": [1]}).encode(), 422),
    (json.dumps(GOOD | {"pickup": [1, 2, 3]}).encode(), 422),
    (json.dumps(GOOD | {"pickup": [HERE[0], "40"]}).encode(), 422),
    (json.dumps(GOOD | {"pickup": FAR}).encode(), 422),
    (json.dumps(GOOD | {"dropoff": FAR}).encode(), 422),
    (json.dumps(GOOD | {"dropoff": HERE}).encode(), 422),
    (json.dumps(GOOD).replace(str(HERE[0]), "1e999").encode(), 422),
    (json.dumps(GOOD).replace(str(HERE[0]), "-" + "9" * 400).encode(), 422),
    (json.dumps(GOOD).replace(str(HERE[0]), "1e308").encode(), 422),
    (json.dumps(GOOD)[:-1].encode() + b',"later":' + b"[" * 2_000 + b"]" * 2_000 + b"}", 400),
]


@pytest.mark.parametrize(("body", "status"), BAD)
def test_a_bad_request_is_answered_with_what_is_wrong_and_asks_for_nothing(
    harness: GatewayHarness, body: bytes, status: int
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            headers = {"content-type": "application/json"}
            answer = await web.post("/api/rides", content=body, headers=headers)
            assert answer.status_code in {400, 422}
            assert_problem(answer, status)
        assert commands(harness) == []

    harness.run(scenario())


def test_a_huge_body_is_refused_by_its_content_length(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            headers = {"content-type": "application/json"}
            answer = await web.post("/api/rides", content=b" " * (BODY_BYTES_MAX + 1), headers=headers)
            assert_problem(answer, 413)

    harness.run(scenario())


def test_an_endless_body_is_not_read_to_its_end(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        sent: list[dict[str, Any]] = []
        read = 0

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1024
            return {"type": "http.request", "body": b" " * 1024, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/rides",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        await site(harness)(scope, receive, send)
        assert sent[0]["status"] == 413
        assert read <= BODY_BYTES_MAX + 2 * 1024

    harness.run(scenario())


@pytest.mark.parametrize("sent", [[], [b""], [b'{"ride":', b'"r-1"']])
def test_a_client_that_leaves_before_its_body_is_complete_is_no_bug(
    harness: GatewayHarness, sent: list[bytes]
) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        chunks = iter(sent)

        async def receive() -> dict[str, Any]:
            for chunk in chunks:
                return {"type": "http.request", "body": chunk, "more_body": True}
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            """Goes nowhere."""

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/rides",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        await site(harness)(scope, receive, send)
        assert commands(harness) == []

    harness.run(scenario())


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_only_json_is_taken_so_that_no_other_site_can_ask(harness: GatewayHarness, content_type: str) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        async with client(site(harness)) as web:
            headers = {"content-type": content_type} if content_type else {}
            answer = await web.post("/api/rides", content=json.dumps(GOOD), headers=headers)
            assert_problem(answer, 415)
        assert commands(harness) == []

    harness.run(scenario())


def test_without_a_broker_one_is_asked_to_come_again(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch()
        await harness.gateway()
        harness.broker.harshness.down = True
        async with client(site(harness)) as web:
            answer = await web.post("/api/rides", json=GOOD)
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
            harness.broker.harshness.down = False
            assert (await web.post("/api/rides", json=GOOD)).status_code == 202

    harness.run(scenario())


def test_a_ride_can_be_cancelled_until_it_has_ended(harness: GatewayHarness) -> None:
    async def scenario() -> None:
        harness.batch(partial(m.RideRequested, ride="r-1", rider="browser", pickup=HERE, dropoff=THERE))
        gateway = await harness.gateway()
        async with client(site(harness)) as web:
            assert (await web.delete("/api/rides/r-1")).status_code == 202
            assert commands(harness) == [m.CancelRide(command_id="cancel:r-1", ride="r-1")]
            ev = harness.batch(partial(m.RideCancelled, ride="r-1", reason="rider"))
            await harness.until(lambda: gateway.city_view is not None and gateway.city_view.ev == ev)
            assert_problem(await web.delete("/api/rides/r-1"), 409)
            ride = (await web.get("/api/rides/r-1")).json()
            assert (ride["state"], ride["reason"]) == ("CANCELLED", "rider")
            assert ride["ended_ms"] >= ride["requested_ms"]
            assert_problem(await web.delete("/api/rides/a%20b"), 404)

    harness.run(scenario())
