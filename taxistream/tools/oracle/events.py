# SPDX-License-Identifier: Apache-2.0
"""The city after each batch of `taxi.events`, and the feed between two of them."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from taxi.bus import Record
from taxistream.tools.oracle.driver_index import DriverIndex, widened
from taxistream.tools.oracle.facts import CityFacts, DriverFact
from taxistream.tools.oracle.rides import RideFact
from taxistream.tools.oracle.runs import CityBatches, LogEvent

_FEED: Final = ("ride", "driver", "attempt", "eta_s", "reason", "scenario", "title")
_DEFAULTS: Final = {"EpochStarted": {"reason": "birth"}, "ScenarioEnded": {"reason": "over"}}
KEPT_MS: Final = 300_000
"""How long the city after a batch is kept, in log time."""


class Boundary(NamedTuple):
    """The city after a batch, at this `ev`."""

    ev: int
    batch: int
    now_ms: int
    epoch: str
    statuses: npt.NDArray[np.uint8]
    """Status by slot; slots beyond its end are offline."""
    rides: Mapping[str, RideFact]
    drivers: Mapping[int, DriverFact]
    """Empty unless the whole log is kept."""


class Events:
    """The city at every `ev` of the last minutes, folded from committed records in offset order."""

    def __init__(self, index: DriverIndex, *, keeps_all: bool = False, kept_ms: int = KEPT_MS) -> None:
        """With `keeps_all`, nothing is forgotten, and boundaries have all drivers; else see KEPT_MS."""
        self._kept_ms = kept_ms
        self.end = 0
        """How far was read: the reader's position."""
        self.last = Boundary(0, 0, 0, "", np.zeros(0, np.uint8), {}, {})
        self.boundaries: dict[int, Boundary] = {0: self.last}
        """By `ev`, ascending."""
        self.events: list[LogEvent] = []
        """Those of the batches in `boundaries`, in offset order."""
        self.batches: list[list[LogEvent]] = []
        """Every batch, its `BatchClosed` last. Empty unless the whole log is kept."""
        self.source = CityBatches()
        self._index = index
        self._keeps_all = keeps_all
        self._facts = CityFacts()
        self._statuses = np.zeros(64, np.uint8)

    def feed(self, records: Sequence[Record], position: int) -> None:
        """Process records; `position` is the reader's position after them. Raises BrokenLogError."""
        for batch in self.source.feed(records):
            self._facts.apply(batch)
            self._close(batch)
        self.end = position

    @property
    def set_backs(self) -> list[tuple[int, int]]:
        """From which position on times are shifted, and by how much, as the events say."""
        return self._facts.set_backs

    def at(self, ev: int) -> Boundary | None:
        """The city at `ev`; None if no batch ends there or it is forgotten."""
        return self.boundaries.get(ev)

    def between(self, first: int, end: int) -> list[LogEvent]:
        """The events with offsets in [first, end)."""
        a, b = (bisect_left(self.events, offset, key=lambda event: event.offset) for offset in (first, end))
        return self.events[a:b]

    def feed_between(self, first: int, end: int) -> list[list[Any]]:
        """The feed's entries for offsets in [first, end)."""
        return [_entry(event) for event in self.between(first, end)]

    def _close(self, batch: list[LogEvent]) -> None:
        facts, closed = self._facts, batch[-1].body
        self._update_statuses()
        self.last = Boundary(
            batch[-1].offset + 1,
            closed["batch"],
            closed["at_ms"],
            facts.epoch,
            self._statuses[: len(self._index)].copy(),
            dict(facts.rides),
            dict(facts.drivers) if self._keeps_all else {},
        )
        self.boundaries[self.last.ev] = self.last
        self.events += batch
        if self._keeps_all:
            self.batches.append(batch)
        else:
            self._prune()

    def _update_statuses(self) -> None:
        changed = sorted(self._facts.changed)
        slots = self._index.slots(changed)
        self._statuses = widened(self._statuses, len(self._index))
        self._statuses[slots] = [self._facts.status(number) for number in changed]

    def _prune(self) -> None:
        """Remove what is older than any cursor that a client may resume from."""
        old_ms = self.last.now_ms - self._kept_ms
        old = [ev for ev, boundary in self.boundaries.items() if boundary.now_ms < old_ms]
        for ev in old:
            del self.boundaries[ev]
        if old:
            first = next(iter(self.boundaries))
            del self.events[: bisect_left(self.events, first, key=lambda event: event.offset)]
            self._facts.prune_ended_before(old_ms)


def _entry(event: LogEvent) -> list[Any]:
    kind, body = event.kind, event.body
    names = ("batch", "count") if kind == "BatchClosed" else _FEED
    whole = {**_DEFAULTS.get(kind, {}), **body}
    fields = {name: whole[name] for name in names if whole.get(name) is not None}
    return [event.offset, body["at_ms"], kind, fields]
