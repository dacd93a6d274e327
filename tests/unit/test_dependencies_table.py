# SPDX-License-Identifier: Apache-2.0
"""The dependencies in docs/operations.md: each row names faults, metrics and log lines that exist."""

import re

import pytest

from tests.unit.test_fault_codes import CODES, PAGE, PRODUCT

TABLE = PAGE.partition("| depends on | part | readiness |")[2].partition("\n\n")[0]
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in TABLE.splitlines()[2:]]
SOURCES = "\n".join(PRODUCT.values())


def quoted(cell: str) -> list[str]:
    """What is between back-ticks, without an ellipsis and labels."""
    return [re.sub(r"\{.*\}|…", "", text).strip(" :") for text in re.findall(r"`([^`]+)`", cell)]


def test_the_page_has_the_table() -> None:
    assert len(ROWS) >= 25
    assert {len(row) for row in ROWS} <= {5, 6}, "the first cell may be empty"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " / ".join(row[:2])[:60])
def test_what_a_row_names_exists(row: list[str]) -> None:
    *_, readiness, metric, log, page = row
    for name in quoted(metric):
        assert name == "taxi_fault" or f'"{name}"' in SOURCES, name
    for code in (*quoted(readiness), *quoted(page)):
        if re.fullmatch(r"[a-z]+(_[a-z]+)+", code):
            assert code in CODES or any(known.endswith(code) for known in CODES), code
    for line in quoted(log):
        assert line in SOURCES, line
