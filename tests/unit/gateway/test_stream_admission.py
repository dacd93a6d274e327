# SPDX-License-Identifier: Apache-2.0
"""Which clients a gateway admits, and which it returns because their token ends. No socket, no loop."""

from typing import Any

from gateway.access.tokens import Grant, Keys, Role
from gateway.stream.admission import ClientAdmission
from gateway.stream.fanout import Client
from gateway.stream.messages import Close, SessionRefusal
from gateway.stream.session import MESSAGES, Session
from gateway.stream.terms import Terms

NOW_MS = 1_750_000_000_000
KEYS = Keys("s" * 32)


def admission(**terms: Any) -> ClientAdmission:
    usual: dict[str, Any] = {
        "city": "cells",
        "gateway": "g",
        "cut_interval_ms": 100,
        "clients_max": 3,
        "address_clients_max": 2,
        "limit_loopback": False,
        "drain_per_s": 10.0,
        "keys": KEYS,
    }
    return ClientAdmission(Terms(**usual | terms))


def client(address: str | None = "192.0.2.1") -> Client:
    connection: Any = None
    return Client(Session("s", 0.0), connection, address)


def code(refusal: object) -> Close | None:
    return refusal.code if isinstance(refusal, SessionRefusal) else None


def test_a_connection_that_was_refused_does_not_count() -> None:
    limits = admission()
    assert [code(limits.enter("a")) for _ in range(3)] == [None, None, Close.TOO_MANY]
    assert [code(limits.enter("b")) for _ in range(2)] == [None, Close.TOO_MANY]
    limits.leave("a")
    assert [code(limits.enter("b")) for _ in range(2)] == [None, Close.TOO_MANY]


def test_no_client_is_admitted_while_the_gateway_drains() -> None:
    limits = admission()
    limits.is_draining = True
    assert code(limits.enter("a")) is Close.AWAY


def test_a_token_must_be_valid_and_for_this_city() -> None:
    def token(city: str | None) -> str:
        return KEYS.mint(Grant(Role.VIEWER, NOW_MS + 60_000, city), NOW_MS)

    limits = admission()
    assert code(limits.authorize(None, NOW_MS)) is Close.UNAUTHORIZED
    assert code(limits.authorize(token("atlantis"), NOW_MS)) is Close.FORBIDDEN
    for city in (None, "cells"):
        assert limits.authorize(token(city), NOW_MS) == Grant(Role.VIEWER, NOW_MS + 60_000, city)


def test_a_client_is_returned_once_when_its_token_ends_before_the_next_cut() -> None:
    limits, first, second, gone = admission(), client(), client(), client()
    for one, at_ms in ((second, 900), (first, 500), (gone, 400)):
        limits.expect_expiry(one, NOW_MS + at_ms)
    gone.session.close(0.0)
    assert list(limits.expired(NOW_MS + 399)) == []
    assert list(limits.expired(NOW_MS + 400)) == [first]
    assert list(limits.expired(NOW_MS + 2_000)) == [second]
    assert list(limits.expired(NOW_MS + 2_000)) == []


def test_messages_count_for_the_connection_and_for_the_address() -> None:
    limits, first = admission(), client()
    assert [code(limits.check_message(first, 0.0)) for _ in range(MESSAGES.burst)] == [None] * MESSAGES.burst
    assert code(limits.check_message(first, 0.0)) is Close.TOO_MANY
    others = [client() for _ in range(20)]
    refused = [code(limits.check_message(other, 0.0)) for other in others for _ in range(MESSAGES.burst)]
    assert refused.count(None) == 200 - MESSAGES.burst
    assert limits.check_message(client("192.0.2.2"), 0.0) is None
    assert limits.check_message(client(None), 0.0) is None
