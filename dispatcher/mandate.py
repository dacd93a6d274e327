# SPDX-License-Identifier: Apache-2.0
"""By what a dispatcher decides, with digests that tell another code or another city's data apart."""

from hashlib import blake2b
from importlib import resources
from typing import Final

import msgspec

from dispatcher.core import Mandate
from dispatcher.limits import Limits
from dispatcher.policies.tuning import Tuning
from dispatcher.settings import Settings
from taxi.messages import PolicyActivated
from taxi.roads import city_dir

_DECIDING: Final = ("dispatcher", "dispatcher.policies", "taxi.city")
_SHARED: Final = (
    "fix_columns.py",
    "fixes.py",
    "messages.py",
    "newest.py",
    "roads.py",
    "roads_city.py",
    "roads_places.py",
    "roads_projection.py",
    "roads_tables.py",
    "roads_zones.py",
    "states.py",
)


def mandate_of(settings: Settings, folder: str) -> Mandate:
    """The mandate that the settings name for the city in `folder`. Reads the sources and the graph once."""
    return Mandate(
        policy=settings.policy,
        limits=settings.limits(),
        data_digest=data_digest(folder),
        code_digest=code_digest(),
    )


def mandate_on_log(policy: PolicyActivated) -> Mandate:
    """The mandate that the log names. Raises msgspec.ValidationError for one of another version."""
    return Mandate(
        policy=policy.policy,
        limits=msgspec.convert(policy.parameters, Limits),
        tuning=msgspec.convert(policy.parameters, Tuning),
        seed=policy.seed,
        data_digest=policy.data_digest,
        code_digest=policy.code_digest,
    )


def data_digest(city: str) -> str:
    """Over what decisions know of the city: hours, streets, zones."""
    sum_ = blake2b(digest_size=8)
    for name in ("city.json", "graph.npz", "zones.npz"):
        path = city_dir(city) / name
        sum_.update(path.read_bytes() if path.is_file() else b"")
    return sum_.hexdigest()


def code_digest() -> str:
    """Over every source file that has a say in a decision."""
    sum_ = blake2b(digest_size=8)
    files = [resources.files("taxi") / name for name in _SHARED]
    for package in _DECIDING:
        found = [file for file in resources.files(package).iterdir() if file.name.endswith(".py")]
        files += sorted(found, key=lambda file: file.name)
    for file in files:
        sum_.update(file.name.encode() + b"\0" + file.read_bytes())
    return sum_.hexdigest()
