# SPDX-License-Identifier: Apache-2.0
"""A batch in the making: each event is folded into the city the moment it is decided."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispatcher.limits import DecisionLimits
from taxi import messages as m
from taxi.positions.newest import NewestFixes
from taxi.roads.network import RoadNetwork
from taxi.runtime.tracing import Trace, root
from taxi.state import CityState


class Decided(NamedTuple):
    """An event, and its place in the trace of the command that caused it, or of its batch."""

    event: m.AnyEvent
    trace: Trace
    parent: Trace


@dataclass(eq=False)
class BatchInProgress:
    """Everything that the deciding functions see and fill."""

    city: CityState
    newest: NewestFixes
    roads: RoadNetwork
    limits: DecisionLimits
    now_ms: int
    """Log time of the batch."""
    events: list[Decided] = field(default_factory=list)
    answering: tuple[str, Trace] | None = None
    """The command at hand: its id and trace."""
    append_ms: int = 0
    """Append time of the command at hand, in log time."""
    _refused: set[tuple[str, str]] = field(default_factory=set)
    """Command ids and reasons."""

    def __post_init__(self) -> None:
        """The number holds for the whole batch."""
        self.number = self.city.batch + 1
        self.trace = root("batch", self.city.epoch, self.number)
        """Of what no command caused: timers and matching."""

    def emit(self, kind: type[m.Event], **fields: Any) -> None:
        """Decide an event: it happens now. Answers the command at hand, if there is one."""
        command_id, parent = self.answering or (None, self.trace)
        event: Any = kind(batch=self.number, at_ms=self.now_ms, command_id=command_id, **fields)
        trace = parent.child(self.number, len(self.events))
        self.city.apply(event)
        self.events.append(Decided(event, trace, parent))

    def reject(self, reason: str, subject: str) -> None:
        """The command at hand is refused, and why. Said once in a batch, whatever is repeated in it."""
        command_id = self.answering[0] if self.answering else ""
        if (command_id, reason) not in self._refused:
            self._refused.add((command_id, reason))
            self.emit(m.CommandRejected, reason=reason, subject=subject)
