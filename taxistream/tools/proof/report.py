# SPDX-License-Identifier: Apache-2.0
"""What the proof found, as JSON and as at most ten lines of text."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from taxistream.tools.proof.kills import KillOutcome
from taxistream.tools.proof.plan import KINDS

_NOTICED: Final = {
    "gateway": "longest time of a client without positions",
    "dispatcher": "longest time without decisions",
    "simulator": "longest time without positions",
    "broker": "longest time without positions or decisions",
    "verifier": "longest time without verdicts",
}


@dataclass(frozen=True, kw_only=True)
class ProofReport:
    """The figures of a proof."""

    seed: int
    brokers: int
    clients: int
    seconds: float
    kinds: tuple[str, ...] = KINDS
    """What kinds of parts were to be killed."""
    kills: list[KillOutcome]
    acknowledged: set[str]
    """Ride requests that a gateway acknowledged."""
    answers: Counter[str]
    """Ride → how often its request was answered on the log."""
    retries: int
    load_test: dict[str, Any]
    """The figures of the load test."""
    audit: dict[str, Any]
    """The figures of `taxi audit`."""
    verdicts: int
    wrong_verdicts: list[str] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        """Acknowledged requests that have no answer on the log."""
        return sorted(self.acknowledged - self.answers.keys())

    @property
    def doubled(self) -> list[str]:
        """Requests that were answered more than once."""
        return sorted(ride for ride, times in self.answers.items() if times > 1)

    @property
    def failures(self) -> list[str]:
        """What contradicts the claim. Empty: it holds."""
        killed = {kill.kind for kill in self.kills}
        found = [f"no {kind} was killed" for kind in self.kinds if kind not in killed]
        found += [f"{kill.part} did not recover" for kill in self.kills if kill.recovered_s is None]
        checks = {
            "requests are lost": len(self.lost),
            "requests were answered twice": len(self.doubled),
            "rules of the stream were broken": self.load_test["violations_total"],
            "rules of the log were broken": self.audit["violations_total"],
            "verdicts were wrong": len(self.wrong_verdicts),
            "clients did not come back": self.clients - self.load_test["live_at_end"],
        }
        found += [f"{count} {what}" for what, count in checks.items() if count]
        # Nothing that was compared is no proof.
        compared = {
            "no request was acknowledged": len(self.acknowledged),
            "no update was compared with the log": self.load_test["judged"],
            "the verifier compared nothing": self.verdicts,
            "the audit read nothing": self.audit["batches"],
        }
        return found + [what for what, count in compared.items() if not count]

    def figures(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "proved": not self.failures,
            "failures": self.failures,
            "seed": self.seed,
            "brokers": self.brokers,
            "clients": self.clients,
            "seconds": self.seconds,
            "kills": [asdict(kill) for kill in self.kills],
            "recovery_s": self.recovery_s(),
            "acknowledged": len(self.acknowledged),
            "found": len(self.acknowledged) - len(self.lost),
            "lost": self.lost,
            "doubled": self.doubled,
            "retries": self.retries,
            "updates_checked": self.load_test["judged"],
            "wrong_hashes": self.load_test["violations"].get("wrong_hash", 0),
            "stream_violations": self.load_test["violations"],
            "verdicts": self.verdicts,
            "wrong_verdicts": self.wrong_verdicts[:3],
            "audit_violations": self.audit["violations"],
            "events_audited": self.audit["events"],
        }

    def recovery_s(self) -> dict[str, dict[str, float]]:
        """Kind and what was done to it → p50, p99 and max of the recoveries in seconds, and their number."""
        times: dict[str, list[float]] = {}
        for kill in self.kills:
            if kill.recovered_s is not None:
                deed = "freeze" if kill.frozen_s else "kill"
                times.setdefault(f"{deed} {kill.kind}", []).append(kill.recovered_s)
        return {
            key: {
                "p50": round(float(np.percentile(found, 50)), 2),
                "p99": round(float(np.percentile(found, 99)), 2),
                "max": max(found),
                "count": len(found),
            }
            for key, found in sorted(times.items())
        }

    def lines(self, *, each: bool = True) -> list[str]:
        """The report as text: at most ten lines for a kill of each kind.

        Args:
            each: Whether to show each kill, rather than quantiles of each kind.
        """
        found = self.figures()
        kills = [_line(kill) for kill in self.kills]
        if not each:
            kills = [
                f"{key:<17} {q['count']} times: p50 {q['p50']} s, p99 {q['p99']} s, max {q['max']} s"
                for key, q in found["recovery_s"].items()
            ]
        others = sum(self.load_test["violations"].values()) - found["wrong_hashes"]
        return [
            f"{self.brokers} brokers, {self.clients} clients, {self.seconds:.0f} s, seed {self.seed}",
            *kills,
            (
                f"requests   {found['acknowledged']} acknowledged = {found['found']} found on the log, "
                f"{len(self.doubled)} doubled ({self.retries} sent again)"
            ),
            (
                f"updates    {found['updates_checked']} compared with the log by clients, "
                f"{found['wrong_hashes']} wrong hashes, {others} other violations; "
                f"{self.verdicts} verdicts, {len(self.wrong_verdicts)} wrong"
            ),
            f"audit      {found['events_audited']} events, {self.audit['violations_total']} violations",
            "✓ the claim holds" if not self.failures else f"✗ {'; '.join(self.failures)}",
        ]


def _line(kill: KillOutcome) -> str:
    if kill.recovered_s is None:
        return f"{kill.kind:<10} {kill.part} killed: it did not recover"
    return (
        f"{kill.kind:<10} {kill.part} killed: {_NOTICED[kill.kind]} {kill.recovered_s:.1f} s, "
        f"ready after {kill.ready_s:.1f} s"
    )
