# SPDX-License-Identifier: Apache-2.0
"""Which viewports the clients of a load test request."""

from typing import Literal, TypeAlias

ViewKind: TypeAlias = Literal["city", "random", "mixed"]
"""`city`: the whole city. `random`: viewports that pan. `mixed`: half of the clients each."""
