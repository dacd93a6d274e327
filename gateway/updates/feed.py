# SPDX-License-Identifier: Apache-2.0
"""The events of the last minutes as clients are shown them, each encoded once."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from taxi.state.batches import At, Batch

_FIELDS: Final = ("ride", "driver", "attempt", "eta_s", "reason", "scenario", "title")
_ENCODE: Final = msgspec.json.Encoder().encode


class _FeedEvent(NamedTuple):
    offset: int
    text: bytes


class _Span(NamedTuple):
    next_offset: int
    cut_ms: int


class Feed:
    """A ring over offsets. `since` says from where it is complete."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._ring: deque[_FeedEvent] = deque()
        self._spans: deque[_Span] = deque()
        """Up to where the ring went at which cut time: events may tell of a past long before it."""

    def add(self, batch: Batch) -> None:
        """Append a batch, `BatchClosed` included."""
        self._ring.extend(_feed_event(at) for at in batch.events)

    def after(self, ev: int) -> list[bytes]:
        """Events at `ev` and later, in offset order."""
        found = []
        for event in reversed(self._ring):
            if event.offset < ev:
                break
            found.append(event.text)
        found.reverse()
        return found

    def close(self, ev: int, cut_ms: int, memory_ms: int) -> None:
        """A cut closed at `ev`: let go of what was news in cuts older than `memory_ms`."""
        if not self._spans or self._spans[-1].next_offset < ev:
            self._spans.append(_Span(ev, cut_ms))
        while self._spans[0].cut_ms + memory_ms < cut_ms and len(self._spans) > 1:
            self.since = self._spans.popleft().next_offset
            while self._ring and self._ring[0].offset < self.since:
                self._ring.popleft()


def _feed_event(at: At) -> _FeedEvent:
    event = at.event
    name = type(event).__name__
    names = ("batch", "count") if name == "BatchClosed" else _FIELDS
    body = {field: value for field in names if (value := getattr(event, field, None)) is not None}
    return _FeedEvent(at.offset, _ENCODE([at.offset, event.at_ms, name, body]))


def feed_section(events: Sequence[bytes]) -> bytes:
    """Events, each a JSON array, as a section of an update; no bytes if there is none."""
    return b"".join((len(events).to_bytes(4, "little"), b"[", b",".join(events), b"]")) if events else b""
