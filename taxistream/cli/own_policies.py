# SPDX-License-Identifier: Apache-2.0
"""Policies that a command line names: those of the package, and the user's own."""

from collections.abc import Sequence

from taxi.runtime.machine_errors import WRONG_USE, LocalError


def load_policies(policies: Sequence[str]) -> None:
    """Load each, so that it can be used. Raises LocalError for one that cannot be."""
    from dispatcher.policies import plugins  # noqa: PLC0415 - `taxi --help` does without

    for each in policies:
        try:
            plugins.load(each)
        except plugins.PolicyError as error:
            do = "docs/policies.md shows how to write one."
            raise LocalError(f"--policy {each}: {error}.", do=do, code=WRONG_USE) from None
