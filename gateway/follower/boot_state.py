# SPDX-License-Identifier: Apache-2.0
"""The states of a gateway's city view, from the boot until the log breaks it. Deterministic.

1. A gateway reads the log up to its end (`BOOTING`). If the events have a gap, it waits (`BEHIND_GAP`).
2. The city view follows the log. Rows are shown once all of them are known (`SHALLOW`), but the resume window
   is
   short: it begins a few seconds before the boot.
3. Meanwhile a second city view is read from further back. When it takes over, or if there is nothing further
   back, the boot is over (`COMPLETE`).
4. If the log does not continue what the city view has read, the city view is discarded (`BROKEN`), and the
   boot begins again.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final


class BootState(Enum):
    """A state; the value is its name in /readyz, in the metric `gateway_boot_state` and in the log."""

    BOOTING = "booting"
    """No city view: the log is being read, or will be read again after it could not be."""
    BEHIND_GAP = "behind_gap"
    """No city view: the events have a gap, and only a new snapshot or epoch ends it."""
    INCOMPLETE = "incomplete"
    """The city view follows the log, but some rows are not known. A deeper city view is being read."""
    AWAITING_LOG = "awaiting_log"
    """As INCOMPLETE, but nothing further back can be read: the log must grow until all rows are known."""
    SHALLOW = "shallow"
    """All rows are known. A deeper city view is being read, and clients with older cursors are pending."""
    COMPLETE = "complete"
    """All rows are known, and nothing further back is read. A window that is short grows with the log."""
    BROKEN = "broken"
    """The log does not continue what the city view has read: the boot begins again after a pause."""


SERVING: Final = frozenset({BootState.SHALLOW, BootState.COMPLETE})
"""The states in which the city view may be shown, so that the gateway can be ready."""
FOLLOWING: Final = SERVING | {BootState.INCOMPLETE, BootState.AWAITING_LOG}
"""The states with a city view at the end of the log."""


class BootEvent(Enum):
    """What changes the state; the value is the text in the log."""

    GAP_FOUND = "the events have a gap"
    GAP_ENDED = "the wait behind the gap is over"
    READ_FAILED = "the log could not be read"
    LOG_READ = "the log is read"
    ROWS_KNOWN = "all rows are known"
    DEEPENED = "the deeper view has taken over"
    """All its rows are known."""
    DEEPENED_INCOMPLETE = "the deeper view has taken over, and some of its rows are not known"
    NOT_DEEPENED = "there is no deeper view"
    """There is nothing further back, or it could not be read."""
    BROKE = "the log broke"
    RETRIED = "the log is read again"


TRANSITIONS: Final = {
    (BootState.BOOTING, BootEvent.READ_FAILED): BootState.BOOTING,
    (BootState.BOOTING, BootEvent.GAP_FOUND): BootState.BEHIND_GAP,
    (BootState.BOOTING, BootEvent.LOG_READ): BootState.INCOMPLETE,
    (BootState.BEHIND_GAP, BootEvent.GAP_FOUND): BootState.BEHIND_GAP,
    (BootState.BEHIND_GAP, BootEvent.GAP_ENDED): BootState.BOOTING,
    (BootState.INCOMPLETE, BootEvent.ROWS_KNOWN): BootState.SHALLOW,
    (BootState.INCOMPLETE, BootEvent.DEEPENED): BootState.COMPLETE,
    (BootState.INCOMPLETE, BootEvent.DEEPENED_INCOMPLETE): BootState.AWAITING_LOG,
    (BootState.INCOMPLETE, BootEvent.NOT_DEEPENED): BootState.AWAITING_LOG,
    (BootState.INCOMPLETE, BootEvent.BROKE): BootState.BROKEN,
    (BootState.AWAITING_LOG, BootEvent.ROWS_KNOWN): BootState.COMPLETE,
    (BootState.AWAITING_LOG, BootEvent.BROKE): BootState.BROKEN,
    (BootState.SHALLOW, BootEvent.DEEPENED): BootState.COMPLETE,
    (BootState.SHALLOW, BootEvent.DEEPENED_INCOMPLETE): BootState.AWAITING_LOG,
    (BootState.SHALLOW, BootEvent.NOT_DEEPENED): BootState.COMPLETE,
    (BootState.SHALLOW, BootEvent.BROKE): BootState.BROKEN,
    (BootState.COMPLETE, BootEvent.BROKE): BootState.BROKEN,
    # Deepening may fail between the break and its own cancellation.
    (BootState.BROKEN, BootEvent.NOT_DEEPENED): BootState.BROKEN,
    (BootState.BROKEN, BootEvent.RETRIED): BootState.BOOTING,
}


class IllegalBootTransitionError(RuntimeError):
    """A transition that the table does not permit, which is a bug."""


class BootMachine:
    """The state of a gateway's boot, which changes only as `TRANSITIONS` permits.

    Args:
        changed: Called after each change with the state before it, the event and the new state.
    """

    def __init__(self, changed: Callable[[BootState, BootEvent, BootState], None]) -> None:
        self._state = BootState.BOOTING
        self._changed = changed

    @property
    def state(self) -> BootState:
        """The present state."""
        return self._state

    def on(self, event: BootEvent) -> None:
        """Change the state. Raises IllegalBootTransitionError if the event is not possible in it."""
        before = self._state
        after = TRANSITIONS.get((before, event))
        if after is None:
            message = f"no event {event.name} is possible in the state {before.name}"
            raise IllegalBootTransitionError(message)
        self._state = after
        if after is not before:
            self._changed(before, event, after)
