# SPDX-License-Identifier: Apache-2.0
"""From records of `taxi.events` to whole batches: nothing of a batch is seen before its `BatchClosed`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from taxi import codec
from taxi.bus import Record
from taxi.messages import AnyEvent, BatchClosed
from taxi.topics import EVENTS


class At(NamedTuple):
    """An event and where it stands in the log."""

    offset: int
    event: AnyEvent


@dataclass(frozen=True)
class Batch:
    """One transaction of the dispatcher, complete."""

    events: tuple[At, ...]
    """In offset order; the last is `closed`."""
    closed: BatchClosed

    @property
    def ev(self) -> int:
        """The offset after it: the `ev` of a cursor that includes it."""
        return self.events[-1].offset + 1


class Batches:
    """Collects events until their batch closes. A fetch may bring half a transaction."""

    def __init__(self) -> None:
        self._open: list[At] = []
        self._unread = 0
        self.undecodable = 0
        """Records that are no event that this version knows. They stop nothing."""
        self.dropped = 0
        """Events of runs that never closed."""

    def feed(self, records: Iterable[Record]) -> Iterator[Batch]:
        """Take records in offset order; yield each batch as it closes."""
        for record in records:
            event = self._read(record)
            if event is None:
                continue
            self._open.append(At(record.offset, event))
            if isinstance(event, BatchClosed):
                batch = self._close(event)
                self._open, self._unread = [], 0
                if batch is not None:
                    yield batch

    def _read(self, record: Record) -> AnyEvent | None:
        try:
            event: AnyEvent = codec.decode(EVENTS, record)
        except codec.DecodeError:
            self.undecodable += 1
            self._unread += 1
            return None
        return event

    def _close(self, closed: BatchClosed) -> Batch | None:
        """The last `count` events of that batch; what stands before them never closed."""
        mine = [at for at in self._open if at.event.batch == closed.batch][-closed.count :]
        complete = len(mine) + self._unread >= closed.count >= 1
        self.dropped += len(self._open) - len(mine) if complete else len(self._open)
        return Batch(tuple(mine), closed) if complete else None
