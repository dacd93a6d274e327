# SPDX-License-Identifier: Apache-2.0
"""docs/load-test.md tells what there is."""

import re
from pathlib import Path

from taxistream.tools.loadtest.rules import RULES

PAGE = (Path(__file__).parents[3] / "docs" / "load-test.md").read_text("utf-8")


def test_the_page_lists_every_rule_and_no_other() -> None:
    section = PAGE.split("## The rules")[1].split("## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)) == RULES
