# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on a machine, said so that its owner knows what to do."""

from typing import Final

FAILED: Final = 1
WRONG_USE: Final = 2


class LocalError(Exception):
    """Something on this machine is in the way. `what` happened, what to `do`, and how to exit."""

    def __init__(self, what: str, *, do: str, code: int = FAILED, details: str = "") -> None:
        super().__init__(f"{what} {do}")
        self.what = what
        self.do = do
        self.code = code
        self.details = details
        """The end of a log, say: printed between the two."""
        if details:
            self.add_note(details)  # for whoever sees the exception itself
