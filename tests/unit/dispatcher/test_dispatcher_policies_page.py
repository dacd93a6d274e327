# SPDX-License-Identifier: Apache-2.0
"""The page on policies says what is true, and its example works."""

import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dispatcher.policies import POLICIES
from testing.core_harness import CoreHarness, online, request

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "policies.md").read_text()


def example() -> Any:
    """The class that the page shows, as a policy."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.strip().splitlines()) <= 24
    names: dict[str, Any] = {}
    exec(compile(code, "docs/policies.md", "exec"), names)
    return names["Patient"]()


@pytest.mark.parametrize(("policy", "served"), [("patient", "old"), ("greedy", "young")])
def test_the_example_on_the_page_is_a_policy_that_minds_who_waits(policy: str, served: str) -> None:
    with patch.dict(POLICIES, {"patient": example()}):
        core = CoreHarness(policy=policy)
        core.step(request("old", pickup=3))
        core.wait(120_000)
        core.where[1] = 0
        core.step(request("young", pickup=1), online(1))
        assert core.ride(served).driver == 1


def test_the_page_names_every_policy() -> None:
    assert all(f"`{name}`" in PAGE for name in POLICIES)
