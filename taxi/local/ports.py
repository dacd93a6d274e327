# SPDX-License-Identifier: Apache-2.0
"""Which TCP ports are free on loopback, and who has the others."""

import socket
from itertools import count

from taxi.local.errors import WRONG_USE, LocalError


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now: alone, without sharing the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Without it a port counts as taken for a minute after its server has closed connections.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def first_free(port: int, *, taken: frozenset[int] = frozenset()) -> int:
    """The first free port from `port` upwards that is not in `taken`.

    Counting up from a low number stays clear of the range from which the kernel gives outgoing
    connections theirs, so that a server that was killed finds its port free when it comes back.
    """
    for candidate in count(port):
        if candidate > 65535:
            raise LocalError(f"No port from {port} upwards is free.", do="Stop something that listens.")
        if candidate not in taken and is_free(candidate):
            return candidate
    raise AssertionError


def require_free(port: int, *, purpose: str, option: str, host: str = "127.0.0.1") -> None:
    """Raise LocalError, naming the port and who has it, unless `port` is free."""
    if is_free(port, host):
        return
    who = holder(port)
    raise LocalError(
        f"Port {port} ({purpose}) is taken{f' by {who}' if who else ''}.",
        do=f"Stop it, or choose another with {option}.",
        code=WRONG_USE,
    )


def holder(port: int) -> str | None:
    """Name and pid of the process that listens on `port`, where the system lets us see it."""
    import psutil  # noqa: PLC0415 - only when something is in the way

    try:
        listening = [
            c.pid
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid
        ]
        return f"{psutil.Process(listening[0]).name()} (pid {listening[0]})" if listening else None
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
