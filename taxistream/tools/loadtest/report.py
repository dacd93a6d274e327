# SPDX-License-Identifier: Apache-2.0
"""The report of a load test, as JSON and as lines of text."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from taxistream.tools.loadtest.clients.load_clients import LoadClients
from taxistream.tools.loadtest.kills import Killer
from taxistream.tools.loadtest.latency import crowd, quantiles
from taxistream.tools.loadtest.rules import RULES

_BUSY_CORES: Final = 0.85
_LATE_MS: Final = 50.0


@dataclass(frozen=True)
class LoadReport:
    """The figures, with their names in the JSON."""

    figures: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether a rule was broken."""
        return bool(self.figures["violations_total"])

    @classmethod
    def of(
        cls,
        load_clients: LoadClients,
        killer: Killer | None,
        *,
        clients: int,
        seconds: float,
        cpu_s: float,
        live_at_end: int,
    ) -> Self:
        """Collect all figures of a test."""
        totals, findings = load_clients.observations.totals, load_clients.findings
        lag_p99_ms = float(np.percentile(load_clients.lags_ms, 99)) if load_clients.lags_ms else 0.0
        cores = cpu_s / seconds
        figures: dict[str, Any] = {
            "clients": clients,
            "seconds": round(seconds, 1),
            "cuts": totals.cuts,
            "updates_per_s": round(totals.updates / seconds),
            "bytes_per_s": round(totals.bytes / seconds),
            "latency_ms": load_clients.observations.latency.quantiles(),
            "resumes": load_clients.resumes,
            "resets": load_clients.resets.total(),
            "resets_by_reason": dict(load_clients.resets),
            "images": load_clients.images,
            "closes": {str(code): count for code, count in sorted(load_clients.closes.items())},
            "judged": totals.judged,
            "behavior": dict(sorted(load_clients.behavior.done.items())),
            "live_at_end": live_at_end,
            "load_test": {
                "cpu_cores": round(cores, 3),
                "lag_ms_p99": round(lag_p99_ms, 1),
                "is_bottleneck": cores > _BUSY_CORES
                or lag_p99_ms > _LATE_MS
                or load_clients.observations.waiting > 0,
            },
            **findings.violations_report(),
        }
        if killer is not None:
            figures |= {
                "kills": killer.kills,
                "restarts": killer.restarts,
                "kills_missed": killer.missed,
                "clients_disconnected": killer.clients_disconnected,
                "recovery_ms": quantiles(load_clients.recoveries_ms),
                "handovers": len(load_clients.gaps_ms),
                "handover_gap_ms": quantiles(load_clients.gaps_ms),
                "handovers_in_100_ms_max": crowd(load_clients.leavings_s, 0.1),
                "handovers_in_1_s_max": crowd(load_clients.leavings_s, 1.0),
            }
        return cls(figures)

    def lines(self) -> list[tuple[str, str]]:
        """(heading, value) of each line of the table."""
        found = self.figures
        waits, own = found["latency_ms"], found["load_test"]
        lines = [
            ("clients", f"{found['clients']:,}, {found['live_at_end']:,} of them live at the end"),
            ("seconds", f"{found['seconds']:,}"),
            ("cuts", f"{found['cuts']:,} ({found['judged']:,} distinct, each judged against the log)"),
            ("driver updates", f"{found['updates_per_s']:,} a second"),
            ("received", f"{found['bytes_per_s'] / 1e6:,.2f} MB a second"),
            ("append → client", f"p50 {waits['p50']} ms, p99 {waits['p99']} ms, max {waits['max']} ms"),
            ("sessions", f"{found['images']:,} began with an image, {found['resumes']:,} resumed"),
            ("resets", f"{found['resets']:,} {found['resets_by_reason'] or ''}".strip()),
            ("the load test's CPU", f"{own['cpu_cores']} core, late by {own['lag_ms_p99']} ms (p99)"),
        ]
        if found.get("kills"):
            recovery = found["recovery_ms"]
            lines.append(
                ("kills", f"{found['kills']}, {found['clients_disconnected']:,} clients disconnected")
            )
            if recovery:
                text = f"p50 {recovery['p50']} ms, p99 {recovery['p99']} ms, max {recovery['max']} ms"
                lines.append(("kill → next cut", text))
        if found.get("handovers"):
            gaps, crowded = found["handover_gap_ms"], found["handovers_in_100_ms_max"]
            text = f"p50 {gaps['p50']} ms, p99 {gaps['p99']} ms, max {gaps['max']} ms without a cut"
            lines.append(("restarts", f"{found['restarts']}, {found['handovers']:,} clients moved"))
            lines.append(("hand-over", f"{text}; at most {crowded} in 100 ms"))
        return lines

    def blamed(self) -> list[tuple[str, int, str, list[str]]]:
        """(rule, count, what it requires, examples) of each broken rule."""
        found = self.figures
        return [
            (rule, count, RULES[rule], found["examples"].get(rule, []))
            for rule, count in found["violations"].items()
        ]
