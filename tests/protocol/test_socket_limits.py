# SPDX-License-Identifier: Apache-2.0
"""What one WebSocket may send, as a gateway has it: every frame counts, whatever it holds."""

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Final

import pytest

from gateway.stream.transport import Bounds
from gateway.stream.websocket import SocketTerms
from testing.raw_sockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    RawWebSocket,
    close_payload,
    frame,
)
from tests.protocol.echo import echo_server

CLOSED: Final[list[int]] = []
TERMS: Final = SocketTerms(closed=lambda code: CLOSED.append(int(code)))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echo_server(Bounds(socket=TERMS)) as listener:
        yield listener.port


@pytest.fixture(autouse=True)
def _nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    CLOSED.clear()
    with caplog.at_level(logging.WARNING):
        yield
    assert not caplog.records, caplog.text


@pytest.fixture
def client(port: int) -> Iterator[RawWebSocket]:
    with RawWebSocket(port) as client:
        yield client


FLOODS: Final = {
    "empty continuations": frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 100_000,
    "empty pongs": frame(PONG) * 100_000,
    "pings": frame(PING, b"x" * 125) * 20_000,
    "empty messages": frame(TEXT) * 100_000,
    "tiny fragments": (frame(BINARY, b"x", fin=False) + frame(CONT, b"y")) * 50_000,
    "all kinds": (frame(PING) + frame(TEXT, fin=False) + frame(PONG) + frame(CONT)) * 25_000,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_frames_ends_its_connection_and_delays_no_other(port: int, flood: str) -> None:
    with RawWebSocket(port) as hostile, RawWebSocket(port) as other:
        send_what_is_taken(hostile, FLOODS[flood])
        began_s = time.monotonic()
        other.say(PING, b"there?")
        assert other.hear() == Frame(PONG, b"there?")
        assert time.monotonic() - began_s < 0.5
        heard = list(hostile.frames())
        if flood == "empty continuations":  # of one message there are too many before there are too many
            assert heard[-1].payload[:2] == (1009).to_bytes(2, "big")
        else:
            assert heard[-1].payload[:2] == (4029).to_bytes(2, "big")
            assert int(heard[-1].payload[2:]) >= 1_000
    assert CLOSED in ([1009], [4029])


def send_what_is_taken(client: RawWebSocket, data: bytes) -> None:
    """As fast as it goes, until the other side has gone."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        client.send(data)


def test_the_rate_leaves_room_for_messages_and_pings(client: RawWebSocket) -> None:
    """Twice what the protocol allows of messages, and a ping with each."""
    for number in range(30):
        client.say(TEXT, b"%d" % number)
        client.say(PING, b"%d" % number)
        assert {client.hear().opcode, client.hear().opcode} == {TEXT, PONG}
        time.sleep(0.1)
    client.say(CLOSE, close_payload(1000))
    assert client.end() == (1000, "")


def test_a_flood_during_the_close_handshake_is_cut_off(port: int) -> None:
    with RawWebSocket(port) as client:
        send_what_is_taken(client, frame(PONG) * 101 + frame(PONG) * 100_000)
        assert client.ends_within(3.0)


@pytest.mark.parametrize("size", [4096, 4097, 5000])
def test_a_message_has_at_most_4096_bytes_in_whatever_fragments(port: int, size: int) -> None:
    for pieces in (1, 3, 64):
        with RawWebSocket(port) as client:
            step = -(-size // pieces)
            parts = [b"x" * min(step, size - start) for start in range(0, size, step)]
            for number, part in enumerate(parts):
                client.say(CONT if number else TEXT, part, fin=number == len(parts) - 1)
            if size == 4096:
                assert client.hear() == Frame(TEXT, b"x" * size)
            else:
                assert client.end()[0] == 1009


def test_a_ping_within_a_message_of_full_size_is_no_part_of_it(client: RawWebSocket) -> None:
    client.say(TEXT, b"x" * 4096, fin=False)
    client.say(PING, b"y" * 125)
    assert client.hear() == Frame(PONG, b"y" * 125)
    client.say(CONT)
    assert client.hear() == Frame(TEXT, b"x" * 4096)


def test_a_message_has_at_most_64_fragments(port: int) -> None:
    for count in (64, 65):
        with RawWebSocket(port) as client:
            for number in range(count):
                client.say(CONT if number else TEXT, b"x", fin=number == count - 1)
            if count == 64:
                assert client.hear() == Frame(TEXT, b"x" * 64)
            else:
                assert client.end() == (1009, "a message has at most 4096 bytes and 64 fragments")


def test_pings_of_a_client_that_reads_nothing_take_one_pong_not_one_each(port: int) -> None:
    """It is closed by the session that it makes wait; here only its memory counts."""
    roomy = SocketTerms(frames=TERMS.frames.__class__(per_s=1e6, burst=1_000_000))
    with echo_server(Bounds(socket=roomy)) as listener:
        client = RawWebSocket(listener.port)
        [protocol] = listener._server.server_state.connections  # type: ignore[union-attr]
        held = []
        for _ in range(200):
            send_what_is_taken(client, frame(PING, b"x" * 125) * 500)
            held.append(protocol.transport.get_write_buffer_size())
        assert max(held) <= 200
        client.say(PING, b"last")
        while client.hear() != Frame(PONG, b"last"):
            pass
        client.sock.close()
