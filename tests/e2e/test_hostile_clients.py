# SPDX-License-Identifier: Apache-2.0
"""The attacks of `bench/hostile_clients.py`, each for a moment, beside six ordinary clients of a live city.

The bounds are wider than the bench's own: other tests run beside this one. What starves a gateway takes
seconds, not tenths.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "hostile_clients.py"
ATTACKS = (
    *("empty_continuations", "empty_pongs", "unread_pings", "messages", "images"),
    *("huge_header", "many_headers", "huge_bodies", "requests_ahead", "churn"),
    *("silent_sockets", "half_handshakes", "slow_bodies", "unread_answers"),
)


def run(*options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(BENCH), "--memory", "--json", "--drivers", "200", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, figures


@pytest.mark.slow
def test_no_attack_starves_ordinary_clients() -> None:
    code, figures = run("--seconds", "2", "--gap", "1.5", "--newcomer", "5", *ATTACKS)
    assert figures["broken"] == {}
    assert figures["attacks"].keys() == {"none", *ATTACKS}
    assert code == 0


@pytest.mark.slow
def test_a_bound_that_is_broken_is_named_and_fails() -> None:
    code, figures = run("--seconds", "1", "--gap", "0.01", "empty_pongs")
    assert "gap_s" in figures["broken"]["empty_pongs"][0]
    assert code == 1
