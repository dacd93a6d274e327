# SPDX-License-Identifier: Apache-2.0
"""HTTP beside the stream: what is answered, and a problem document for everything that is wrong."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from openapi_spec_validator import validate
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway import openapi
from gateway.app import Site, build, paths
from gateway.desk import BODY_BYTES_MAX
from gateway.stream.tokens import Grant, Keys, Role
from taxi import __version__, codec, topics
from taxi import messages as m
from taxi.local.parts import Demo as DemoPart
from taxi.local.parts import Part, Parts, State
from taxi.local.parts import write as write_parts
from tests.unit.gateway.lab import EPOCH, HERE, THERE, Lab
from web import page

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"
GOOD = {"ride": "r-1", "pickup": HERE, "dropoff": THERE}


def site(lab: Lab, parts_dir: Path | None = None, beside: Sequence[BaseRoute] = ()) -> Any:
    gateway = lab.gateways["gateway-1"][0]
    return build(
        Site(
            desk=gateway.desk,
            guard=gateway.guard,
            pid=4711,
            parts_dir=parts_dir,
            beside=beside,
        )
    )


def client(app: Any, peer: str = "127.0.0.1", host: str = "127.0.0.1:8000") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 50_000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def commands(lab: Lab) -> list[m.AnyCommand]:
    place = lab.broker.partition(topics.COMMANDS, 0)
    return [codec.decode(topics.COMMANDS, entry.record) for entry in place.entries]


def assert_problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert "Traceback" not in answer.text
    detail: str = body["detail"]
    assert detail
    return detail


# --- rides ----------------------------------------------------------------------------------------------


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


# --- the rest -------------------------------------------------------------------------------------------


def test_the_status_tells_rows_and_rides_at_the_last_cut(lab: Lab) -> None:
    async def story() -> None:
        lab.batch(
            partial(m.DriverCameOnline, driver=1),
            partial(m.RideRequested, ride="r-1", rider="x", pickup=HERE, dropoff=THERE),
        )
        for driver in (1, 2):
            lab.fix(driver)
        await lab.gateway()
        async with client(site(lab)) as web:
            status = (await web.get("/api/status")).json()
        assert status["city"] == "grid"
        assert status["version"] == __version__
        assert status["gateway"] == {"id": "gateway-1", "pid": 4711}
        assert status["cursor"] == {"epoch": EPOCH, "loc": 2, "ev": lab.end.ev}
        wanted = {
            "total": 2,
            "idle": 1,
            "to_pickup": 0,
            "at_pickup": 0,
            "on_trip": 0,
            "offline": 1,
            "lost": 0,
        }
        assert wanted.items() <= status["drivers"].items()
        assert {"waiting": 1, "active": 0, "completed": 0}.items() <= status["rides"].items()

    lab.run(story())


def test_before_the_log_is_read_there_is_no_status(lab: Lab) -> None:
    async def story() -> None:
        lab.start()
        async with client(site(lab)) as web:
            assert_problem(await web.get("/api/status"), 503)
            assert_problem(await web.get("/api/rides/r-1"), 503)

    lab.run(story())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/api/rides", 405), ("GET", "/api/parts", 404)],
)
def test_what_is_not_there_is_a_problem_too(lab: Lab, method: str, path: str, status: int) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        async with client(site(lab)) as web:
            assert_problem(await web.request(method, path), status)

    lab.run(story())


def test_a_bug_is_not_shown_to_the_world(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        lab.batch()
        gateway = await lab.gateway()
        monkeypatch.setattr(gateway.desk, "status", lambda: 1 / 0)
        async with client(site(lab)) as web:
            assert "division" not in assert_problem(await web.get("/api/status"), 500)

    lab.run(story())


def test_every_answer_carries_safe_headers_and_a_strict_policy(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(call: Callable[..., object], *arguments: object) -> object:
        return call(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # the lab's loop knows no threads

    async def ok(_: Request) -> Response:
        return Response("x")

    async def story() -> None:
        lab.batch()
        await lab.gateway()
        beside = [Route(path, ok) for path in ("/healthz", "/metrics", "/static/worker.js", "/cities/x.json")]
        app = site(lab, tmp_path, [*beside, *page.routes("manhattan")])
        async with client(app) as web:
            for path in (
                *(
                    "/",
                    "/api/status",
                    "/api/rides",
                    "/api/rides/x",
                    "/api/parts",
                    "/nowhere",
                    "/openapi.json",
                ),
                *("/healthz", "/metrics", "/static/worker.js", "/cities/x.json", "/static/none.js"),
            ):
                headers = (await web.get(path)).headers
                assert headers["x-content-type-options"] == "nosniff", path
                assert headers["x-frame-options"] == "DENY", path
                assert headers["referrer-policy"] == "same-origin", path
                assert headers["cross-origin-resource-policy"] == "same-origin", path
                assert headers["cross-origin-opener-policy"] == "same-origin", path
                assert "geolocation=()" in headers["permissions-policy"], path
                policy = dict(
                    part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";")
                )
                assert policy["default-src"] == "'none'", path
                assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'", (
                    path
                )
                assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"} & set(
                    " ".join(policy.values()).split()
                )
            assert "script-src" not in (await web.get("/api/status")).headers["content-security-policy"]

    lab.run(story())


# --- who may do what -------------------------------------------------------------------------------------

SECRET = "s" * 32


def bearer(lab: Lab, role: Role, *, for_ms: int = 60_000, city: str | None = None) -> dict[str, str]:
    token = Keys(SECRET).mint(Grant(role, lab.now_ms() + for_ms, city), lab.now_ms())
    return {"Authorization": f"Bearer {token}"}


def test_where_tokens_are_asked_for_each_role_may_do_what_is_written(lab: Lab, tmp_path: Path) -> None:
    nobody = DemoPart(pid=0, created=0.0, started_ms=0, url="", bootstrap_servers="")
    write_parts(tmp_path, Parts(demo=nobody, parts=[]))

    async def ok(_: Request) -> Response:
        return Response("x")

    async def story() -> None:
        lab.batch()
        await lab.gateway(token_secret=SECRET)
        asked = [
            ("GET", "/api/status", Role.VIEWER, 200),
            ("GET", "/api/rides/none", Role.VIEWER, 404),
            ("GET", "/api/parts", Role.VIEWER, 200),
            ("POST", "/api/rides", Role.RIDER, 202),
            ("DELETE", "/api/rides/r-1", Role.RIDER, 202),
            ("POST", "/api/parts/gateway-9/kill", Role.OPERATOR, 404),
            ("GET", "/metrics", Role.OPERATOR, 200),
        ]
        app = site(lab, tmp_path, [Route("/metrics", ok), Route("/healthz", ok)])
        async with client(app) as web:
            for method, path, needed, status in asked:
                body: dict[str, Any] = {"json": GOOD} if method == "POST" else {}
                naked = await web.request(method, path, **body)
                assert_problem(naked, 401)
                assert naked.headers["www-authenticate"].startswith("Bearer")
                for role in Role:
                    answer = await web.request(method, path, headers=bearer(lab, role), **body)
                    assert answer.status_code == (status if role >= needed else 403), (path, role)
                    if role < needed:
                        assert_problem(answer, 403)
            for path in ("/healthz", "/openapi.json"):
                assert (await web.get(path)).status_code == 200

    lab.run(story())


def test_tokens_that_do_not_count(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway(token_secret=SECRET)
        async with client(site(lab)) as web:
            for headers in (
                {"Authorization": "Basic dTpw"},
                {"Authorization": "Bearer nonsense"},
                bearer(lab, Role.OPERATOR, for_ms=0),
            ):
                assert_problem(await web.get("/api/status", headers=headers), 401)
            elsewhere = bearer(lab, Role.OPERATOR, city="atlantis")
            assert_problem(await web.get("/api/status", headers=elsewhere), 403)
            here = bearer(lab, Role.VIEWER, city="grid")
            assert (await web.get("/api/status", headers=here)).status_code == 200
        assert lab.spy().counts["gateway_refused_total 401"] == 3
        assert lab.spy().counts["gateway_refused_total 403"] == 1

    lab.run(story())


def test_one_address_may_ask_for_so_many_rides_and_is_told_when_to_ask_again(lab: Lab) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway(address_rides_per_minute=3)
        async with client(site(lab), peer="203.0.113.9") as web, client(site(lab)) as at_home:
            for number in range(3):
                assert (await web.post("/api/rides", json=GOOD | {"ride": f"r-{number}"})).status_code == 202
            refused = await web.post("/api/rides", json=GOOD | {"ride": "r-9"})
            assert_problem(refused, 429)
            await asyncio.sleep(int(refused.headers["retry-after"]))
            assert (await web.post("/api/rides", json=GOOD | {"ride": "r-9"})).status_code == 202
            for number in range(10, 30):
                answer = await at_home.post("/api/rides", json=GOOD | {"ride": f"r-{number}"})
                assert answer.status_code == 202

    lab.run(story())


def test_the_description_is_valid_written_down_and_names_every_route(lab: Lab, tmp_path: Path) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        described = openapi.document()
        validate(described)
        methods = {"get", "post", "put", "delete", "patch"}
        told = {
            path: {verb.upper() for verb in item if verb in methods}
            for path, item in described["paths"].items()
        }
        assert paths(site(lab, tmp_path)) == told
        assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == described
        async with client(site(lab)) as web:
            assert (await web.get("/openapi.json")).json() == described

    lab.run(story())


# --- the kill button ------------------------------------------------------------------------------------


class Demo:
    """A demo's folder with one real process in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        self.write(psutil.Process(self.process.pid).create_time())

    def write(self, created: float) -> None:
        demo = DemoPart(pid=1, created=0, started_ms=1, url="", bootstrap_servers="")
        part = Part(
            name="gateway-1",
            pid=self.process.pid,
            created=created,
            port=None,
            admin_port=None,
            state=State.READY,
            restarts=2,
        )
        write_parts(self.folder, Parts(demo=demo, parts=[part]))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def test_the_kill_button_kills_the_part_it_names(lab: Lab, tmp_path: Path) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        demo = Demo(tmp_path)
        try:
            async with client(site(lab, tmp_path)) as web:
                parts = (await web.get("/api/parts")).json()["parts"]
                assert parts[0] | {"pid": 0} == {
                    "name": "gateway-1",
                    "pid": 0,
                    "state": "ready",
                    "restarts": 2,
                }
                assert (await web.get("/api/status")).json()["parts"] == ["gateway-1"]
                answer = await web.post("/api/parts/gateway-1/kill")
                assert answer.status_code == 202
                assert demo.process.wait(10) == -signal.SIGKILL
                assert_problem(await web.post("/api/parts/gateway-1/kill"), 409)
                assert_problem(await web.post("/api/parts/nobody/kill"), 404)
        finally:
            demo.end()

    lab.run(story())


