# SPDX-License-Identifier: Apache-2.0
"""Who is let in: hosts, names of this machine, origins of pages, clients behind proxies."""

import asyncio
import json
from typing import Any

import pytest

from taxi.runtime.entry import EntryRules, RequestEntry, RequestRefusal
from taxi.runtime.origins import parse_origins

PAGE = "http://127.0.0.1:8000"
HOST = "127.0.0.1:8000"


class Asked:
    """One request to an entry, and what became of it."""

    def __init__(
        self,
        *headers: tuple[str, str],
        peer: str = "127.0.0.1",
        kind: str = "http",
        version: str = "1.1",
        **rules: Any,
    ) -> None:
        self.refusals: list[RequestRefusal] = []
        self.client: str | None = None
        """As the application sees it; None if it was not let in."""
        self.answer: list[dict[str, Any]] = []
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        scope = {"type": kind, "client": (peer, 1), "headers": raw, "http_version": version, "path": "/"}

        async def app(scope: Any, _receive: Any, _send: Any) -> None:
            self.client = scope["client"][0]

        async def receive() -> Any:
            return {"type": f"{kind}.connect"}

        async def send(message: Any) -> None:
            self.answer.append(message)

        entry = RequestEntry(app, EntryRules(refused=self.refusals.append, **rules))
        asyncio.run(entry(scope, receive, send))

    @property
    def status(self) -> int | None:
        """None if it was let in."""
        if self.client is not None:
            assert self.answer == []
            assert self.refusals == []
            return None
        start, body = self.answer
        assert json.loads(body["body"])["status"] == start["status"]
        assert (b"content-type", b"application/problem+json") in start["headers"]
        assert len(self.refusals) == 1
        return int(start["status"])


# --- one host -------------------------------------------------------------------------------------------

NOT_ONE: tuple[list[str], ...] = (
    [],
    [HOST, HOST],
    [HOST, "evil.example"],
    ["["],
    [""],
    ["a b"],
    ["a:b"],
    ["é"],
    ["a" * 9000],
)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("hosts", NOT_ONE)
def test_a_request_names_one_host(kind: str, hosts: list[str]) -> None:
    assert Asked(*(("host", host) for host in hosts), kind=kind).status == 400


def test_a_probe_by_http_1_0_need_not_name_one() -> None:
    assert Asked(version="1.0").status is None
    assert Asked(version="1.0", kind="websocket").status == 400
    assert Asked(("host", HOST), ("host", HOST), version="1.0").status == 400


# --- names of this machine ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:8000", "127.0.1.1", "[::1]:8000", "localhost:8000", "LocalHost.:8000"),
        *("taxi.localhost", "laptop:8000", "192.168.1.7:8000", "0.0.0.0:8000"),
    ],
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_asks_under_a_name_that_no_other_can_give_it(peer: str, host: str) -> None:
    assert Asked(("host", host), peer=peer).status is None


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("host", ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_another_name_that_leads_to_this_machine_is_refused(peer: str, host: str, kind: str) -> None:
    """DNS rebinding: the page is of the same origin as the request, so only the name tells."""
    asked = Asked(("host", host), ("origin", f"http://{host}"), peer=peer, kind=kind)
    assert asked.status == 403
    assert "TAXI_ALLOWED_ORIGINS" in asked.refusals[0].do
    assert "TAXI_TRUSTED_PROXIES" in asked.refusals[0].do


@pytest.mark.parametrize(
    "rules",
    [
        {"origins": parse_origins("https://taxi.example")},
        {"names": frozenset({"taxi.example"})},
        {"proxies": "127.0.0.1"},
        {"proxies": "127.0.0.0/8"},
    ],
)
def test_a_name_that_was_declared_is_let_in(rules: dict[str, Any]) -> None:
    assert Asked(("host", "taxi.example:443"), **rules).status is None
    assert Asked(("host", "taxi.example"), peer="::ffff:127.0.0.1", **rules).status is None


def test_other_machines_may_use_any_name() -> None:
    assert Asked(("host", "taxi.example"), peer="192.0.2.7").status is None


# --- origins of pages -----------------------------------------------------------------------------------


def from_page(origin: str, host: str = "taxi.example", **rules: Any) -> Asked:
    return Asked(("host", host), ("origin", origin), peer="192.0.2.7", kind="websocket", **rules)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://taxi.example", "taxi.example:443"),
        ("https://taxi.example:443", "taxi.example"),
        ("HTTPS://Taxi.Example", "taxi.example."),
        ("http://taxi.example:8000", "taxi.example:8000"),
        ("http://[::1]:8000", "[0::1]:8000"),
    ],
)
def test_a_page_opens_the_socket_of_its_own_host_however_that_is_written(origin: str, host: str) -> None:
    assert from_page(origin, host).status is None


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("https://taxi.example:8443", 403),
        ("https://taxi.example.evil.example", 403),
        ("null", 403),
        ("http://[", 400),
        ("", 400),
        ("taxi.example", 400),
        ("https://taxi.example/", 400),
        ("é", 400),
        ("http://" + "a" * 9000, 400),
    ],
)
def test_other_pages_are_refused_and_that_is_logged_with_what_would_allow_it(
    origin: str, status: int
) -> None:
    asked = from_page(origin)
    assert asked.status == status
    [refusal] = asked.refusals
    assert len(str(refusal)) < 1000
    if status == 403 and origin != "null":
        assert f"TAXI_ALLOWED_ORIGINS={origin}" in refusal.do
        assert dict(refusal.facts) == {"origin": origin, "host": "taxi.example"}


def test_two_origins_are_none() -> None:
    both = [("origin", "https://taxi.example"), ("origin", "https://taxi.example")]
    assert Asked(("host", "taxi.example"), *both, peer="192.0.2.7", kind="websocket").status == 400


@pytest.mark.parametrize(
    "origin", ["https://maps.example", "https://maps.example:443", "HTTPS://MAPS.example."]
)
def test_an_allowed_origin_may_be_another_hosts(origin: str) -> None:
    assert from_page(origin, origins=parse_origins("https://maps.example/")).status is None


def test_a_program_that_is_no_browser_sends_no_origin() -> None:
    assert Asked(("host", "taxi.example"), peer="192.0.2.7", kind="websocket").status is None


# --- clients behind proxies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("unknown", "unknown"),
        ("_hidden", "unknown"),
        ("x" * 9000, "unknown"),
        ("203.0.113.9, unknown", "unknown"),
        ("é", "unknown"),
    ],
)
def test_a_trusted_proxy_says_who_the_client_is(forwarded: str, client: str) -> None:
    headers = [("host", "taxi.example"), ("x-forwarded-for", forwarded)]
    for peer in ("10.0.0.7", "::ffff:10.0.0.7"):
        assert Asked(*headers, peer=peer, proxies="10.0.0.0/8").client == client


@pytest.mark.parametrize("forwarded", [[], ["", ""], [", ,"]])
def test_a_proxy_that_tells_no_client_is_the_client(forwarded: list[str]) -> None:
    """A program beside the proxy, such as a probe, has its address as well."""
    headers = [("host", "taxi.example"), *(("x-forwarded-for", value) for value in forwarded)]
    assert Asked(*headers, peer="10.0.0.7", proxies="10.0.0.7").client == "10.0.0.7"


def test_no_other_address_is_believed() -> None:
    headers = [("host", "taxi.example"), ("x-forwarded-for", "203.0.113.9")]
    assert Asked(*headers, peer="192.0.2.7", proxies="10.0.0.0/8").client == "192.0.2.7"
    assert Asked(*headers, peer="192.0.2.7").client == "192.0.2.7"
