# SPDX-License-Identifier: Apache-2.0
"""What Kafka's and Java's own words mean for the person whose machine it is."""

import re
from enum import Enum
from typing import Final


class Cause(Enum):
    """A known cause: what is wrong (continues a sentence), and what to do."""

    DISK_FULL = ("the disk is full", "Make room on that disk (`df -h` and `df -i` show how full it is).")
    QUOTA = ("your quota on the disk is used up", "Make room, or ask its administrator for more.")
    FILE_SIZE = ("a limit on file sizes was reached", "See `ulimit -f`: Kafka writes files of 16 MB.")
    READ_ONLY = ("the disk is mounted read-only", "Mount it for writing, or choose another --data-dir.")
    DISK_ERROR = ("the disk reports an error", "Read the system's log, or choose another --data-dir.")
    OPEN_FILES = ("it cannot open enough files", "Raise the limit: `ulimit -n 4096`.")
    PORT_TAKEN = ("another program has its port", "Choose another with --kafka-port.")
    DATA_IN_USE = ("another Kafka uses its data", "Stop that one, or choose another --data-dir.")
    NOT_ALLOWED = ("it has no right to write its files", "Change their owner, or choose another --data-dir.")
    MEMORY = ("it cannot get the memory it needs", "Close other programs, or see `ulimit -v`: 400 MB.")
    THREADS = ("it cannot start its threads", "Close other programs, or see `ulimit -u`: about 100.")

    @property
    def what(self) -> str:
        return self.value[0]

    @property
    def do(self) -> str:
        return self.value[1]


STORAGE: Final = frozenset({Cause.DISK_FULL, Cause.QUOTA, Cause.READ_ONLY})
"""Causes that end when the disk can be written again."""
_PATTERNS: Final = {
    "No space left on device": Cause.DISK_FULL,
    # What a write to a mapped file without room behind it ends in.
    "a fault occurred in .*unsafe memory access": Cause.DISK_FULL,
    "Disk quota exceeded": Cause.QUOTA,
    "File too large": Cause.FILE_SIZE,
    "Read-only file system": Cause.READ_ONLY,
    "Input/output error": Cause.DISK_ERROR,
    "Too many open files": Cause.OPEN_FILES,
    "Address already in use": Cause.PORT_TAKEN,
    "Failed to acquire lock on file": Cause.DATA_IN_USE,
    "Permission denied|AccessDenied": Cause.NOT_ALLOWED,
    "unable to create native thread|pthread_create failed|Failed to start the native thread": Cause.THREADS,
    "Could not reserve enough space|insufficient memory|Cannot allocate|OutOfMemoryError": Cause.MEMORY,
}
_FRAME: Final = re.compile(r"\s*(at [\w.$/<>@]+\(.*\).*|\.\.\. \d+ (more|common frames omitted))\s*")


def explain(said: str) -> Cause | None:
    """The first known cause that Java's output names, None if it names none."""
    return next((cause for pattern, cause in _PATTERNS.items() if re.search(pattern, said)), None)


def without_stack_traces(said: str) -> str:
    """The same lines without the frames of Java's stack traces."""
    return "\n".join(line for line in said.splitlines() if not _FRAME.fullmatch(line))
