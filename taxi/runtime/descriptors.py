# SPDX-License-Identifier: Apache-2.0
"""The limit of file descriptors: every connection uses one.

A process starts with the soft limit, 1,024 on most machines and 256 on macOS, and may raise it to the hard
limit. If no descriptor is left, the event loop accepts new connections and drops them without an error, and
Kafka connections can't be opened again. Listeners therefore leave some descriptors free.
"""

import errno
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

WANTED: Final = 65_536
"""More than the largest gateway needs. The hard limit may be a billion, and some programs loop up to it."""
RESERVE: Final = 64
"""Descriptors that clients don't get: for Kafka, files and the admin port."""
_SHARE: Final = 8
"""The reserve is at most the limit divided by this."""
_ATTEMPTS: Final = (WANTED, 10_240, 4_096)
"""Soft limits to try: macOS has a maximum of its own that is below the hard limit."""


class _Log(Protocol):
    def info(self, event: str, **fields: Any) -> Any: ...


def raise_limit(log: _Log | None = None) -> int:
    """Raise the soft limit as far as possible, up to `WANTED`, and return it. Child processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WANTED
    for wanted in _ATTEMPTS:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if limit <= soft:
            break
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            if log is not None:
                log.info("descriptor limit raised", before=soft, now=limit)
            return limit
    return soft


def limit() -> int:
    """The soft limit of this process; `WANTED` if it is unlimited."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def reserve() -> int:
    """How many descriptors to keep free of clients."""
    return min(RESERVE, limit() // _SHARE)


def in_use() -> int:
    """How many descriptors this process has open. It takes about a microsecond for each."""
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir()) - 1  # one of them is that of the listing
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            return limit()
        raise
