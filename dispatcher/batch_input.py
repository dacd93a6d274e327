# SPDX-License-Identifier: Apache-2.0
"""What a batch is decided from: its part of both inputs, and the offsets where it ends."""

from dataclasses import dataclass
from hashlib import blake2b

from taxi.bus import Damaged, Record
from taxi.messages import AnyCommand
from taxi.positions.columns import NO_FIXES, FixColumns
from taxi.runtime.tracing import Trace
from taxi.state import LOCATIONS_RECREATED

__all__ = ["LOCATIONS_RECREATED", "BatchInput", "EpochToBegin", "ReadCommand", "Skipped", "digest"]


@dataclass(frozen=True, slots=True)
class ReadCommand:
    """A command as read. `trace` is its place in its sender's trace."""

    command: AnyCommand
    append_ms: int
    """Append time by the broker's clock; log time once `in_log_time` has shifted it."""
    trace: Trace


@dataclass(frozen=True, slots=True)
class Skipped:
    """Input that retention took away before it was read: offsets first … next − 1."""

    topic: str
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class EpochToBegin:
    """The epoch of the city's history that a batch begins, and why. Not the epoch of a producer."""

    epoch: str
    reason: str


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class BatchInput:
    """The input of one batch, in offset order, and where it ends."""

    commands: tuple[ReadCommand, ...] = ()
    fixes: FixColumns = NO_FIXES
    commands_offset: int
    """The next command to read."""
    locations_offset: int
    """The next position to read."""
    commands_digest: str = ""
    locations_digest: str = ""
    heard_ms: int = 0
    """The greatest append time of the commands read, unreadable ones included."""
    commands_alone: bool = False
    """No position has come for a while: commands alone move log time."""
    behind: bool = False
    """Commands were left unread: time limits of rides are judged as of the last one that was read."""
    epoch_to_begin: EpochToBegin | None = None
    skipped: tuple[Skipped, ...] = ()
    replaced_producer_id: int | None = None
    """The producer id of the batches before, if this is the first one of another producer id; else None."""


def digest(record: Record) -> str:
    """Names a record and its place: another record there means that the topic was recreated.

    Empty for one that could not be parsed: where such a range begins depends on who reads it from where.
    """
    if isinstance(record, Damaged):
        return ""
    text = repr((record.offset, record.timestamp_ms, record.key, record.value))
    return blake2b(text.encode(), digest_size=8).hexdigest()
