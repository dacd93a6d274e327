# SPDX-License-Identifier: Apache-2.0
"""The conformance kit says what the code does, and shows what it is there for."""

import json

import numpy as np
import pytest

from scripts import conformance_kit
from scripts.conformance_cases import IDLE, LOST, Case, cases, online
from scripts.conformance_kit import FOLDER, SPANS


def test_the_kit_is_what_the_code_says() -> None:
    for path, content in conformance_kit.files().items():
        assert path.read_text(encoding="utf-8") == content, "run `python -m scripts.conformance_kit`"


@pytest.mark.parametrize("name", SPANS)
def test_a_log_of_the_kit_shows_every_case_that_it_is_there_for(name: str) -> None:
    lines = [json.loads(line) for line in (FOLDER / f"{name}.expected.jsonl").read_text().splitlines()]
    assert len(lines) == conformance_kit.POSITIONS
    statuses = {row[6] for line in lines for row in line["drivers"]}
    assert len(statuses) >= 4
    driver_counts = np.diff([len(line["drivers"]) for line in lines])
    assert driver_counts.min() < 0 < driver_counts.max(), "rows come and expire"
    assert any(line["rides"] for line in lines)


def test_a_case_has_a_name_of_its_own_and_states_what_is_expected() -> None:
    made = list(cases())
    assert len({name for name, _ in made}) == len(made)
    assert all(case.expectations for _, case in made)


def test_a_case_whose_statement_the_code_contradicts_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(status: int, *, is_gap: bool) -> Case:
        case = Case("")
        case.begin(1)
        case.batch(online(2))
        case.expect_gap() if is_gap else case.expect({1: status})  # type: ignore[dict-item]
        return case

    for case, is_right in (
        (of(IDLE, is_gap=False), True),
        (of(LOST, is_gap=False), False),
        (of(0, is_gap=True), False),
    ):
        monkeypatch.setattr(conformance_kit, "cases", lambda case=case: iter([("a case", case)]))
        if is_right:
            assert len(list(conformance_kit.case_lines())) == 1
        else:
            with pytest.raises(AssertionError, match="'a case' after 5 events"):
                list(conformance_kit.case_lines())
