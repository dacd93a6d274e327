# SPDX-License-Identifier: Apache-2.0
"""The fault scripts are what their generator makes of them, and only say what their README knows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts import golden_scripts

SCRIPTS = sorted(golden_scripts.FOLDER.glob("*.json"))
STEPS = {"open", "say", "cut", "close", "wait_ms", "look", "opens", "says", "closes", "holds"}


def steps(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["steps"]
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_what_its_generator_makes_of_it(path: Path) -> None:
    text = path.read_text("utf-8")
    assert golden_scripts.written(golden_scripts.fill(json.loads(text))) == text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_each_step_of_a_script_is_one_that_the_readme_knows(path: Path) -> None:
    readme = (golden_scripts.FOLDER / "README.md").read_text("utf-8")
    for step in steps(path):
        assert len(STEPS & step.keys()) == 1, step
    for name in STEPS:
        assert f'{{"{name}":' in readme


def test_every_reason_of_a_reset_and_every_close_code_of_the_protocol_has_a_script() -> None:
    played = [step for path in SCRIPTS for step in steps(path)]
    messages = [step["message"] for step in played if "say" in step]
    reasons = {message["reason"] for message in messages if message["type"] == "reset"}
    assert reasons == {"epoch", "expired", "ahead", "overflow", "mismatch"}
    others = golden_scripts.FOLDER / "close-by-any-other-code.json"
    codes = {path: {step["code"] for step in steps(path) if "close" in step} for path in SCRIPTS}
    protocol = (golden_scripts.FOLDER.parent.parent.parent / "docs" / "protocol.md").read_text("utf-8")
    first_columns = [line.split("|")[1] for line in protocol.splitlines() if line.startswith("| ")]
    listed = {int(code) for column in first_columns for code in re.findall(r"\b[14]\d{3}\b(?!–)", column)}
    listed.remove(4499)
    assert set().union(*codes.values()) >= listed
    assert set().union(*(some for path, some in codes.items() if path != others)) <= listed
    assert codes[others] > {1000, 1001, 1003, 1008, 1010}
