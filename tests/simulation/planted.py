# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the real services, one at a time: the simulation must find each."""

from collections.abc import Callable
from contextlib import AbstractContextManager

BUGS: dict[str, Callable[[], AbstractContextManager[object]]] = {}
