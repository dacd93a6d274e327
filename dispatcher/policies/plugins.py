# SPDX-License-Identifier: Apache-2.0
"""Policies that are not part of this package, from a file or an installed package (docs/policies.md)."""

import inspect
import sys
from importlib import util
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from dispatcher.policies import POLICIES, Policy

ENTRY_POINTS: Final = "taxistream.policies"
"""The group of entry points in which a package names its policies."""
_sources: dict[str, bytes] = {}
"""Name of a policy → the source of its module. The built-in ones have none here: they are deciding code."""


class PolicyError(ValueError):
    """There is no such policy, or it cannot be used. The text says why and what is wanted."""


def load(text: str) -> Policy:
    """Find a policy, and add it to `POLICIES` under its own name.

    Args:
        text: The name of a policy of this package, `FILE.py:CLASS`, or the name of an entry point.

    Raises:
        PolicyError: There is none, its code failed, or it has the name of another one.
    """
    if text in POLICIES:
        return POLICIES[text]
    file, colon, attribute = text.rpartition(":")
    module, made = _from_file(Path(file), attribute) if colon else _from_package(text)
    try:
        policy = made() if isinstance(made, type) else made
    except Exception as error:
        raise PolicyError(f"it cannot be made: {error!r}") from error
    name = getattr(policy, "name", None)
    if not isinstance(name, str) or not name or not callable(getattr(policy, "decide", None)):
        raise PolicyError("a class with a `name` and a method `decide` is wanted (docs/policies.md)")
    source = inspect.getsource(module).encode()
    if name in POLICIES and _sources.get(name) != source:
        raise PolicyError(f"another policy has the name {name!r}")
    _sources[name] = source
    return POLICIES.setdefault(name, policy)


def names() -> list[str]:
    """The names that `load` takes: policies of this package, and entry points of installed ones."""
    return [*POLICIES, *sorted(entry_points(group=ENTRY_POINTS).names - POLICIES.keys())]


def source_of(name: str) -> bytes:
    """The source of a policy's module; empty for one of this package, or if it was not loaded here."""
    return _sources.get(name, b"")


def _from_file(file: Path, attribute: str) -> tuple[ModuleType, Any]:
    if not file.is_file():
        raise PolicyError(f"{file} is no file; FILE.py:CLASS is wanted")
    name = f"policy_{file.stem}"
    spec = util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PolicyError(f"{file} is no Python file")
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PolicyError(f"{file} cannot be run: {error!r}") from error
    if not hasattr(module, attribute):
        raise PolicyError(f"{file} has no {attribute!r}")
    return module, getattr(module, attribute)


def _from_package(name: str) -> tuple[ModuleType, Any]:
    found = entry_points(group=ENTRY_POINTS)
    if name not in found.names:
        raise PolicyError(f"one of {', '.join(names())} is wanted, or FILE.py:CLASS")
    point = found[name]
    try:
        made = point.load()
    except Exception as error:
        raise PolicyError(f"{point.value} cannot be loaded: {error!r}") from error
    return sys.modules[point.module], made
