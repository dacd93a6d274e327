# SPDX-License-Identifier: Apache-2.0
"""Rides over HTTP: asked for, followed, cancelled, and a problem document for what is wrong with them."""

import json
from functools import partial
from typing import Any

import pytest

from gateway.desk import BODY_BYTES_MAX
from taxi import messages as m
from taxi import topics
from tests.unit.gateway.lab import HERE, THERE, Lab
from tests.unit.gateway.web import GOOD, assert_problem, client, commands, site


def test_a_ride_is_asked_for_and_followed(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        gateway = await lab.gateway()
        async with client(site(lab)) as web:
            answer = await web.post("/api/rides", json=GOOD)
            assert answer.status_code == 202
            assert answer.json() == {"ride": "r-1", "status": "/api/rides/r-1"}
            assert answer.headers["location"] == "/api/rides/r-1"
            assert_problem(await web.get("/api/rides/r-1"), 404)
            lab.batch(partial(m.RideRequested, ride="r-1", rider="browser", pickup=HERE, dropoff=THERE))
            await lab.until(lambda: gateway._shown is not None and "r-1" in gateway._shown.city.rides)
            ride = (await web.get("/api/rides/r-1")).json()
            assert (ride["state"], ride["driver"]) == ("REQUESTED", None)
        [command] = commands(lab)
        assert command == m.RequestRide(
            command_id="request:r-1", ride="r-1", rider="browser", pickup=HERE, dropoff=THERE
        )

    lab.run(story())


def test_the_same_request_again_is_the_same_command_again(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        async with client(site(lab)) as web:
            for _ in range(2):
                assert (await web.post("/api/rides", json=GOOD)).status_code == 202
        assert {command.command_id for command in commands(lab)} == {"request:r-1"}

    lab.run(story())


def test_a_trace_that_came_with_the_request_goes_on_in_the_command(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        async with client(site(lab)) as web:
            headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
            await web.post("/api/rides", json=GOOD, headers=headers)
            await web.post("/api/rides", json=GOOD | {"ride": "r-2"}, headers={"traceparent": "nonsense"})
        found = [dict(e.record.headers) for e in lab.broker.partition(topics.COMMANDS, 0).entries]
        assert trace_id.encode() in found[0]["traceparent"]
        assert found[1]["traceparent"].startswith(b"00-")

    lab.run(story())


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
]


@pytest.mark.parametrize(("body", "status"), BAD)
def test_a_bad_request_is_told_what_is_wrong_and_asks_for_nothing(lab: Lab, body: bytes, status: int) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        async with client(site(lab)) as web:
            headers = {"content-type": "application/json"}
            answer = await web.post("/api/rides", content=body, headers=headers)
            assert answer.status_code in {400, 422}
            assert_problem(answer, status)
        assert commands(lab) == []

    lab.run(story())


def test_a_huge_body_is_refused_by_its_told_length(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        async with client(site(lab)) as web:
            headers = {"content-type": "application/json"}
            answer = await web.post("/api/rides", content=b" " * (BODY_BYTES_MAX + 1), headers=headers)
            assert_problem(answer, 413)

    lab.run(story())


def test_an_endless_body_is_not_read_to_its_end(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
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
        await site(lab)(scope, receive, send)
        assert sent[0]["status"] == 413
        assert read <= BODY_BYTES_MAX + 2 * 1024

    lab.run(story())


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_only_json_is_taken_so_that_no_other_site_can_ask(lab: Lab, content_type: str) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        async with client(site(lab)) as web:
            headers = {"content-type": content_type} if content_type else {}
            answer = await web.post("/api/rides", content=json.dumps(GOOD), headers=headers)
            assert_problem(answer, 415)
        assert commands(lab) == []

    lab.run(story())


def test_without_a_broker_one_is_asked_to_come_again(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        lab.broker.harshness.down = True
        async with client(site(lab)) as web:
            answer = await web.post("/api/rides", json=GOOD)
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
            lab.broker.harshness.down = False
            assert (await web.post("/api/rides", json=GOOD)).status_code == 202

    lab.run(story())


def test_a_ride_can_be_cancelled_until_it_has_ended(lab: Lab) -> None:
    async def story() -> None:
        lab.batch(partial(m.RideRequested, ride="r-1", rider="browser", pickup=HERE, dropoff=THERE))
        gateway = await lab.gateway()
        async with client(site(lab)) as web:
            assert (await web.delete("/api/rides/r-1")).status_code == 202
            assert commands(lab) == [m.CancelRide(command_id="cancel:r-1", ride="r-1")]
            ev = lab.batch(partial(m.RideCancelled, ride="r-1", reason="rider"))
            await lab.until(lambda: gateway._shown is not None and gateway._shown.ev == ev)
            assert_problem(await web.delete("/api/rides/r-1"), 409)
            ride = (await web.get("/api/rides/r-1")).json()
            assert (ride["state"], ride["reason"]) == ("CANCELLED", "rider")
            assert ride["ended_ms"] >= ride["requested_ms"]
            assert_problem(await web.delete("/api/rides/a%20b"), 404)

    lab.run(story())
