# SPDX-License-Identifier: Apache-2.0
"""A standby process: it has imported a service's modules and waits until its supervisor starts the service.

Importing modules takes half of the time of a start. A standby process has done that and nothing else: it has
no settings, no open files or connections, and has not read the log. Its supervisor
(`taxistream.local.spare`) sends it one line with the environment and the log file.
"""

import gc
import os
import sys
from typing import Final

import msgspec

VARIABLE: Final = "TAXI_SPARE"
"""The environment variable that makes a process a standby process."""
WAITS: Final = b"a spare waits\n"
"""The line that it writes when it is waiting. A program without this module never writes it."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The line that starts a standby process.

    Texts are encoded with `as_text`, because paths and variables may not be UTF-8.
    """

    environ: dict[str, str]
    """The whole environment of the service."""
    log: str
    """The file that its output is appended to."""


def wait_if_spare() -> None:
    """In a standby process, wait for orders and carry them out; in any other process, return at once.

    If the supervisor closes the pipe, the process exits.
    """
    if os.environ.pop(VARIABLE, None) is None:
        return
    gc.collect()
    gc.freeze()  # modules are never freed, so the garbage collector need not check them again
    os.write(sys.stdout.fileno(), WAITS)
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    _obey(msgspec.json.decode(line, type=Orders))


def as_text(name: str | os.PathLike[str]) -> str:
    """The bytes of a path or variable as a string with one character for each byte (Latin-1)."""
    return os.fsencode(name).decode("latin-1")


def _as_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def _obey(orders: Orders) -> None:
    for path, mode, taken in (
        (os.devnull.encode(), os.O_RDONLY, (0,)),
        (_as_bytes(orders.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, (1, 2)),
    ):
        opened = os.open(path, mode, 0o644)
        for number in taken:
            os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    for key, value in orders.environ.items():
        os.environ[os.fsdecode(_as_bytes(key))] = os.fsdecode(_as_bytes(value))
