# SPDX-License-Identifier: Apache-2.0
"""Decides from outside whether a process still works. Deterministic: it has no clock and reads nothing.

The supervisor looks at each part once or twice a second, and asks it every few seconds. A process that is
stopped (SIGSTOP) does not answer, and its state shows it at once. One that is silent for other reasons may
be stuck, or it may only have too little of the processor: then it is runnable, waits for the disk or spends
processor time, and is given five times as long. Time in which the supervisor itself did not run (the machine
slept, everything was stopped) does not count.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from taxi.runtime.parts import State

SEEN_S: Final = 0.5
"""How long a process must be stopped until others hear of it."""
BUSY_FACTOR: Final = 5
BUSY_SHARE: Final = 0.3


class Patience(NamedTuple):
    """How long a part may be without a sign of life until it is replaced, in seconds."""

    frozen_s: float
    """Stopped."""
    silent_s: float
    """Without an answer while it has nothing to do; `BUSY_FACTOR` times as long while it is busy."""

    @property
    def sample_s(self) -> float:
        """How often to sample its process: as often as its limits are short."""
        return min(max(min(self.frozen_s, self.silent_s) / 4, 0.25), 1.0)

    @property
    def ask_s(self) -> float:
        """How often to ask it."""
        return min(max(self.silent_s / 2, 0.1), 5.0)


class Sample(NamedTuple):
    """The state of a process at one time."""

    is_stopped: bool = False
    is_traced: bool = False
    """A debugger holds it."""
    is_busy: bool = False
    """It runs, waits for a processor or the disk, or has used processor time since the last sample."""
    is_asked: bool = True
    """It owes an answer. Else its silence means nothing."""


@dataclass
class Pulse:
    """What the samples of one process have shown so far. It begins with a process that has just answered."""

    patience: Patience
    _stopped_s: float = field(default=0.0, init=False)
    _silent_s: float = field(default=0.0, init=False)
    _samples: int = field(default=0, init=False)
    _busy_samples: int = field(default=0, init=False)

    def add(self, sample: Sample, passed_s: float) -> None:
        """Take a sample into account, `passed_s` after the one before."""
        if sample.is_traced:
            self.answered()
            return
        counted_s = min(passed_s, 2 * self.patience.sample_s)
        self._stopped_s = self._stopped_s + counted_s if sample.is_stopped else 0.0
        if sample.is_asked:
            self._silent_s += counted_s
            self._samples += 1
            self._busy_samples += sample.is_busy

    def answered(self) -> None:
        """It gave a sign of life, and owes nothing."""
        self._stopped_s = self._silent_s = 0.0
        self._samples = self._busy_samples = 0

    @property
    def state(self) -> State | None:
        """The state to report: FROZEN, NOT_ANSWERING, or None if it seems to work."""
        if self._stopped_s >= SEEN_S:
            return State.FROZEN
        if self._silent_s >= 0.75 * self._silent_s_max:
            return State.NOT_ANSWERING
        return None

    @property
    def verdict(self) -> str | None:
        """Why it has to be replaced, None as long as it need not be."""
        if self._stopped_s >= self.patience.frozen_s:
            return f"was frozen (stopped) for {self._stopped_s:.1f} s"
        if self._silent_s >= self._silent_s_max:
            return f"did not answer for {self._silent_s:.0f} s"
        return None

    @property
    def _silent_s_max(self) -> float:
        is_busy = self._busy_samples >= BUSY_SHARE * self._samples
        return self.patience.silent_s * (BUSY_FACTOR if is_busy else 1)
