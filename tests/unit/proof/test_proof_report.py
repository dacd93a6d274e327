# SPDX-License-Identifier: Apache-2.0
"""The report of a proof: what contradicts the claim, and what proves nothing."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from taxistream.tools.proof.kills import KillOutcome
from taxistream.tools.proof.plan import KINDS
from taxistream.tools.proof.report import ProofReport

LOAD: dict[str, Any] = {"violations": {}, "violations_total": 0, "judged": 900, "live_at_end": 30}
AUDIT: dict[str, Any] = {"violations": {}, "violations_total": 0, "batches": 20, "events": 400}
PROVED = ProofReport(
    seed=1,
    brokers=3,
    clients=30,
    seconds=40.0,
    kills=[KillOutcome(kind, f"{kind}-1", 1.0, 2.0) for kind in KINDS],
    acknowledged={"a", "b"},
    answers=Counter({"a": 1, "b": 1, "unacknowledged": 1}),
    retries=3,
    load_test=LOAD,
    audit=AUDIT,
    verdicts=12,
)


def test_a_proof_has_no_failures_and_at_most_ten_lines() -> None:
    assert PROVED.failures == []
    assert PROVED.figures()["proved"] is True
    assert len(PROVED.lines()) <= 10
    assert "2 acknowledged = 2 found" in "\n".join(PROVED.lines())


def test_recoveries_are_summed_up_by_kind_and_deed() -> None:
    kills = [KillOutcome("broker", "kafka-1", float(n), 5.0) for n in range(1, 4)]
    kills += [KillOutcome("broker", "kafka-2", 9.0, 9.5, 6.0), KillOutcome("broker", "kafka-3", None, None)]
    found = replace(PROVED, kills=kills).recovery_s()
    assert found["kill broker"] == {"p50": 2.0, "p99": 2.98, "max": 3.0, "count": 3}
    assert found["freeze broker"]["max"] == 9.0
    assert not any("did not" in line for line in replace(PROVED, kills=kills[:3]).lines(each=False)[:-1])


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"answers": Counter({"a": 1})}, "1 requests are lost"),
        ({"answers": Counter({"a": 2, "b": 1})}, "1 requests were answered twice"),
        (
            {"load_test": LOAD | {"violations": {"wrong_hash": 4}, "violations_total": 4}},
            "4 rules of the stream",
        ),
        ({"load_test": LOAD | {"live_at_end": 28}}, "2 clients did not come back"),
        ({"audit": AUDIT | {"violations": {"two_rides": 1}, "violations_total": 1}}, "1 rules of the log"),
        ({"wrong_verdicts": ["gateway-1: wrong_hash"]}, "1 verdicts were wrong"),
        ({"kills": PROVED.kills[1:]}, "no gateway was killed"),
        ({"kills": [KillOutcome("gateway", "gateway-1", None, 3.0), *PROVED.kills[1:]]}, "did not recover"),
        ({"acknowledged": set()}, "no request was acknowledged"),
        ({"load_test": LOAD | {"judged": 0}}, "no update was compared"),
        ({"verdicts": 0}, "the verifier compared nothing"),
        ({"audit": AUDIT | {"batches": 0}}, "the audit read nothing"),
    ],
)
def test_whatever_contradicts_the_claim_is_a_failure(change: dict[str, Any], failure: str) -> None:
    report = replace(PROVED, **change)
    assert len(report.failures) == 1
    assert failure in report.failures[0]
    assert report.figures()["proved"] is False
    assert report.lines()[-1].startswith("✗")
    assert len(report.lines()) <= 10
