# SPDX-License-Identifier: Apache-2.0
"""The gateway's own listener as an echo server, on a thread of its own.

    python -m tests.protocol.echo PORT

serves ws://127.0.0.1:PORT/ws until it is stopped, for test suites of others. Port 0 is any free one.
"""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import uvloop
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.access.limits import Rate
from gateway.stream.transport import Bounds, SocketConnection, WebListener, bind, listening
from gateway.stream.websocket import SocketTerms
from taxi.runtime import descriptors
from taxi.runtime.admission import Admission
from taxi.runtime.faults import Faults

ROOMY: Final = SocketTerms(message_bytes=32 << 20, fragments=1 << 20, frames=Rate(per_s=1e6, burst=1_000_000))
"""So that the rules of the RFC are met before any limit of the product is."""


@contextlib.contextmanager
def echo_server(bounds: Bounds | None = None) -> Iterator[WebListener]:
    """Send back what comes, until the block ends."""
    began: list[WebListener] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()

    async def serve() -> None:
        async with _open(bounds or Bounds(socket=ROOMY), 0) as listener:
            began.append(listener)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield began[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@contextlib.asynccontextmanager
async def _open(bounds: Bounds, port: int) -> AsyncIterator[WebListener]:
    async with listening(bind("127.0.0.1", port, reuse_port=False), bounds=bounds) as listener:
        listener.attach(
            Starlette(
                routes=[
                    Route("/", _hello, methods=["GET", "POST"]),
                    Route("/body", _size, methods=["POST"]),
                    Route("/large", _large),
                ],
                exception_handlers={ClientDisconnect: _gone},
            )
        )
        listener.open()
        while not listener.is_listening:  # noqa: ASYNC110 - a socket rings no bell
            await asyncio.sleep(0.005)
        welcoming = asyncio.create_task(_welcome(listener))
        yield listener
        welcoming.cancel()
        await asyncio.wait([welcoming])


async def _gone(_: Request, __: Exception) -> Response:
    """As the gateway's own application: a client that left gets nothing."""
    return Response(status_code=400)


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def _size(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _large(_: Request) -> Response:
    return Response(b"x" * (8 << 20))


async def _welcome(listener: WebListener) -> None:
    async with asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(_echo(await listener.accept()))


async def _echo(connection: SocketConnection) -> None:
    while (message := await connection.receive()) is not None:
        connection.send(message)


class _Printer:
    """Log and metrics of the process: lines on standard output."""

    def note(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event} | fields), flush=True)

    info = warning = note

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """It is not scraped."""


async def _main(port: int) -> None:
    printer, faults = _Printer(), Faults()
    faults.attach(printer, printer)
    descriptors.raise_limit(printer)
    bounds = Bounds(socket=ROOMY, admission=Admission(log=printer, faults=faults))
    async with _open(bounds, port) as listener:
        print(listener.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_main(int(sys.argv[1])))
