# SPDX-License-Identifier: Apache-2.0
"""A process that has loaded what its service is made of, and waits to be told which one it is.

Loading modules is half of a start. A spare has done that, and nothing else: it has no settings, has opened
nothing and knows nothing of the log. Its supervisor (`taxi.local.spare`) tells it the rest in one line.
"""

import gc
import os
import sys
from typing import Final

import msgspec

VARIABLE: Final = "TAXI_SPARE"
"""Set in the environment of a process that is to wait."""
WAITS: Final = b"a spare waits\n"
"""What it says when it does: whoever does not know of spares never says so."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a spare becomes."""

    environ: dict[str, str]
    """The whole environment."""
    log: str
    """Where its output goes, appended."""


def wait_if_spare() -> None:
    """Return at once in an ordinary process; in a spare when there are orders. Exits where none come."""
    if os.environ.pop(VARIABLE, None) is None:
        return
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection need look at it again
    os.write(sys.stdout.fileno(), WAITS)
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    _obey(msgspec.json.decode(line, type=Orders))


def _obey(orders: Orders) -> None:
    for path, mode, taken in (
        (os.devnull, os.O_RDONLY, (0,)),
        (orders.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, (1, 2)),
    ):
        opened = os.open(path, mode, 0o644)
        for number in taken:
            os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(orders.environ)
