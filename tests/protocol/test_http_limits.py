# SPDX-License-Identifier: Apache-2.0
"""What a request may be and how long it may take, on the gateway's own listener."""

import json
import logging
import time
from collections.abc import Iterator
from typing import Final

import pytest

from gateway.stream.transport import Bounds
from taxi.runtime.admission import Admission
from taxi.runtime.http import HttpLimits
from testing.raw_sockets import Answer, Raw, handshake
from tests.protocol.echo import echo_server

LIMITS: Final = HttpLimits(head_s=1.0, body_s=1.0, answer_s=3.0, idle_s=1.5, linger_s=1.0)
ENDS_S: Final = 4.0
"""A limit of a second is looked at once a second; a loaded machine may be late."""
GET: Final = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
REASONS: Final[list[str]] = []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    bounds = Bounds(http=LIMITS, admission=Admission(failed=REASONS.append))
    with echo_server(bounds) as listener:
        yield listener.port


@pytest.fixture(autouse=True)
def _nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    REASONS.clear()
    with caplog.at_level(logging.WARNING):
        yield
    assert not caplog.records, caplog.text


def assert_problem(answer: Answer, status: int) -> str:
    """A problem document, with the headers that every answer has."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    body = json.loads(answer.body)
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert body["title"]
    return str(body["detail"])


def assert_served(port: int) -> None:
    """Another client is served at once."""
    with Raw(port) as other:
        began_s = time.monotonic()
        other.send(GET)
        assert other.answer().body == b"hello"
        assert time.monotonic() - began_s < 1.0


def head(size: int, *, headers: int = 1) -> bytes:
    """A request head of exactly so many bytes."""
    lines = b"GET / HTTP/1.1\r\nHost: here\r\n" + b"".join(b"a%d: \r\n" % n for n in range(headers - 2))
    padding = size - len(lines) - len(b"padding: \r\n\r\n")
    return lines + b"padding: " + b"x" * padding + b"\r\n\r\n"


# --- heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1_000, 4_096, 100_000])
def test_a_head_of_16_kib_is_read_and_one_byte_more_is_not(port: int, piece: int) -> None:
    with Raw(port) as client:
        client.send_in_pieces(head(16 << 10), piece)
        assert client.answer().body == b"hello"
        client.send_in_pieces(head(16 << 10), piece)
        assert client.answer().body == b"hello"
        client.send_in_pieces(head((16 << 10) + 1), piece)
        assert "16384 bytes" in assert_problem(client.answer(), 431)
        assert client.ends_within(1.0)
    assert REASONS == ["431"]


def test_a_hundred_headers_are_read_and_one_more_is_not(port: int) -> None:
    with Raw(port) as client:
        client.send(head(4_000, headers=100))
        assert client.answer().body == b"hello"
        client.send(head(4_000, headers=101))
        assert "100 headers" in assert_problem(client.answer(), 431)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\nBig: " + b"x" * (20 << 20),
        b"GET / HTTP/1.1\r\nHost: here\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\n" + b"x" * (1 << 20) + b": name\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nA:" + b" " * (1 << 20) + b"\r\n\r\n",
    ],
    ids=["one value", "many headers", "one name", "spaces"],
)
def test_a_huge_head_is_refused_while_it_arrives_and_costs_nothing(port: int, request_head: bytes) -> None:
    with Raw(port) as client:
        began_s = time.monotonic()
        client.send(request_head)
        assert_problem(client.answer(), 431)
        assert time.monotonic() - began_s < 1.0
    assert_served(port)


@pytest.mark.parametrize("size", [9_000, 1 << 20])
def test_a_long_target_is_refused(port: int, size: int) -> None:
    with Raw(port) as client:
        client.send(b"GET /" + b"x" * size + b" HTTP/1.1\r\nHost: here\r\n\r\n")
        assert "8192 bytes" in assert_problem(client.answer(), 414)
    with Raw(port) as client:
        client.send(b"GET /?" + b"x" * 8_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n")
        assert client.answer().status == 200


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,  # a TLS handshake
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nA: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\n : x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: here\r\n\r\n",
        "GET /\u00e9 HTTP/1.1\r\nHost: here\r\n\r\n".encode("latin-1"),
        b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_request_is_400(port: int, nonsense: bytes) -> None:
    with Raw(port) as client:
        client.send(nonsense)
        assert_problem(client.answer(), 400)
        assert client.ends_within(1.0)
    assert_served(port)


# --- time ---------------------------------------------------------------------------------------------


def test_a_silent_connection_is_cut_off_without_a_word(port: int) -> None:
    with Raw(port) as client:
        assert client.ends_within(ENDS_S)
    assert REASONS == ["silent"]


@pytest.mark.parametrize("begun", [b"G", b"GET / HTT", GET[:-1], b"GET / HTTP/1.1\r\nHost: here\r\nA: "])
def test_a_head_that_does_not_end_is_408(port: int, begun: bytes) -> None:
    with Raw(port) as client:
        client.send(begun)
        assert "head took more than 1 s" in assert_problem(client.answer(), 408)
        assert client.ends_within(1.0)


def test_bytes_that_drip_in_do_not_prolong_a_head(port: int) -> None:
    with Raw(port, timeout_s=0.2) as client:
        began_s = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: here\r\n")
        while True:
            assert time.monotonic() - began_s < ENDS_S
            client.send(b"a: b\r\n")
            try:
                assert client.answer().status == 408
            except TimeoutError:
                continue
            break


def test_a_body_that_does_not_end_is_408(port: int) -> None:
    with Raw(port) as client:
        client.send(b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nabc")
        assert "body took more than 1 s" in assert_problem(client.answer(), 408)
        assert client.ends_within(1.0)


def test_a_body_that_is_not_read_and_does_not_end_is_cut_off(port: int) -> None:
    with Raw(port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nabc")
        assert client.answer().body == b"hello"
        assert client.ends_within(ENDS_S)


def test_an_idle_connection_serves_again_until_its_time_is_over(port: int) -> None:
    with Raw(port) as client:
        for _ in range(3):
            client.send(GET)
            assert client.answer().body == b"hello"
        assert client.ends_within(ENDS_S)
    assert REASONS == []


def test_the_time_for_a_head_restarts_with_each_request(port: int) -> None:
    with Raw(port) as client:
        began_s = time.monotonic()
        while time.monotonic() - began_s < 2 * LIMITS.head_s:
            client.send(GET)
            assert client.answer().body == b"hello"
            time.sleep(0.3)
        client.send(GET[:10])
        assert_problem(client.answer(), 408)


def test_an_answer_that_is_not_read_is_cut_off(port: int) -> None:
    with Raw(port) as client:
        client.send(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        time.sleep(LIMITS.answer_s + 2.0)
        assert len(client.rest()) < 8 << 20
    assert REASONS == ["unread"]


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 60_000])
def test_a_body_is_read(port: int, size: int) -> None:
    with Raw(port) as client:
        for _ in range(2):
            head = f"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: {size}\r\n\r\n".encode()
            client.send(head + b"x" * size)
            assert client.answer().body == str(size).encode()


@pytest.mark.parametrize("path", ["/", "/body"])
@pytest.mark.parametrize("coding", ["Content-Length: 6000000", "Transfer-Encoding: chunked"])
def test_a_body_above_64_kib_is_refused_for_every_endpoint(port: int, path: str, coding: str) -> None:
    chunk = b"fff0\r\n" + b"x" * 0xFFF0 + b"\r\n" if "chunked" in coding else b"x" * (1 << 16)
    with Raw(port) as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: here\r\n{coding}\r\n\r\n".encode())
        for _ in range(90):
            client.send(chunk)
        answer = client.answer()
        if answer.status == 200:
            assert (path, answer.body) == ("/", b"hello")  # it was answered before the body had come
        else:
            assert "65536 bytes" in assert_problem(answer, 413)
        assert client.ends_within(2.0)
    assert_served(port)


def test_tiny_chunks_count_with_all_their_bytes(port: int) -> None:
    with Raw(port) as client:
        client.send(b"POST /body HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1;" + b"x" * 20 + b"\r\ny\r\n" * 1)
        client.send((b"1;" + b"x" * 100 + b"\r\ny\r\n") * 1_000)
        assert_problem(client.answer(), 413)


def test_headers_after_a_body_change_nothing(port: int) -> None:
    with Raw(port) as client:
        client.send(b"POST /body HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1\r\nx\r\n0\r\nX-Late: 1\r\nHost: there\r\n\r\n" + GET)
        assert [client.answer().body, client.answer().body] == [b"1", b"hello"]


# --- one request after the other ----------------------------------------------------------------------


def test_requests_that_are_sent_ahead_are_answered_in_order(port: int) -> None:
    with Raw(port) as client:
        client.send(GET * 2_000)
        for _ in range(2_000):
            assert client.answer().body == b"hello"


def test_a_mistake_after_a_good_request_does_not_overtake_its_answer(port: int) -> None:
    with Raw(port) as client:
        client.send(GET)
        assert client.answer().body == b"hello"
        client.send(b"nonsense\r\n\r\n")
        assert_problem(client.answer(), 400)
    with Raw(port) as client:
        client.send(GET + b"nonsense\r\n\r\n")
        statuses = client.rest().split(b"HTTP/1.1 ")[1:]
        assert [status[:3] for status in statuses] in ([], [b"200"], [b"200", b"400"])


@pytest.mark.parametrize("offer", ["h2c", "TLS/1.0", "websocket, h2c"])
def test_another_protocol_is_not_spoken_but_the_request_is_answered(port: int, offer: str) -> None:
    upgrade = (
        f"Host: here\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\nHTTP2-Settings: x\r\n"
    )
    with Raw(port) as client:
        for _ in range(2):
            client.send(f"GET / HTTP/1.1\r\n{upgrade}\r\n".encode())
            assert client.answer().body == b"hello"
            client.send(f"POST /body HTTP/1.1\r\n{upgrade}Content-Length: 3\r\n\r\na".encode())
            client.send(b"bc")
            assert client.answer().body == b"3"
            client.send(f"POST /body HTTP/1.1\r\n{upgrade}Transfer-Encoding: chunked\r\n\r\n".encode())
            client.send(b"3\r\nabc\r\n0\r\n\r\n" + GET)
            assert [client.answer().body, client.answer().body] == [b"3", b"hello"]


# --- handshakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([f"a{number}: b" for number in range(130)], 431),
        (["Big: " + "x" * 9_000], 431),
        (["Big: " + "x" * 17_000], 431),
        (["Content-Length: 5"], 400),
        (["Transfer-Encoding: chunked"], 400),
        (["Sec-WebSocket-Key: again"], 400),
    ],
)
def test_a_handshake_is_answered_at_once_whatever_is_wrong_with_it(
    port: int, more: list[str], status: int
) -> None:
    with Raw(port) as client:
        began_s = time.monotonic()
        client.send(handshake(port, *more))
        assert_problem(client.answer(), status)
        assert client.ends_within(1.0)
        assert time.monotonic() - began_s < LIMITS.head_s


def test_a_handshake_may_have_an_empty_body(port: int) -> None:
    with Raw(port) as client:
        client.send(handshake(port, "Content-Length: 0"))
        assert client.answer().status == 101


@pytest.mark.parametrize("sent", [20, 100, -1])
def test_a_handshake_that_does_not_end_is_408(port: int, sent: int) -> None:
    with Raw(port) as client:
        client.send(handshake(port)[:sent])
        assert_problem(client.answer(), 408)
