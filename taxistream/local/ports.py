# SPDX-License-Identifier: Apache-2.0
"""Which TCP ports are free on this machine, which process has the others, and how to reserve one."""

import errno
import socket
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from taxi.runtime.machine_errors import WRONG_USE, LocalError

LOOPBACK: Final = "127.0.0.1"
HIGHEST: Final = 65535


def why_not(port: int, host: str = LOOPBACK) -> OSError | None:
    """None if a server could listen there now, alone; else what the system says."""
    try:
        with _bound(socket.SOCK_STREAM, port, host) as probe:
            probe.listen(1)
    except OSError as error:
        return error
    return None


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now: alone, without sharing the port."""
    return why_not(port, host) is None


def first_free(port: int, *, taken: frozenset[int] = frozenset()) -> int:
    """The first free port from `port` upwards that is not in `taken`.

    Counting up from a low number stays clear of the range from which the kernel gives outgoing
    connections theirs, so that a server that was killed finds its port free when it comes back.
    """
    for candidate in count(port):
        if candidate > HIGHEST:
            raise LocalError(
                f"No port from {port} upwards is free.", do="Stop a program that listens on one of them."
            )
        if candidate not in taken and is_free(candidate):
            return candidate
    raise AssertionError


def require_free(port: int, *, purpose: str, option: str, host: str = LOOPBACK) -> None:
    """Raise LocalError, naming the port and the process that has it, unless `port` is free."""
    error = why_not(port, host)
    if error is not None:
        raise _refused(error, port, host, purpose, option)


class Holds:
    """Ports that one demo holds against every other on this machine, until they are released.

    To see that a port is free is not enough: the part that will listen there does so a second later, and
    gateways share their port, so two demos on one `--port` would both start. TCP offers no way to keep a
    port for another process. So a demo binds the UDP port of the same number, which no part uses: that is
    atomic, holds against all users, and ends with the process, however it ends.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self.release()

    def take(self, port: int, *, purpose: str, option: str, host: str = LOOPBACK) -> int:
        """Reserve this port. Raises LocalError, naming it and the process that has it, if it is not free."""
        if port in self._sockets:
            raise LocalError(
                f"Port {port} cannot be {purpose} and something else at the same time.",
                do=f"Choose another with {option}.",
                code=WRONG_USE,
            )
        require_free(port, purpose=purpose, option=option, host=host)
        try:
            self._hold(port, host)
        except OSError as error:
            raise _refused(error, port, host, purpose, option) from error
        return port

    def first(self, port: int, *, taken: frozenset[int] = frozenset()) -> int:
        """Hold the first free port from `port` upwards, on loopback, and return it.

        Raises LocalError: none is free up to the highest.
        """
        while True:
            port = first_free(port, taken=taken | self._sockets.keys())
            try:
                self._hold(port, LOOPBACK)
            except OSError:
                port += 1  # another demo was quicker
            else:
                return port

    def release(self) -> None:
        """Let go of all."""
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _hold(self, port: int, host: str) -> None:
        self._sockets[port] = _bound(socket.SOCK_DGRAM, port, host)


def holder(port: int) -> str | None:
    """Name and pid of the process that listens on `port` or holds it, where the system lets us see it."""
    import psutil  # noqa: PLC0415 - only when something is in the way

    try:
        found = [
            c.pid
            for kind in ("tcp", "udp")
            for c in psutil.net_connections(kind)
            if c.laddr and c.laddr.port == port and c.pid
            if kind == "udp" or c.status == psutil.CONN_LISTEN
        ]
        return f"{psutil.Process(found[0]).name()} (pid {found[0]})" if found else None
    except psutil.Error:
        return None


class PortPool:
    """Gives free ports one after the other, none twice in a row: its takers bind them only later."""

    def __init__(self, first: int, *, taken: frozenset[int] = frozenset(), size: int = 500) -> None:
        self._first = first
        self._size = size
        self._next = first
        self._taken = taken

    def take(self) -> int:
        """Raises LocalError when no port from its first upwards is free."""
        port = first_free(self._next, taken=self._taken)
        if port >= self._first + self._size:
            port = first_free(self._first, taken=self._taken)
        self._next = port + 1
        return port


def _bound(kind: socket.SocketKind, port: int, host: str) -> socket.socket:
    """A socket of this kind at that place. Raises OSError (gaierror: `host` is no address)."""
    family, address = _addresses(host, port, kind)[0]
    made = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            # Without it a port counts as taken for a minute after its server has closed connections.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as the gateways' own sockets
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _addresses(host: str, port: int, kind: socket.SocketKind) -> list[tuple[int, tuple[Any, ...]]]:
    """Family and socket address of each place that `host` names. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    return [(family, address) for family, _, _, _, address in found]


def _refused(error: OSError, port: int, host: str, purpose: str, option: str) -> LocalError:
    if error.errno == errno.EADDRINUSE:
        who = holder(port)
        what = f"Port {port} ({purpose}) is taken{f' by {who}' if who else ''}."
        return LocalError(what, do=f"Stop it, or choose another with {option}.", code=WRONG_USE)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return LocalError(
            f"Port {port} ({purpose}) is not for this user: {host}:{port} is refused.",
            do=f"Choose one from 1024 on with {option}.",
            code=WRONG_USE,
        )
    return LocalError(
        f"TAXI_HOST={host}: this machine can't listen there ({error.strerror or error}).",
        do="Choose one of its addresses; 0.0.0.0 means all.",
        code=WRONG_USE,
    )
