# SPDX-License-Identifier: Apache-2.0
"""What a batch is decided from: the input between two cuts of the log."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from taxi.bus import Record
from taxi.fix_columns import NO_FIXES, FixColumns
from taxi.messages import AnyCommand
from taxi.runtime.tracing import Trace


@dataclass(frozen=True, slots=True)
class ReadCommand:
    """A command as read. `trace` is where it stands in its sender's trace."""

    command: AnyCommand
    append_ms: int
    trace: Trace


@dataclass(frozen=True, slots=True)
class Skipped:
    """Input that retention took away before it was read: offsets first … next − 1."""

    topic: str
    first: int
    next: int


LOCATIONS_RECREATED: Final = frozenset({"locations_recreated", "inputs_recreated"})
"""Why an epoch started before which no fix is known: theirs was another topic."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """A new epoch to begin, and why."""

    epoch: str
    reason: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Cut:
    """The input of one batch, in offset order, and where it ends."""

    commands: tuple[ReadCommand, ...] = ()
    fixes: FixColumns = NO_FIXES
    commands_offset: int
    """The next command to read."""
    locations_offset: int
    """The next fix to read."""
    commands_digest: str = ""
    locations_digest: str = ""
    heard_ms: int = 0
    """The greatest append time of the records read, unreadable ones included."""
    epoch: Epoch | None = None
    skipped: tuple[Skipped, ...] = ()


def digest(record: Record) -> str:
    """Names a record and its place: another record there means that the topic was made anew."""
    text = repr((record.offset, record.timestamp_ms, record.key, record.value))
    return blake2b(text.encode(), digest_size=8).hexdigest()
