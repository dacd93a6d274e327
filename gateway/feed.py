# SPDX-License-Identifier: Apache-2.0
"""The events of the last minutes as clients are shown them, each encoded once."""

from collections import deque
from typing import Final, NamedTuple

import msgspec

from gateway.batches import At, Batch

_SHOWN: Final = ("ride", "driver", "attempt", "eta_s", "reason")
_ENCODE: Final = msgspec.json.Encoder().encode


class _Shown(NamedTuple):
    offset: int
    at_ms: int
    text: bytes


class Feed:
    """A ring over offsets. `since` says from where it is complete."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._ring: deque[_Shown] = deque()

    def add(self, batch: Batch) -> None:
        """Append a batch, `BatchClosed` included."""
        self._ring.extend(_shown(at) for at in batch.events)

    def after(self, ev: int) -> list[bytes]:
        """Events at `ev` and later, in offset order."""
        found = []
        for shown in reversed(self._ring):
            if shown.offset < ev:
                break
            found.append(shown.text)
        found.reverse()
        return found

    def forget_before(self, at_ms: int) -> None:
        """Let go of what is older than this log time."""
        while self._ring and self._ring[0].at_ms < at_ms:
            self.since = self._ring.popleft().offset + 1


def _shown(at: At) -> _Shown:
    event = at.event
    name = type(event).__name__
    names = ("batch", "count") if name == "BatchClosed" else _SHOWN
    body = {field: value for field in names if (value := getattr(event, field, None)) is not None}
    return _Shown(at.offset, event.at_ms, _ENCODE([at.offset, event.at_ms, name, body]))
