# SPDX-License-Identifier: Apache-2.0
"""Policies that are not part of this package, from a file or an installed package (docs/policies.md)."""

import inspect
import sys
from hashlib import blake2b
from importlib import util
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from dispatcher.policies import POLICIES, Policy

ENTRY_POINTS: Final = "taxistream.policies"
"""The group of entry points in which a package names its policies."""


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
    made = _from_file(Path(file), attribute) if colon else _from_package(text)
    try:
        policy = made() if isinstance(made, type) else made
    except Exception as error:
        raise PolicyError(f"it cannot be made: {error!r}") from error
    name = getattr(policy, "name", None)
    if not isinstance(name, str) or not name or not callable(getattr(policy, "decide", None)):
        raise PolicyError("a class with a `name` and a method `decide` is wanted (docs/policies.md)")
    known = POLICIES.setdefault(name, policy)
    if inspect.getsourcefile(type(known)) != inspect.getsourcefile(type(policy)):
        raise PolicyError(f"another policy has the name {name!r}")
    return known


def names() -> list[str]:
    """The names that `load` takes: policies of this package, and entry points of installed ones."""
    return [*POLICIES, *sorted(entry_points(group=ENTRY_POINTS).names - POLICIES.keys())]


def source_of(name: str) -> bytes:
    """The source of a policy's module; empty for one of this package, which is deciding code anyway."""
    module = sys.modules[type(POLICIES[name]).__module__] if name in POLICIES else None
    if module is None or module.__name__.startswith("dispatcher."):
        return b""
    return inspect.getsource(module).encode()


def _from_file(file: Path, attribute: str) -> Any:
    if not file.is_file():
        raise PolicyError(f"{file} is no file; FILE.py:CLASS is wanted")
    name = f"policy_{blake2b(str(file.absolute()).encode(), digest_size=4).hexdigest()}_{file.stem}"
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
    return getattr(module, attribute)


def _from_package(name: str) -> Any:
    found = entry_points(group=ENTRY_POINTS)
    if name not in found.names:
        raise PolicyError(f"one of {', '.join(names())} is wanted, or FILE.py:CLASS")
    point = found[name]
    try:
        return point.load()
    except Exception as error:
        raise PolicyError(f"{point.value} cannot be loaded: {error!r}") from error
