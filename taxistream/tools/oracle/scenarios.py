# SPDX-License-Identifier: Apache-2.0
"""Which scenarios are under way, along a log. Written from docs/protocol.md."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from taxistream.tools.oracle.errors import BrokenLogError


class ScenarioFact(NamedTuple):
    """A scenario under way, in the order of the message `scenarios`."""

    name: str
    title: str
    since_ms: int
    lasts_s: int
    area: tuple[float, float, int] | None
    """Longitude and latitude of the centre, and the radius in metres."""


def scenarios_after(
    before: Mapping[str, ScenarioFact], kind: str, body: Mapping[str, Any]
) -> Mapping[str, ScenarioFact]:
    """The scenarios under way after an event; other events change nothing. Raises BrokenLogError."""
    if kind == "EpochStarted" and body.get("reason") == "events_lost":
        return {}
    if kind not in {"ScenarioStarted", "ScenarioEnded"}:
        return before
    after = dict(before)
    if kind == "ScenarioStarted":
        if body["scenario"] in after:
            raise BrokenLogError("a scenario that is under way already", body)
        disc = body.get("area")
        area = None if disc is None else (disc["lng"], disc["lat"], disc["radius_m"])
        fact = ScenarioFact(body["scenario"], body["title"], body["at_ms"], body["lasts_s"], area)
        after[fact.name] = fact
        return after
    if body["scenario"] not in after:
        raise BrokenLogError("the end of a scenario that is not under way", body)
    del after[body["scenario"]]
    return after
