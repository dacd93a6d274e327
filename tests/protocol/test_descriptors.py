# SPDX-License-Identifier: Apache-2.0
"""A process that runs out of descriptors: new clients still come in, or are refused, and old ones stay."""

import contextlib
import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from testing.raw_sockets import TEXT, Frame, Raw, RawWebSocket, handshake

HARD = 256


@dataclass
class Server:
    """The echo server in a process of its own."""

    port: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    """What it logged."""

    def said(self, event: str, **fields: Any) -> bool:
        return any({"event": event, **fields}.items() <= line.items() for line in list(self.lines))


@contextlib.contextmanager
def server(soft: int, hard: int) -> Iterator[Server]:
    """With so many descriptors."""
    limits = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec "
    command = limits + shlex.join([sys.executable, "-m", "tests.protocol.echo", "0"])
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = Server()
        for line in process.stdout:
            if line.strip().isdigit():
                found.port = int(line)
                break
            found.lines.append(json.loads(line))
        reading = threading.Thread(
            target=lambda: found.lines.extend(json.loads(line) for line in process.stdout or ())
        )
        reading.start()
        try:
            yield found
        finally:
            process.kill()
            reading.join(10)


def until(what: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)


def assert_echoes(client: RawWebSocket, within_s: float = 2.0) -> None:
    began_s = time.monotonic()
    client.say(TEXT, b"there?")
    assert client.hear() == Frame(TEXT, b"there?")
    assert time.monotonic() - began_s < within_s


@pytest.mark.parametrize("begun", [b"", b"GET / HTT", b"POST / HTTP/1.1\r\nHost: here\r\n"])
def test_idle_connections_make_room_for_new_ones(begun: bytes) -> None:
    with server(64, HARD) as here, contextlib.ExitStack() as stack:
        assert here.said("descriptor limit raised", before=64, now=HARD)
        old = stack.enter_context(RawWebSocket(here.port))
        for _ in range(2 * HARD):
            raw = stack.enter_context(Raw(here.port))
            with contextlib.suppress(ConnectionError):
                raw.send(begun)
        assert_echoes(stack.enter_context(RawWebSocket(here.port)))
        assert_echoes(old)
        with Raw(here.port) as web:
            web.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert web.answer().body == b"hello"
        until(lambda: here.said("fault", code="descriptors_low"))
        until(lambda: here.said("connections refused"))
        [line] = [line for line in here.lines if line["event"] == "connections refused"]
        assert line["by_descriptors"] > 0


def test_if_all_descriptors_are_taken_by_clients_new_ones_are_refused_and_the_old_stay() -> None:
    with server(HARD, HARD) as here, contextlib.ExitStack() as stack:
        assert not here.said("descriptor limit raised")
        old: list[RawWebSocket] = []
        with contextlib.suppress(ConnectionError, EOFError):
            while len(old) < 2 * HARD:
                old.append(stack.enter_context(RawWebSocket(here.port)))
        assert HARD - 80 < len(old) < HARD
        with Raw(here.port) as refused, contextlib.suppress(ConnectionError):
            refused.send(handshake(here.port))
            with pytest.raises((EOFError, ConnectionError)):
                refused.answer()
        until(lambda: here.said("fault", code="descriptors_low"))
        for client in old:
            assert_echoes(client)
        for client in old[:20]:
            client.sock.close()
        until(lambda: comes_in(here.port))
        until(lambda: here.said("fault cleared", code="descriptors_low"))


def comes_in(port: int) -> bool:
    try:
        with RawWebSocket(port) as client:
            assert_echoes(client)
    except (ConnectionError, EOFError):
        return False
    return True
