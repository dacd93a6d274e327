# SPDX-License-Identifier: Apache-2.0
"""Accepts connections a few at a time, and asks `Admission` about each.

asyncio's own server accepts the whole backlog at once. A thousand new connections then delay all existing
ones, and if no descriptor is left, new connections are dropped without an error. Here the loop does other
work after every few connections.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Final

from taxi.runtime.admission import Admission
from taxi.runtime.http import BoundedHttp

AT_ONCE: Final = 16
"""Connections to admit in one callback, some milliseconds of work; then the loop does other work."""
_ACCEPTED_AT_ONCE: Final = 128
"""Connections to accept in one callback, including refused ones. Refusing is cheap, and the kernel's backlog
should not overflow with them."""
_PAUSE_S: Final = 0.1
"""Pause after an accept that failed because of a resource limit, as the next one would fail at once, too."""
_OF_THIS_CONNECTION: Final = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN})


class Acceptor:
    """A listening socket. It replaces the `asyncio.Server` in uvicorn."""

    def __init__(
        self, listening: socket.socket, make: Callable[[], BoundedHttp], admission: Admission
    ) -> None:
        self.sockets = [listening]
        self._listening = listening
        self._make = make
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def open(self, backlog: int) -> None:
        """Start to listen and accept. `backlog`: as in `socket.listen`."""
        self._listening.setblocking(False)
        self._listening.listen(backlog)
        self._loop.add_reader(self._listening, self._accept_some)

    def close(self) -> None:
        """Stop listening. Accepted connections stay open. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listening)
            self._listening.close()

    async def wait_closed(self) -> None:
        """Returns at once; part of the interface of `asyncio.Server`."""

    def _accept_some(self) -> None:
        admitted = 0
        for _ in range(_ACCEPTED_AT_ONCE):
            if admitted == AT_ONCE:
                return
            if not self._admission.may_accept:
                return
            try:
                accepted, address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _OF_THIS_CONNECTION:
                    continue
                self._pause(error)
                return
            admitted += self._admit(accepted, str(address[0]) if isinstance(address, tuple) else "?")

    def _admit(self, accepted: socket.socket, peer: str) -> bool:
        now_s = self._loop.time()
        if not self._admission.may_come(peer, now_s):
            accepted.close()
            return False
        protocol = self._make()
        if not self._admission.enter(protocol, peer, now_s):
            accepted.close()
            return False
        task = self._loop.create_task(self._connect(protocol, accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    async def _connect(self, protocol: BoundedHttp, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        try:
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError:  # the peer has closed it already
            self._admission.leave(protocol)
            accepted.close()

    def _pause(self, error: OSError) -> None:
        """Stop accepting for `_PAUSE_S` after an error that is not about one connection (EMFILE, ENOMEM)."""
        self._admission.fell_short(error, self._loop.time())
        self._loop.remove_reader(self._listening)
        self._loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listening, self._accept_some)
