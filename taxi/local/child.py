# SPDX-License-Identifier: Apache-2.0
"""Child processes that die with their parent, and their log files."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LOG_BYTES_MAX: Final = 4 << 20


def on_a_leash(command: Sequence[str]) -> list[str]:
    """The same command, run so that it does not outlive this process, even a killed one (Linux).

    Elsewhere there is no such thing: there the next start clears away what an unclean end left.
    """
    if sys.platform != "linux":
        return list(command)
    leash = Path(__file__).with_name("leash.py")
    return [sys.executable, "-I", "-S", str(leash), str(os.getpid()), *command]


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def keep_small(log: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Move what a long log holds to NAME.log.1, replacing that. Safe while a process appends to it."""
    if not log.is_file() or log.stat().st_size <= bytes_max:
        return
    log.with_name(log.name + ".1").write_bytes(log.read_bytes()[-bytes_max:])
    # Writers have the file open for appending: cut to nothing, they go on at its start.
    with log.open("r+b") as file:
        file.truncate()