@pytest.mark.parametrize(
    ("peer", "host", "origin"),
    [
        ("192.0.2.7", "127.0.0.1:8000", None),
        ("127.0.0.1", "evil.example:8000", "http://evil.example:8000"),
        ("127.0.0.1", "127.0.0.1:8000", "http://evil.example"),
        ("127.0.0.1", "127.0.0.1:8000", "null"),
    ],
)
def test_the_kill_button_works_from_its_own_page_alone(
    lab: Lab, tmp_path: Path, peer: str, host: str, origin: str | None
) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        demo = Demo(tmp_path)
        try:
            async with client(site(lab, tmp_path), peer, host) as web:
                headers = {} if origin is None else {"origin": origin}
                assert_problem(await web.post("/api/parts/gateway-1/kill", headers=headers), 403)
            assert demo.process.poll() is None
        finally:
            demo.end()

    lab.run(story())


def test_another_process_under_an_old_number_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        demo = Demo(tmp_path)
        try:
            demo.write(created=1.0)
            async with client(site(lab, tmp_path)) as web:
                assert_problem(await web.post("/api/parts/gateway-1/kill"), 409)
            assert psutil.pid_exists(demo.process.pid)
            assert os.getpid() != demo.process.pid
        finally:
            demo.end()

    lab.run(story())


def test_a_damaged_list_of_parts_is_a_problem_not_a_crash(lab: Lab, tmp_path: Path) -> None:
    async def story() -> None:
        lab.batch()
        await lab.gateway()
        (tmp_path / "parts.json").write_text("{")
        async with client(site(lab, tmp_path)) as web:
            assert_problem(await web.get("/api/parts"), 500)

    lab.run(story())
