# SPDX-License-Identifier: Apache-2.0
"""Dead letters: what could not be read is put aside with the reason, and nothing stops.

They are sent before the batch that passes them is committed, so none is lost. A crash between the two
sends them again; the key is the source, so a repeat is seen as one.

A flood of them costs little: of neighbours in one read the first few have letters of their own, with their
bytes, and all others share one that names the range of their offsets. The bytes are still on their topic.
"""

import base64
from collections.abc import Sequence
from typing import Final

from taxi.bus import Bus, Damaged, Outgoing, Producer
from taxi.messages import DeadLetter, codec
from taxi.messages.codec import DecodeError
from taxi.runtime import tracing
from taxi.topics import DEAD_LETTERS

_KEY_BYTES_MAX: Final = 1024
_VALUE_BYTES_MAX: Final = 16 * 1024
_REASON_MAX: Final = 500
ALONE_MAX: Final = 10
"""Of neighbours, so many have letters of their own."""


class DeadLetters:
    """Writes to the dead letters of one partition; connects when there is the first."""

    def __init__(self, bus: Bus, partition: int, found_by: str) -> None:
        self._bus = bus
        self._partition = partition
        self._found_by = found_by
        self._producer: Producer | None = None

    async def send(self, unreadable: list[DecodeError]) -> None:
        """Put them aside and wait for the acknowledgement. Raises Unknown."""
        if not unreadable:
            return
        if self._producer is None:
            self._producer = await self._bus.producer(acks="all")
        letters = [letter for run in neighbours(unreadable) for letter in self._letters_of(run)]
        await self._producer.send(DEAD_LETTERS, self._partition, letters)

    def _letters_of(self, run: list[DecodeError]) -> list[Outgoing]:
        letters = [dead_letter(error, self._partition, self._found_by) for error in run[:ALONE_MAX]]
        if rest := run[ALONE_MAX:]:
            letters.append(dead_letter(rest[0], self._partition, self._found_by, shared_with=rest[1:]))
        return letters

    async def close(self) -> None:
        """Let go of the producer."""
        if self._producer is not None:
            await self._producer.close()


def neighbours(unreadable: list[DecodeError]) -> list[list[DecodeError]]:
    """The same in runs: each error is about the offset after the one before, on the same topic."""
    runs: list[list[DecodeError]] = []
    for error in unreadable:
        last = runs[-1][-1] if runs else None
        if last is not None and last.topic == error.topic and last.record.next_offset == error.record.offset:
            runs[-1].append(error)
        else:
            runs.append([error])
    return runs


def dead_letter(
    error: DecodeError, partition: int, found_by: str, *, shared_with: Sequence[DecodeError] = ()
) -> Outgoing:
    """The record to write for one that can't be read: bounded, whatever it was, or it would stop the city.

    Key and value are the first bytes, in base64.

    Args:
        error: Which record, and why.
        partition: Of the city.
        found_by: The dispatcher's name.
        shared_with: Its neighbours behind it, which have no letters of their own.
    """
    record = error.record
    next_offset = shared_with[-1].record.next_offset if shared_with else record.next_offset
    others = {other.reason for other in shared_with} - {error.reason}
    more = f" (and {len(others)} other reasons in this range)" if others else ""
    value = record.raw if isinstance(record, Damaged) else record.value
    letter = DeadLetter(
        topic=error.topic,
        partition=partition,
        offset=record.offset,
        reason=error.reason[: _REASON_MAX - len(more)] + more,
        found_by=found_by,
        key=base64.b64encode((record.key or b"")[:_KEY_BYTES_MAX]).decode("ascii"),
        value=base64.b64encode((value or b"")[:_VALUE_BYTES_MAX]).decode("ascii"),
        next=next_offset if next_offset > record.offset + 1 else 0,
    )
    source = f"{error.topic}/{partition}/{record.offset}".encode()
    trace = tracing.parse(record.headers)
    return Outgoing(source, codec.encode(letter), trace.headers() if trace is not None else ())
