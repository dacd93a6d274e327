# SPDX-License-Identifier: Apache-2.0
"""Every fault in docs/operations.md is reported by the code and caused in a test, and none is missing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## When something lasts that should not")[2].partition("\n## ")[0]
CODES = sorted(
    {
        code
        for row in re.findall(r"^\| (`[^|]+) \|", SECTION, re.MULTILINE)
        for code in re.findall(r"`([a-z_]+)`", row)
    }
)
PRODUCT = {
    path: path.read_text(encoding="utf-8")
    for package in ("taxi", "taxistream", "simulator", "dispatcher", "gateway", "verifier")
    for path in (ROOT / package).rglob("*.py")
}
TESTS = [
    path.read_text(encoding="utf-8")
    for folder in ("tests", "testing")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__).resolve()
]


def test_the_page_lists_faults() -> None:
    assert len(CODES) >= 15


@pytest.mark.parametrize("code", CODES)
def test_a_fault_on_the_page_is_reported_by_the_code(code: str) -> None:
    stem, _, kind = code.partition("_held_back") if code.endswith("_held_back") else (code, "", "")
    assert any(f'"{code}"' in text or (kind == "" and f'"{stem}"' in text) for text in PRODUCT.values())


@pytest.mark.parametrize("code", CODES)
def test_a_fault_on_the_page_is_caused_in_a_test(code: str) -> None:
    assert any(code in text for text in TESTS)


def test_every_fault_that_is_reported_by_name_is_on_the_page() -> None:
    reported = {
        code for text in PRODUCT.values() for code in re.findall(r'faults\.report\(\s*"([a-z_]+)"', text)
    }
    assert reported <= set(CODES)
