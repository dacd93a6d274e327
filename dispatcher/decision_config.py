# SPDX-License-Identifier: Apache-2.0
"""By what a dispatcher decides, with digests that tell another code or another city's data apart."""

from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from dispatcher.core import DecisionConfig
from dispatcher.limits import DecisionLimits
from dispatcher.policies import plugins
from dispatcher.policies.tuning import Tuning
from dispatcher.settings import Settings
from taxi.messages import PolicyActivated
from taxi.roads.network import city_dir

DECIDING: Final = (
    "dispatcher.batch",
    "dispatcher.batch_input",
    "dispatcher.commands",
    "dispatcher.core",
    "dispatcher.limits",
    "dispatcher.log_time",
    "dispatcher.market",
    "dispatcher.policies",
    "dispatcher.policies.assignment",
    "dispatcher.policies.batched",
    "dispatcher.policies.fifo",
    "dispatcher.policies.greedy",
    "dispatcher.policies.joint",
    "dispatcher.policies.market",
    "dispatcher.policies.reposition",
    "dispatcher.policies.tuning",
    "dispatcher.timers",
    "dispatcher.trips",
    "taxi",
    "taxi.bus",
    "taxi.city_time",
    "taxi.messages",
    "taxi.messages.codec",
    "taxi.messages.states",
    "taxi.positions",
    "taxi.positions.clock",
    "taxi.positions.columns",
    "taxi.positions.dropped",
    "taxi.positions.fixes",
    "taxi.positions.newest",
    "taxi.roads.city",
    "taxi.roads.demand",
    "taxi.roads.network",
    "taxi.roads.places",
    "taxi.roads.projection",
    "taxi.roads.tables",
    "taxi.roads.zones",
    "taxi.runtime.tracing",
    "taxi.state",
    "taxi.state.city",
    "taxi.state.data",
    "taxi.state.drivers",
    "taxi.state.folds",
    "taxi.state.rides",
    "taxi.state.rows",
    "taxi.state.scenarios",
    "taxi.tariff",
    "taxi.topics",
)
"""The modules that `dispatcher.core` imports, directly or through others: they decide, or make the bytes of
what was decided. A test holds the list against the imports."""


def decision_config_of(settings: Settings, folder: str | Path) -> DecisionConfig:
    """Make the configuration that the settings name. Reads the sources and the graph of `folder` once."""
    policy = plugins.load(settings.policy).name
    return DecisionConfig(
        policy=policy,
        limits=settings.limits(),
        data_digest=data_digest(folder),
        code_digest=code_digest(policy),
        speed=settings.speed,
    )


def decision_config_on_log(policy: PolicyActivated) -> DecisionConfig:
    """The configuration that the log names. Raises msgspec.ValidationError for one of another version."""
    return DecisionConfig(
        policy=policy.policy,
        limits=msgspec.convert(policy.parameters, DecisionLimits),
        tuning=msgspec.convert(policy.parameters, Tuning),
        seed=policy.seed,
        data_digest=policy.data_digest,
        code_digest=policy.code_digest,
        speed=policy.speed,
    )


def data_digest(city: str | Path) -> str:
    """Over what decisions know of the city: hours, streets, zones."""
    sum_ = blake2b(digest_size=8)
    for name in ("city.json", "graph.npz", "zones.npz"):
        path = city_dir(city) / name
        sum_.update(path.read_bytes() if path.is_file() else b"")
    return sum_.hexdigest()


def code_digest(policy: str) -> str:
    """Compute the digest of the deciding code: the source of every module in `DECIDING`, with its name.

    Args:
        policy: The name of the policy that decides. If it is a plug-in, its module is deciding code, too.
    """
    sum_ = blake2b(digest_size=8)
    for module in DECIDING:
        package, _, name = module.partition(".")
        root, path = resources.files(package), name.replace(".", "/")
        source = root / path / "__init__.py" if (root / path).is_dir() else root / f"{path}.py"
        sum_.update(module.encode() + b"\0" + source.read_bytes())
    sum_.update(plugins.source_of(policy))
    return sum_.hexdigest()
