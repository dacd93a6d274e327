# SPDX-License-Identifier: Apache-2.0
"""From records of `taxi.events` to whole batches: nothing of a batch is seen before its `BatchClosed`.

A fetch may end inside a transaction, and a lost answer may leave half a batch on the log, whose number the
successor decides again. So `BatchClosed.count`, not the number alone, says which events belong together.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from taxi import codec
from taxi.bus import Headers, Record
from taxi.messages import AnyEvent, BatchClosed
from taxi.topics import EVENTS


class At(NamedTuple):
    """An event, where it stands in the log, and its headers."""

    offset: int
    event: AnyEvent
    headers: Headers


class Batch(NamedTuple):
    """One transaction of the dispatcher, complete; its `BatchClosed` comes last."""

    events: tuple[At, ...]
    closed: BatchClosed

    @property
    def next_offset(self) -> int:
        """The offset after it: the `ev` of a cursor that includes it."""
        return self.events[-1].offset + 1


class WholeBatches:
    """Collects events until their batch closes."""

    def __init__(self) -> None:
        self._open: list[At] = []
        self._unread = 0
        self.dropped = 0
        """Events of runs that never closed."""
        self.unreadable: list[codec.DecodeError] = []
        """Records that are no event that this version knows. They stop nothing."""

    def feed(self, records: Iterable[Record]) -> Iterator[Batch]:
        """Take records in offset order; yield each batch as it closes."""
        for record in records:
            try:
                event: AnyEvent = codec.decode(EVENTS, record)
            except codec.DecodeError as error:
                self.unreadable.append(error)
                self._unread += 1
                continue
            self._open.append(At(record.offset, event, record.headers))
            if isinstance(event, BatchClosed):
                batch = self._close(event)
                if batch is not None:
                    yield batch

    def _close(self, closed: BatchClosed) -> Batch | None:
        """The last `count` events of that number; what stands before them never closed."""
        run, self._open = self._open, []
        unread, self._unread = self._unread, 0
        mine = [at for at in run if at.event.batch == closed.batch][-closed.count :]
        if not len(mine) <= closed.count <= len(mine) + unread:
            mine = []
        self.dropped += len(run) - len(mine)
        return Batch(tuple(mine), closed) if mine else None
