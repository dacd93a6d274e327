# SPDX-License-Identifier: Apache-2.0
"""The rules that clients check, a count of violations for each, and the first few as text."""

from typing import Final

from taxistream.tools.violations import Violations

RULES: Final = {
    # the content of an update, compared with the log
    "ghost_row": "no row that the log does not have",
    "missing_row": "every row that the log has",
    "wrong_row": "each row as the log has it",
    "fix_went_back": "the position shown for a driver is never older than the one before",
    "wrong_ride": "each ride as the log has it, no more and no less",
    "wrong_hash": "the hash sent is the hash over the rows of the log",
    "wrong_counts": "the row counts sent are those of the log",
    "wrong_cut_time": "cut time is log time",
    "half_batch": "a cursor is at the end of a whole batch",
    "ahead_of_log": "an update contains nothing that is not on the log",
    "feed": "every feed event once, in the order of the log",
    "images_differ": "images of one cursor and viewport are the same on every gateway",
    # each client checks these by itself
    "bytes": "a message is laid out as the page says, to the last byte",
    "chain": "an update begins where the one before ended",
    "cursor_went_back": "the cursor never goes back, except after a reset that says so",
    "epoch": "an update is of the epoch that ready announced",
    "image_unasked": "an image follows a first hello or a reset, nothing else",
    "generation": "a new viewport's first update names a viewport that was requested",
    "view_ignored": "a viewport that was requested comes within ten seconds",
    "outcome": "a hello has the outcome that the page says",
    "hello_hangs": "a hello is answered within ten seconds",
    "silence": "a message comes at least once a second",
    "words": "control messages are as the page says",
    "closed_for_fault": "a client that keeps the rules is not closed for breaking them",
}
"""Rule → what it requires."""


class RuleFindings(Violations):
    """The violations of all clients."""

    RULES = RULES
