# SPDX-License-Identifier: Apache-2.0
"""Child processes that die with their parent, and their log files."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

LOG_BYTES_MAX: Final = 4 << 20


def with_parent_death_signal(command: Sequence[str]) -> list[str]:
    """The same command, run so that it does not outlive this process, even a killed one (Linux).

    Elsewhere there is no such thing: there the next start clears away what an unclean end left.
    """
    if sys.platform != "linux":
        return list(command)
    parent_death = Path(__file__).with_name("parent_death.py")
    return [sys.executable, "-I", "-S", str(parent_death), str(os.getpid()), *command]


def tail(log: Path, lines: int = 15, *, start: int = 0, bytes_max: int = 16_384) -> str:
    """The last lines of a log, at most `bytes_max`, of those from the byte `start` on.

    Empty if it cannot be read.
    """
    try:
        with log.open("rb") as file:
            size = log.stat().st_size
            # A start beyond the end: the log was made small since.
            file.seek(max(start if start <= size else 0, size - bytes_max, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def keep_small(log: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Move what a long log holds to NAME.log.1, replacing that. Safe while a process appends to it.

    Raises OSError: there is no room for that; the log stays as it is.
    """
    if not log.is_file() or log.stat().st_size <= bytes_max:
        return
    before = log.with_name(log.name + ".1")
    try:
        with log.open("rb") as file:
            file.seek(-bytes_max, os.SEEK_END)
            before.write_bytes(file.read(bytes_max))
    except OSError:
        before.unlink(missing_ok=True)
        raise
    # Writers have the file open for appending: cut to nothing, they go on at its start.
    with log.open("r+b") as file:
        file.truncate()


def send_signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child; nothing happens if it has ended.

    `Process.send_signal` looks first whether the child has ended, and so takes its exit code away from
    asyncio, which then prints "Unknown child process" and says 255 (CPython 3.11 to 3.14).
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
