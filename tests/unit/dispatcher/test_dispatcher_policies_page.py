# SPDX-License-Identifier: Apache-2.0
"""The page on policies says what is true, and its example works."""

import re
from pathlib import Path

from dispatcher.policies import POLICIES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "policies.md").read_text()


def test_the_example_on_the_page_is_the_one_in_the_folder() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert (ROOT / "examples" / "near.py").read_text().endswith(code)
    assert len(code.strip().splitlines()) <= 24


def test_the_page_names_every_policy() -> None:
    assert all(f"`{name}`" in PAGE for name in POLICIES)
