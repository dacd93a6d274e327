# SPDX-License-Identifier: Apache-2.0
"""Logs the requests that `RequestEntry` refuses, with what to change: each kind at most once a minute."""

import asyncio
from typing import Any, Final

from taxi.runtime.entry import RequestRefusal
from taxi.runtime.env import Log, Metrics

_REPEAT_S: Final = 60.0
_KINDS_MAX: Final = 50
"""Kinds that are logged in a minute. A client chooses its headers, so it could cause any number of lines."""


class Refusals:
    """A callback for `EntryRules.refused`."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._logged_s: dict[Any, float] = {}
        self._unlogged: dict[Any, int] = {}

    def __call__(self, refusal: RequestRefusal) -> None:
        """Count a refusal, and log it unless an equal one was logged within a minute."""
        self._metrics.count("gateway_refused_total", status=str(refusal.status.value))
        now_s, kind = asyncio.get_running_loop().time(), (refusal.detail, refusal.facts)
        if kind in self._logged_s and now_s - self._logged_s[kind] < _REPEAT_S:
            self._unlogged[kind] = self._unlogged.get(kind, 0) + 1
            return
        times = 1 + self._unlogged.pop(kind, 0)
        self._prune(now_s)
        if len(self._logged_s) < _KINDS_MAX:
            self._logged_s[kind] = now_s
            facts = dict(refusal.facts)
            self._log.warning("refused", reason=refusal.detail, do=refusal.do, times=times, **facts)

    def _prune(self, now_s: float) -> None:
        """Remove kinds that were logged more than a minute ago."""
        for kind in [kind for kind, at_s in self._logged_s.items() if now_s - at_s >= _REPEAT_S]:
            del self._logged_s[kind]
            self._unlogged.pop(kind, None)
