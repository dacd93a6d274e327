# SPDX-License-Identifier: Apache-2.0
"""Detects that an input of this gateway has stopped although the log can be read.

Otherwise a city without positions or without a dispatcher would look like a quiet city: the rows equal the
log and all hashes match. Deterministic: callers pass the time.
"""

from typing import Final

from taxi.runtime.faults import Faults

NO_POSITIONS_S: Final = 10.0
NO_DECISIONS_S: Final = 8.0
"""Longer than a standby or restarted dispatcher needs to take over (docs/operations.md)."""
NO_ROWS_S: Final = 5.0
_PAUSE_S: Final = 2.0
"""If two calls are further apart, this process itself was suspended, so nothing is known about its inputs."""

_TEXTS: Final = {
    "no_positions": (
        f"no positions have arrived for {NO_POSITIONS_S:g} s or more: check that the simulator "
        "(or whatever else sends positions) runs and writes to this city's partition"
    ),
    "no_decisions": (
        f"the dispatcher has decided nothing for {NO_DECISIONS_S:g} s or more, although there is input: "
        "check that a dispatcher of this city runs and is ready"
    ),
    "no_rows": (
        "positions arrive, but none of them counts, so there are no taxis: check the clocks of those "
        "who send them, and the format of what they send"
    ),
}


class InputFaults:
    """Reports the faults `no_positions`, `no_decisions` and `no_rows` of one gateway."""

    def __init__(self, faults: Faults, now_s: float) -> None:
        self._faults = faults
        self._checked_s = now_s
        self._positions_s = now_s
        """When positions were last read."""
        self._undecided_s: float | None = None
        """Since when there is input without a later batch; None if there is none."""
        self._rowless_s: float | None = None
        """Since when positions arrive although there are no rows; None if there are rows."""
        self._commands = 0

    def check(
        self,
        now_s: float,
        *,
        is_reading: bool,
        positions: bool = False,
        batches: bool = False,
        rows: int = 0,
        commands: int = 0,
    ) -> None:
        """Report or clear the faults. Call it at every cut.

        Args:
            now_s: Loop time.
            is_reading: Whether there is a city view and the broker answers. If not, all faults are cleared.
            positions: Whether positions were read since the last call.
            batches: Whether a batch of the dispatcher was read since the last call.
            rows: Driver rows of the whole city.
            commands: How many commands this gateway has written in total.
        """
        paused = now_s - self._checked_s > _PAUSE_S
        self._checked_s = now_s
        if paused or not is_reading:
            self._clear(now_s)
            return
        if positions:
            self._positions_s = now_s
        has_input = positions or commands != self._commands
        self._commands = commands
        silent = now_s - self._positions_s >= NO_POSITIONS_S
        self._undecided_s = None if batches else _since(self._undecided_s, now_s, has_input)
        self._rowless_s = None if rows or silent else _since(self._rowless_s, now_s, positions)
        self._settle("no_positions", silent)
        self._settle("no_decisions", _lasts(self._undecided_s, now_s, NO_DECISIONS_S))
        self._settle("no_rows", _lasts(self._rowless_s, now_s, NO_ROWS_S))

    def _clear(self, now_s: float) -> None:
        self._positions_s = now_s
        self._undecided_s = self._rowless_s = None
        for code in _TEXTS:
            self._faults.clear(code)

    def _settle(self, code: str, is_there: bool) -> None:
        if is_there:
            self._faults.report(code, _TEXTS[code])
        else:
            self._faults.clear(code)


def _since(since_s: float | None, now_s: float, begins: bool) -> float | None:
    """When a condition began: `since_s` if it already lasts, `now_s` if it begins now, else None."""
    return now_s if since_s is None and begins else since_s


def _lasts(since_s: float | None, now_s: float, at_least_s: float) -> bool:
    return since_s is not None and now_s - since_s >= at_least_s
