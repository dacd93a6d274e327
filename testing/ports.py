# SPDX-License-Identifier: Apache-2.0
"""Ports for tests that run side by side: each process has a range of its own, locked while it lives.

To look whether a port is free is not enough: a broker binds the one it was given a second later, and what
another process started in between gets it first.
"""

import fcntl
import tempfile
from pathlib import Path
from typing import IO

from taxistream.local.ports import PortPool

_FIRST, _EACH, _RANGES = 22_000, 50, 200
"""All below 32,768, where the kernel begins to give outgoing connections theirs."""
_LOCKS = Path(tempfile.gettempdir()) / "taxistream-test-ports"


def claim() -> tuple[PortPool, IO[bytes]]:
    """Ports that no other test process takes until the file that comes with them is closed."""
    _LOCKS.mkdir(exist_ok=True)
    for number in range(_RANGES):
        lock = (_LOCKS / str(_FIRST + number * _EACH)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return PortPool(_FIRST + number * _EACH, size=_EACH), lock
    raise AssertionError(f"every range in {_LOCKS} is locked")
