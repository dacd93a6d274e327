# SPDX-License-Identifier: Apache-2.0
"""A client that gets no line says why, as far as it can know, and does not try in silence for ever."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from taxi.client import (
    CityStream,
    Fault,
    LinkState,
    LinkStatus,
    Problem,
    ProblemKind,
    StreamUnreachableError,
    connect,
)
from taxi.client.link import Link, LinkEvent, step
from taxi.client.protocol import EventType
from tests.unit.client.test_client_sockets import Gateway, serving

SELF_SIGNED = Path(__file__).parent / "localhost.pem"
NEVER_S = 0.6
"""As long as a hopeless attempt may take here."""


async def failure(url: str, give_up_s: float = NEVER_S) -> tuple[str, list[LinkStatus]]:
    """What a client that gives up says, and what its application got before.

    On a busy machine not one attempt may end in that time. Then it gets more.
    """
    while True:
        reported: list[LinkStatus] = []
        async with asyncio.timeout(60), connect(url, on_link=reported.append, give_up_s=give_up_s) as city:
            with pytest.raises(StreamUnreachableError) as caught:
                await anext(city)
            if city.problem is not None:
                assert city.problem.text in str(caught.value)
                return str(caught.value), reported
        assert give_up_s < 10 * NEVER_S
        give_up_s *= 4


@asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: Any
) -> AsyncIterator[int]:
    """A server that is no gateway; its port."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answered, "127.0.0.1", 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def answering(status: HTTPStatus, body: bytes, kind: str = "text/plain") -> AsyncIterator[int]:
    """A server that answers every upgrade with an HTTP status."""

    def refuse(_: ServerConnection, __: Request) -> Response:
        return Response(status, status.phrase, Headers({"Content-Type": kind}), body)

    async with serve(Gateway(), "127.0.0.1", 0, process_request=refuse) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def test_a_wrong_port_is_reported_as_refused_there() -> None:
    async with listening(lambda _, __: asyncio.sleep(0)) as port:
        pass
    text, reported = await failure(f"ws://127.0.0.1:{port}/ws")
    assert text == (
        f"no image within 0.6 s: connection refused at ws://127.0.0.1:{port}: no gateway listens there"
    )
    assert reported[0].state is LinkState.CONNECTING
    assert reported[-1].problem == Problem(
        ProblemKind.UNREACHABLE, text.removeprefix("no image within 0.6 s: ")
    )
    states = {LinkState.CONNECTING, LinkState.WAITING, LinkState.UNREACHABLE, LinkState.STOPPED}
    assert {status.state for status in reported} == states


async def test_a_host_that_does_not_exist_is_named() -> None:
    text, _ = await failure("ws://nowhere.invalid:8000/ws", 2.0)
    assert "there is no host of that name: ws://nowhere.invalid:8000" in text


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (403, b"pages of another origin may not open this socket\n", "text/plain", "pages of another origin"),
        (403, b"", "text/plain", "TAXI_ALLOWED_ORIGINS"),
        (404, b"<html>not here</html>", "text/html", "a gateway's socket is at /ws"),
        (401, b"", "text/plain", "credentials"),
        (503, b'{"detail":"no server is up"}', "application/problem+json", "no server is up"),
        (502, b"<h1>Bad Gateway</h1>", "text/html", "a proxy does not forward WebSockets"),
    ],
)
async def test_an_http_answer_is_reported_with_its_status_and_reason(
    status: int, body: bytes, kind: str, words: str
) -> None:
    async with answering(HTTPStatus(status), body, kind) as port:
        text, reported = await failure(f"ws://127.0.0.1:{port}/ws")
    assert f"ws://127.0.0.1:{port} answers HTTP {status}, and opens no WebSocket: " in text
    assert words in text
    assert reported[-1].problem is not None
    assert reported[-1].problem.kind is ProblemKind.REFUSED


def test_a_server_that_refuses_is_asked_less_often_than_one_that_is_not_there() -> None:
    """The pauses begin to grow after a hundred failures, and a refusal counts as five."""
    connecting, _ = step(Link(), LinkEvent(EventType.RETRY), 0.5)
    refused, _ = step(connecting, LinkEvent(EventType.CLOSED, was_answered=True), 0.5)
    lost, _ = step(connecting, LinkEvent(EventType.CLOSED), 0.5)
    assert (refused.failures, lost.failures) == (5, 1)


