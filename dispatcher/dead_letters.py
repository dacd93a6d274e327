# SPDX-License-Identifier: Apache-2.0
"""Dead letters: what could not be read is put aside with the reason, and nothing stops.

They are sent before the batch that passes them is committed, so none is lost. A crash between the two
sends them again; the key is the source, so a repeat is seen as one.
"""

import base64
from typing import Final

from taxi.bus import Bus, Damaged, Outgoing, Producer
from taxi.messages import DeadLetter, codec
from taxi.messages.codec import DecodeError
from taxi.runtime import tracing
from taxi.topics import DEAD_LETTERS

_KEY_BYTES_MAX: Final = 1024
_VALUE_BYTES_MAX: Final = 16 * 1024
_REASON_MAX: Final = 500


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
        letters = [dead_letter(error, self._partition, self._found_by) for error in unreadable]
        await self._producer.send(DEAD_LETTERS, self._partition, letters)

    async def close(self) -> None:
        """Let go of the producer."""
        if self._producer is not None:
            await self._producer.close()


def dead_letter(error: DecodeError, partition: int, found_by: str) -> Outgoing:
    """The record to write for one that can't be read: bounded, whatever it was, or it would stop the city.

    Key and value are the first bytes, in base64.
    """
    record = error.record
    value = record.raw if isinstance(record, Damaged) else record.value
    letter = DeadLetter(
        topic=error.topic,
        partition=partition,
        offset=record.offset,
        reason=error.reason[:_REASON_MAX],
        found_by=found_by,
        key=base64.b64encode((record.key or b"")[:_KEY_BYTES_MAX]).decode("ascii"),
        value=base64.b64encode((value or b"")[:_VALUE_BYTES_MAX]).decode("ascii"),
        next=record.next_offset if record.next_offset > record.offset + 1 else 0,
    )
    source = f"{error.topic}/{partition}/{record.offset}".encode()
    trace = tracing.parse(record.headers)
    return Outgoing(source, codec.encode(letter), trace.headers() if trace is not None else ())
