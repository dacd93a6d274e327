# SPDX-License-Identifier: Apache-2.0
"""What a client can see broken: a count for each rule, the first few of each in words."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

RULES: Final = {
    # what a cut says, held against the log
    "ghost_row": "no row that the log does not have",
    "missing_row": "every row that the log has",
    "wrong_row": "each row as the log has it",
    "fix_went_back": "the fix shown of a driver is never older than the one before",
    "wrong_ride": "each ride as the log has it, no more and no less",
    "wrong_hash": "the hash told is the one over the rows of the log",
    "wrong_counts": "the row counts told are those of the log",
    "wrong_cut_time": "cut time is log time",
    "half_batch": "a cursor stands after a whole batch",
    "ahead_of_log": "a cut tells nothing that is not on the log",
    "feed": "every feed event once, in the order of the log",
    "images_differ": "images of one cursor and view are the same, whoever made them",
    # what every client checks by itself
    "bytes": "a message is laid out as the page says, to the last byte",
    "chain": "a cut begins where the one before ended",
    "cursor_went_back": "the cursor never goes back, but after a reset that says so",
    "epoch": "a cut is of the epoch that ready told",
    "image_unasked": "an image follows a first hello or a reset, nothing else",
    "generation": "a new view's first cut names a view that was asked for",
    "view_ignored": "a view that was asked for comes within ten seconds",
    "outcome": "a hello has the outcome that the page says",
    "hello_hangs": "a hello is answered within ten seconds",
    "silence": "something comes at least once a second",
    "words": "control messages are as the page says",
    "closed_for_fault": "a client that keeps the rules is not closed for breaking them",
}
"""Rule → what it asks for."""
EXAMPLES_MAX: Final = 3


@dataclass
class Findings:
    """Collects what was broken."""

    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, rule: str, *details: object) -> None:
        """One more violation of a rule."""
        assert rule in RULES, rule
        self.violations[rule] += 1
        examples = self.examples.setdefault(rule, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(" ".join(map(str, details)))