async def test_tls_where_none_is_spoken_and_none_where_it_is_are_distinguished() -> None:
    async with serving(Gateway()) as url:
        text, _ = await failure(url.replace("ws://", "wss://"))
    assert "use ws:// instead of wss://" in text
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    async with listening(lambda _, __: asyncio.sleep(0), ssl=context) as port:
        text, _ = await failure(f"ws://127.0.0.1:{port}/ws")
        assert "use wss:// instead of ws://" in text
        text, _ = await failure(f"wss://localhost:{port}/ws")
        assert f"the certificate of wss://localhost:{port}" in text
        assert "is not valid: self" in text


async def test_another_service_on_that_port_is_reported_as_such() -> None:
    """As a Kafka broker does, it reads what it does not understand and hangs up."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    async with listening(hang_up) as port:
        text, _ = await failure(f"ws://127.0.0.1:{port}/ws")
    assert "does not speak HTTP" in text


async def test_a_server_that_says_nothing_is_left_after_a_second() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with listening(silent) as port:
        text, reported = await failure(f"ws://127.0.0.1:{port}/ws", 1.5)
    assert f"nothing answers at ws://127.0.0.1:{port}" in text
    assert sum(status.state is LinkState.CONNECTING for status in reported) == 2


async def test_a_websocket_that_is_no_gateway_is_reported_as_such() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        text, _ = await failure(f"ws://127.0.0.1:{port}/ws")
    assert "is no gateway: it does not speak taxi.v1" in text


@pytest.mark.parametrize("answer", ["no json", "[1]", '{"type":"ready"}', '{"type":"reset"}', "[" * 100_000])
async def test_words_that_make_no_sense_end_the_line_and_not_the_client(answer: str) -> None:
    async def babble(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(answer)
        await socket.wait_closed()

    async with serve(babble, "127.0.0.1", 0, subprotocols=[Subprotocol("taxi.v1")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        text, _ = await failure(f"ws://127.0.0.1:{port}/ws")
    assert "a message of the gateway could not be read" in text


async def test_trouble_that_lasts_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(lambda _, __: asyncio.sleep(0)) as port:
        pass
    with caplog.at_level(logging.WARNING, "taxi.client"):
        await failure(f"ws://127.0.0.1:{port}/ws", 2.0)
    [line] = [record.getMessage() for record in caplog.records if record.name == "taxi.client"]
    assert line.startswith("no connection to a gateway: connection refused")


async def test_who_gave_up_may_go_on_and_is_served_once_there_is_a_gateway() -> None:
    async with listening(lambda _, __: asyncio.sleep(0)) as port:
        pass
    async with asyncio.timeout(20), connect(f"ws://127.0.0.1:{port}/ws", give_up_s=0.3) as city:
        for _ in range(2):
            with pytest.raises(StreamUnreachableError):
                await anext(city)
        async with serve(Gateway(), "127.0.0.1", port, subprotocols=[Subprotocol("taxi.v1")]):
            assert (await anext(city)).loc == 10
            assert city.problem is None


async def test_a_client_that_had_a_view_does_not_give_up() -> None:
    async with asyncio.timeout(20):
        async with serving(Gateway()) as url, connect(url, give_up_s=0.3) as city:
            assert [(await anext(city)).loc for _ in range(3)] == [10, 20, 30]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await anext(city)
            assert city.problem is None


async def test_faults_of_the_gateway_are_reported() -> None:
    fault = Fault("no_positions", "none arrive")
    reported: asyncio.Queue[tuple[Fault, ...]] = asyncio.Queue()

    class Ill(Gateway):
        async def __call__(self, socket: ServerConnection) -> None:
            sending = asyncio.ensure_future(super().__call__(socket))
            await asyncio.sleep(0.1)  # after `ready`, which empties the list
            await socket.send('{"type":"health","faults":[{"code":"no_positions","text":"none arrive"}]}')
            await sending

    async def follow(city: CityStream) -> None:
        async for _ in city:
            pass

    async with serving(Ill()) as url, connect(url, on_health=reported.put_nowait) as city:
        following = asyncio.ensure_future(follow(city))
        async with asyncio.timeout(10):
            assert await reported.get() == (fault,)
        assert city.faults == (fault,)
        following.cancel()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/ws", "127.0.0.1:8000", "ws:///ws", ""])
async def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="no WebSocket address"):
        async with connect(url):
            pass
