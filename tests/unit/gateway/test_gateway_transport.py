# SPDX-License-Identifier: Apache-2.0
"""Real sockets: frames made once reach real WebSocket clients, and a reader that stops is noticed."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
import uvloop
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.typing import Subprotocol

from gateway.stream.frames import DEFLATE, PLAIN, Parcel
from gateway.stream.messages import MESSAGE_BYTES_MAX
from gateway.stream.transport import SocketConnection, WebListener, bind, listening
from taxi.client.protocol import SUBPROTOCOL
from taxi.runtime.entry import EntryRules
from taxi.runtime.origins import parse_origins


@dataclass
class Place:
    """A listener and its address."""

    listener: WebListener

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.listener.port}/ws"

    async def pair(
        self, origin: str | None = None, compression: str | None = "deflate"
    ) -> tuple[SocketConnection, ClientConnection]:
        """Both ends of a new connection."""
        arrival = asyncio.create_task(self.listener.accept())
        headers = {"Origin": origin} if origin else {}
        subprotocols = [Subprotocol("other"), Subprotocol(SUBPROTOCOL)]
        client = await connect(
            self.url, subprotocols=subprotocols, additional_headers=headers, compression=compression
        )
        return await arrival, client


@contextlib.asynccontextmanager
async def place(allowed: str = "", port: int = 0, trusted: str = "") -> AsyncIterator[Place]:
    async def hello(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    rules = EntryRules(origins=parse_origins(allowed), proxies=trusted)
    async with listening(bind("127.0.0.1", port, reuse_port=True), rules) as listener:
        routes = [Route("/", hello)]
        listener.attach(Starlette(routes=routes))
        listener.open()
        await until(lambda: listener.is_listening)
        yield Place(listener)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - a socket rings no bell
            await asyncio.sleep(0.005)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    uvloop.run(bounded())


def test_messages_of_every_size_arrive_whole_and_in_order() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000]
            for size in sizes:
                ours.send(b"\x01" * size)
                ours.send("é" * size)
            for size in sizes:
                assert await theirs.recv() == b"\x01" * size
                assert await theirs.recv() == "é" * size
            await theirs.close()

    run(scenario)


def test_a_message_made_once_reaches_many_whatever_they_negotiated() -> None:
    async def scenario() -> None:
        async with place() as here:
            pairs = [await here.pair(compression=how) for how in ("deflate", "deflate", None, None)]
            parcel = Parcel(b"cut" * 1000)
            for ours, _ in pairs:
                ours.write(parcel.wire(ours.form, len(pairs)))  # type: ignore[arg-type]  # bytes, of either form
            assert [ours.form for ours, _ in pairs] == [DEFLATE, DEFLATE, PLAIN, PLAIN]
            for _, theirs in pairs:
                assert await theirs.recv() == b"cut" * 1000
                await theirs.close()

    run(scenario)


def test_neither_side_keeps_a_window_between_messages() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            [extension] = theirs.protocol.extensions
            assert isinstance(extension, PerMessageDeflate)
            assert extension.local_no_context_takeover
            assert extension.remote_no_context_takeover
            await theirs.send("compressed by the client, " * 20)
            assert await ours.receive() == "compressed by the client, " * 20
            for size in (10_000, 300_000):
                ours.write(Parcel(b"ab" * size, is_large=True).wire(ours.form, 1))  # type: ignore[arg-type]
                assert await theirs.recv() == b"ab" * size
            await theirs.close()

    run(scenario)


def test_who_has_a_smaller_window_than_ours_gets_plain_frames() -> None:
    async def scenario() -> None:
        async with place() as here:
            arrival = asyncio.create_task(here.listener.accept())
            small = ClientPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=True)
            theirs = await connect(here.url, extensions=[small], compression=None)
            ours = await arrival
            assert ours.form == PLAIN
            ours.send(b"x" * 5000)
            assert await theirs.recv() == b"x" * 5000
            await theirs.close()

    run(scenario)


def test_a_bomb_is_not_unpacked() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            await theirs.send("x" * (1 << 20))
            assert await ours.receive() is None
            with pytest.raises(ConnectionClosed) as closed:
                await theirs.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    run(scenario)


def test_what_a_client_says_is_received_until_it_leaves() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            assert theirs.subprotocol == SUBPROTOCOL
            await theirs.send("hello")
            await theirs.send(b"\x00")
            assert await ours.receive() == "hello"
            assert await ours.receive() == b"\x00"
            await theirs.close()
            assert await ours.receive() is None
            assert await ours.receive() is None
            ours.send(b"into the void")

    run(scenario)


def test_messages_that_come_at_once_are_received_one_by_one() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            for number in range(90):  # more would be more frames at once than a client may send
                await theirs.send(str(number))
            assert [await ours.receive() for _ in range(90)] == [str(number) for number in range(90)]
            await theirs.send("last words")
            await theirs.close()
            assert await ours.receive() == "last words"
            assert await ours.receive() is None

    run(scenario)


def test_a_client_that_vanishes_without_a_word_is_gone() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            waiting = asyncio.create_task(ours.receive())
            theirs.transport.abort()
            assert await waiting is None
            ours.send(b"into the void")
            ours.write(b"into the void")
            assert ours.backlog() == 0
            ours.close(4001, "250")

    run(scenario)


def test_who_waits_in_receive_is_woken_by_a_close_of_our_own() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            waiting = asyncio.create_task(ours.receive())
            await asyncio.sleep(0)
            ours.close(4401, "the token has expired")
            assert await waiting is None
            with pytest.raises(ConnectionClosed):
                await theirs.recv()

    run(scenario)


def test_the_applications_call_ends_and_the_socket_lives_on() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            server = here.listener._server
            assert server is not None
            await until(lambda: not server.server_state.tasks)
            ours.send("still here")
            assert await theirs.recv() == "still here"
            await theirs.close()

    run(scenario)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer"),
    [
        ("", "203.0.113.9", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.0/8", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1,203.0.113.9", "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        ("10.0.0.0/8", "203.0.113.9", "127.0.0.1"),
    ],
)
def test_a_proxy_is_believed_only_where_it_is_trusted(trusted: str, forwarded: str, peer: str) -> None:
    async def scenario() -> None:
        async with place(trusted=trusted) as here:
            arrival = asyncio.create_task(here.listener.accept())
            theirs = await connect(here.url, additional_headers={"X-Forwarded-For": forwarded})
            assert (await arrival).peer == peer
            await theirs.close()

    run(scenario)


def test_a_client_hears_with_which_code_and_why_it_is_closed() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            ours.send("last words")
            ours.close(4001, "250")
            ours.close(4002, "never heard")
            ours.send("never heard")
            assert await theirs.recv() == "last words"
            with pytest.raises(ConnectionClosed) as closed:
                await theirs.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "250")

    run(scenario)


def test_a_message_above_the_limit_ends_the_connection() -> None:
    async def scenario() -> None:
        async with place() as here:
            ours, theirs = await here.pair()
            await theirs.send("x" * (MESSAGE_BYTES_MAX + 1))
            assert await ours.receive() is None
            with pytest.raises(ConnectionClosed):
                await theirs.recv()

    run(scenario)


@pytest.mark.parametrize(
    ("origin", "allowed", "enters"),
    [
        (None, "", True),
        ("http://127.0.0.1:{port}", "", True),
        ("http://evil.example", "", False),
        ("null", "", False),
        ("https://taxi.example", "https://taxi.example:443/", True),
    ],
)
def test_only_pages_of_this_origin_may_open_the_socket(
    origin: str | None, allowed: str, enters: bool
) -> None:
    async def scenario() -> None:
        async with place(allowed) as here:
            sent_origin = origin.format(port=here.listener.port) if origin else None
            if enters:
                _, theirs = await here.pair(sent_origin)
                await theirs.close()
            else:
                with pytest.raises(InvalidStatus) as refused:
                    await connect(here.url, additional_headers={"Origin": str(sent_origin)})
                assert refused.value.response.status_code == 403

    run(scenario)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n", 403),
        ("GET / HTTP/1.0\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n", 200),
        ("GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n{upgrade}", 400),
        ("GET /ws HTTP/1.1\r\nHost: [\r\n{upgrade}", 400),
        ("GET /ws HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n{upgrade}", 403),
        ("GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n{upgrade}", 403),
        ("GET /socket HTTP/1.1\r\nHost: localhost\r\n{upgrade}", 404),
        ("GET /ws/ HTTP/1.1\r\nHost: localhost\r\n{upgrade}", 404),
    ],
)
def test_what_is_not_let_in_gets_a_problem_document(lines: str, status: int) -> None:
    async def scenario() -> None:
        async with place() as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.listener.port)
            writer.write(
                lines.format(upgrade=UPGRADE).encode()
                + b"Connection: close\r\n" * ("{" not in lines)
                + b"\r\n"
            )
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            first, *rest = head.lower().split(b"\r\n")
            assert first.split()[1] == str(status).encode()
            if status != 200:
                assert b"content-type: application/problem+json" in rest
                assert b"x-content-type-options: nosniff" in rest
                assert json.loads(body)["status"] == status

    run(scenario)


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def test_a_reader_that_stops_shows_as_backlog_after_little_and_can_be_closed() -> None:
    async def scenario() -> None:
        async with place() as here:
            arrival = asyncio.create_task(here.listener.accept())
            reader, writer = await raw_client(here.listener.port)
            ours = await arrival
            sent, chunk = 0, b"x" * 16_384
            while not ours.backlog():
                ours.send(chunk)
                sent += len(chunk)
                await asyncio.sleep(0.001)
                assert sent < 64 << 20, "the kernel hides this client"
            ours.close(4002, "too slow")
            await until(lambda: ours.backlog() == 0)  # the socket is gone, with all it held
            writer.close()
            assert reader is not None

    run(scenario)


async def raw_client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket client that never reads, with a small buffer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    head = (
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    writer.write(head.encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_no_client_is_let_in_before_it_opens_and_no_new_one_after_it_closes() -> None:
    async def scenario() -> None:
        async with listening(bind("127.0.0.1", 0, reuse_port=True)) as listener:
            with pytest.raises(ConnectionRefusedError):
                await connect(f"ws://127.0.0.1:{listener.port}/ws")
        async with place() as here:
            ours, theirs = await here.pair()
            here.listener.close()
            with pytest.raises(ConnectionRefusedError):
                await connect(here.url)
            ours.send("still here")
            assert await theirs.recv() == "still here"
            await theirs.close()

    run(scenario)


def test_two_gateways_share_one_port_and_one_of_them_is_enough() -> None:
    async def scenario() -> None:
        async with place() as one:
            async with place(port=one.listener.port):
                pass
            async with httpx.AsyncClient() as web:
                answer = await web.get(f"http://127.0.0.1:{one.listener.port}/")
                assert answer.text == "hello"

    run(scenario)


def test_a_port_that_another_program_holds_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1], reuse_port=True)
