# SPDX-License-Identifier: Apache-2.0
"""Faults: lasting conditions that keep a process from doing its work or from showing the true state.

Each has a code and is visible in four places: the log, the gauge `taxi_fault{code}`, `/readyz`, and, for a
gateway, the page. The code that observes a condition reports it repeatedly while it lasts; this class limits
how often it is logged.
"""

import asyncio
from typing import Any, Final, NamedTuple, Protocol

REMIND_S: Final = 60.0
"""A fault that lasts is logged again after this time."""


class FaultLog(Protocol):
    """The part of `taxi.runtime.env.Log` that is used here."""

    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...


class FaultMetrics(Protocol):
    """The part of `taxi.runtime.env.Metrics` that is used here."""

    def gauge(self, name: str, value: float, **labels: str) -> None: ...


class Fault(NamedTuple):
    """A lasting condition."""

    code: str
    """The kind of condition, in snake_case. docs/operations.md lists all codes."""
    text: str
    """What is wrong and what to do about it."""
    blocks: bool = False
    """Whether the process is not ready because of it."""
    about: str = ""
    """The city, topic, … that it concerns, if the process has several; otherwise empty."""


class Faults:
    """The faults of one process.

    `report` and `clear` are idempotent and cheap, so call one of them at every check. Both must be called on
    the event loop. Without `attach`, conditions are stored but not logged.
    """

    def __init__(self) -> None:
        self.version = 0
        """Increases with each change of `current`, so that observers need not compare the faults."""
        self._faults: dict[tuple[str, str], Fault] = {}
        self._logged_s: dict[tuple[str, str], float] = {}
        self._log: FaultLog | None = None
        self._metrics: FaultMetrics | None = None

    def attach(self, log: FaultLog, metrics: FaultMetrics) -> None:
        """Log to `log` and set the gauge in `metrics` from now on. Later calls have no effect."""
        if self._log is None:
            self._log, self._metrics = log, metrics

    @property
    def current(self) -> tuple[Fault, ...]:
        """All faults, sorted by code."""
        return tuple(self._faults[key] for key in sorted(self._faults))

    @property
    def blocking(self) -> str | None:
        """The texts of the faults that block the process; None if there are none."""
        texts = [fault.text for fault in self.current if fault.blocks]
        return "; ".join(texts) or None

    def report(self, code: str, text: str, *, blocks: bool = False, about: str = "") -> None:
        """Report that a condition exists or still exists.

        It is logged at the first report, when it begins to block, and then once in `REMIND_S`.

        Args:
            code: The kind of condition.
            text: What is wrong and what to do. It replaces an earlier text.
            blocks: Whether the process is not ready because of it.
            about: What it concerns. Each (code, about) is a fault of its own.
        """
        key, fault = (code, about), Fault(code, text, blocks, about)
        before = self._faults.get(key)
        if fault != before:
            self._faults[key] = fault
            self.version += 1
        now_s = asyncio.get_running_loop().time()
        is_graver = before is None or (blocks and not before.blocks)
        if is_graver or now_s - self._logged_s[key] >= REMIND_S:
            self._logged_s[key] = now_s
            self._say_warning(fault)
        if before is None:
            self._gauge(code)

    def clear(self, code: str, *, about: str = "") -> None:
        """Report that the condition does not exist. If it did, that is logged."""
        fault = self._faults.pop((code, about), None)
        if fault is None:
            return
        self.version += 1
        del self._logged_s[code, about]
        self._gauge(code)
        if self._log is not None:
            self._log.info("fault cleared", **_fields(fault))

    def _say_warning(self, fault: Fault) -> None:
        if self._log is not None:
            self._log.warning("fault", **_fields(fault), text=fault.text)

    def _gauge(self, code: str) -> None:
        if self._metrics is not None:
            is_there = any(fault.code == code for fault in self._faults.values())
            self._metrics.gauge("taxi_fault", int(is_there), code=code)


def _fields(fault: Fault) -> dict[str, str]:
    return {"code": fault.code} | ({"about": fault.about} if fault.about else {})
