# SPDX-License-Identifier: Apache-2.0
"""A batch in the making: each event is folded into the city the moment it is decided."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispatcher.limits import Limits
from taxi import messages as m
from taxi.city import CityState
from taxi.newest import NewestFixes
from taxi.roads import RoadNetwork
from taxi.runtime.tracing import Trace


class Decided(NamedTuple):
    """An event, and where it stands in the trace of the command that caused it."""

    event: m.AnyEvent
    trace: Trace | None
    parent: Trace | None


@dataclass(eq=False)
class Batch:
    """Everything that the deciding functions see and fill."""

    city: CityState
    newest: NewestFixes
    roads: RoadNetwork
    limits: Limits
    now_ms: int
    events: list[Decided] = field(default_factory=list)
    answering: tuple[str, Trace] | None = None
    """The command at hand: its id and trace."""

    @property
    def number(self) -> int:
        """Of this batch."""
        return self.city.batch + 1

    def emit(self, kind: type[m.Event], **fields: Any) -> None:
        """Decide an event: it happens now. Answers the command at hand, if there is one."""
        command_id, parent = self.answering or (None, None)
        event: Any = kind(batch=self.number, at_ms=self.now_ms, command_id=command_id, **fields)
        trace = parent.child(self.number, len(self.events)) if parent is not None else None
        self.city.apply(event)
        self.events.append(Decided(event, trace, parent))

    def reject(self, reason: str, subject: str) -> None:
        """The command at hand is refused, and why."""
        self.emit(m.CommandRejected, reason=reason, subject=subject)
