# SPDX-License-Identifier: Apache-2.0
"""What a load test found, for scripts and for people."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from loadtest.kills import Killer
from loadtest.latency import crowd, quantiles
from loadtest.rules import RULES
from loadtest.swarm.swarm import Swarm

_BUSY_CORES: Final = 0.85
_LATE_MS: Final = 50.0


@dataclass(frozen=True)
class Report:
    """The figures by their names in the JSON."""

    figures: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether a rule was broken."""
        return bool(self.figures["violations_total"])

    @classmethod
    def of(
        cls,
        swarm: Swarm,
        killer: Killer | None,
        *,
        clients: int,
        seconds: float,
        cpu_s: float,
        live_at_end: int,
    ) -> Self:
        """Everything that was counted."""
        totals, findings = swarm.sights.totals, swarm.findings
        lag_p99_ms = float(np.percentile(swarm.lags_ms, 99)) if swarm.lags_ms else 0.0
        cores = cpu_s / seconds
        figures: dict[str, Any] = {
            "clients": clients,
            "seconds": round(seconds, 1),
            "cuts": totals.cuts,
            "updates_per_s": round(totals.updates / seconds),
            "bytes_per_s": round(totals.bytes / seconds),
            "latency_ms": swarm.sights.latency.told(),
            "resumes": swarm.resumes,
            "resets": swarm.resets.total(),
            "resets_by_reason": dict(swarm.resets),
            "images": swarm.images,
            "closes": {str(code): count for code, count in sorted(swarm.closes.items())},
            "judged": totals.judged,
            "habits": dict(sorted(swarm.habits.done.items())),
            "live_at_end": live_at_end,
            "swarm": {
                "cpu_cores": round(cores, 3),
                "lag_ms_p99": round(lag_p99_ms, 1),
                "is_bottleneck": cores > _BUSY_CORES or lag_p99_ms > _LATE_MS or swarm.sights.waiting > 0,
            },
            "violations": dict(sorted(findings.violations.items())),
            "violations_total": findings.violations.total(),
            "examples": {rule: list(texts) for rule, texts in sorted(findings.examples.items())},
        }
        if killer is not None:
            figures |= {
                "kills": killer.kills,
                "restarts": killer.restarts,
                "kills_missed": killer.missed,
                "clients_hurt": killer.hurt,
                "recovery_ms": quantiles(swarm.recoveries_ms),
                "handovers": len(swarm.dark_ms),
                "handover_dark_ms": quantiles(swarm.dark_ms),
                "handovers_in_100_ms_max": crowd(swarm.leavings_s, 0.1),
                "handovers_in_1_s_max": crowd(swarm.leavings_s, 1.0),
            }
        return cls(figures)

    def lines(self) -> list[tuple[str, str]]:
        """Heading and value, for a table."""
        found = self.figures
        waits, swarm = found["latency_ms"], found["swarm"]
        lines = [
            ("clients", f"{found['clients']:,}, {found['live_at_end']:,} of them live at the end"),
            ("seconds", f"{found['seconds']:,}"),
            ("cuts", f"{found['cuts']:,} ({found['judged']:,} distinct, each judged against the log)"),
            ("driver updates", f"{found['updates_per_s']:,} a second"),
            ("received", f"{found['bytes_per_s'] / 1e6:,.2f} MB a second"),
            ("append → client", f"p50 {waits['p50']} ms, p99 {waits['p99']} ms, max {waits['max']} ms"),
            ("sessions", f"{found['images']:,} began with an image, {found['resumes']:,} resumed"),
            ("resets", f"{found['resets']:,} {found['resets_by_reason'] or ''}".strip()),
            ("swarm's own CPU", f"{swarm['cpu_cores']} core, late by {swarm['lag_ms_p99']} ms (p99)"),
        ]
        if found.get("kills"):
            hurt = found["recovery_ms"]
            lines.append(("kills", f"{found['kills']}, {found['clients_hurt']:,} clients hit"))
            if hurt:
                text = f"p50 {hurt['p50']} ms, p99 {hurt['p99']} ms, max {hurt['max']} ms"
                lines.append(("kill → next cut", text))
        if found.get("handovers"):
            dark, crowded = found["handover_dark_ms"], found["handovers_in_100_ms_max"]
            text = f"p50 {dark['p50']} ms, p99 {dark['p99']} ms, max {dark['max']} ms without a cut"
            lines.append(("restarts", f"{found['restarts']}, {found['handovers']:,} clients moved"))
            lines.append(("hand-over", f"{text}; at most {crowded} in 100 ms"))
        return lines

    def blamed(self) -> list[tuple[str, int, str, list[str]]]:
        """Each rule that was broken: how often, what it asks for, examples."""
        found = self.figures
        return [
            (rule, count, RULES[rule], found["examples"].get(rule, []))
            for rule, count in found["violations"].items()
        ]
