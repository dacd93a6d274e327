# SPDX-License-Identifier: Apache-2.0
"""Scenarios as small files: what they are called, where they may take place, what they assume and do.

The simulator reads a file for its effects, a gateway of a local demo for what it puts on the log when a
scenario is started. What a scenario does is the simulator's alone (`simulator/scenario_effects.py`).
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from taxi.messages import SCENARIO_NAME, Disc, StartScenario

_STEPS_MAX: Final = 100


class ScenarioError(ValueError):
    """A file of a scenario is wrong, or there is none of this name. The text says which and what."""


class ScenarioArea(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a scenario takes place in a city."""

    lng: Annotated[float, Meta(ge=-180, le=180)]
    lat: Annotated[float, Meta(ge=-90, le=90)]
    radius_m: Annotated[int, Meta(ge=1, le=100_000)]
    title: Annotated[str, Meta(max_length=80)] = ""

    @property
    def disc(self) -> Disc:
        """The same on the log."""
        return Disc(lng=self.lng, lat=self.lat, radius_m=self.radius_m)


class DemandStep(Struct, frozen=True, forbid_unknown_fields=True):
    """From some seconds (city time) after the scenario's beginning on, demand is so many times as high."""

    after_s: Annotated[int, Meta(ge=0)]
    factor: Annotated[float, Meta(ge=0, le=100)]


class ScenarioPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a file."""

    title: Annotated[str, Meta(min_length=1, max_length=80)]
    about: Annotated[str, Meta(min_length=1, max_length=300)]
    """One sentence for people."""
    lasts_s: Annotated[int, Meta(ge=1, le=86_400)]
    """City time."""
    assumptions: Annotated[tuple[str, ...], Meta(min_length=1)]
    sources: Annotated[tuple[str, ...], Meta(min_length=1)]
    areas: dict[str, ScenarioArea] = {}
    """City → where. Empty: everywhere, in every city; otherwise it can take place in these cities alone."""
    demand: Annotated[tuple[DemandStep, ...], Meta(max_length=_STEPS_MAX)] = ()
    """Of rides that begin in the area; ascending."""
    drive_percent: Annotated[int, Meta(ge=20, le=500)] = 100
    """How long all drives of the city take, in per cent of what they usually take."""
    offline_share: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Drivers of the whole city who go offline, once their ride is over."""
    silent: bool = False
    """Whether taxis in the area send no positions."""

    def problem(self) -> str | None:
        """What is wrong beyond the types of the fields; None if nothing is."""
        if not (self.demand or self.drive_percent != 100 or self.offline_share or self.silent):
            return "it does nothing: give `demand`, `drive_percent`, `offline_share` or `silent`"
        if self.silent and not self.areas:
            return "`silent` needs `areas`: time does not pass in a city without any position"
        after_s = [step.after_s for step in self.demand]
        if any(second <= first for first, second in pairwise(after_s)):
            return "`after_s` of the steps of `demand` must grow"
        if any(at_s >= self.lasts_s for at_s in after_s):
            return "a step of `demand` begins after `lasts_s`"
        return None

    def start(self, name: str, city: str, command_id: str) -> StartScenario:
        """The command that starts it in a city. Raises ScenarioError if it cannot take place there."""
        area = self.areas.get(city)
        if self.areas and area is None:
            raise ScenarioError(
                f"scenario {name!r} has no area in {city}; it has one in {', '.join(sorted(self.areas))}. "
                f"Add [areas.{city}] to its file"
            )
        return StartScenario(
            command_id=command_id,
            scenario=name,
            title=self.title,
            lasts_s=self.lasts_s,
            area=area.disc if area is not None else None,
        )


def load_plans(folder: Path) -> dict[str, ScenarioPlan]:
    """Read all `NAME.toml` of a folder, sorted by name. Raises ScenarioError, OSError."""
    return {path.stem: _load(path) for path in sorted(folder.glob("*.toml"))}


def plan_of(plans: Mapping[str, ScenarioPlan], name: str) -> ScenarioPlan:
    """The plan of this name. Raises ScenarioError with the names that there are."""
    if name not in plans:
        raise ScenarioError(f"no scenario {name!r}; there are: {', '.join(sorted(plans)) or 'none'}")
    return plans[name]


def _load(path: Path) -> ScenarioPlan:
    if not SCENARIO_NAME.fullmatch(path.stem):
        raise ScenarioError(f"{path}: a scenario's name is a letter, then up to 39 of a-z 0-9 -")
    try:
        plan = msgspec.toml.decode(path.read_bytes(), type=ScenarioPlan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    if (why := plan.problem()) is not None:
        raise ScenarioError(f"{path}: {why}")
    return plan
