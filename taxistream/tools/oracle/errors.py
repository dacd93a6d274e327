# SPDX-License-Identifier: Apache-2.0
"""How the oracle reports a log that it cannot fold."""


class BrokenLogError(Exception):
    """The events on the log break a rule, which is not the gateway's fault.

    `args` is the rule, followed by details such as the batch, the event and the state before it.
    """

    def __str__(self) -> str:
        rule, *details = self.args
        return f"{rule}: {', '.join(map(str, details))}" if details else str(rule)
