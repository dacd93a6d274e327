# SPDX-License-Identifier: Apache-2.0
"""The control of scenarios in a local demo: list, start, stop. It reads their files and writes commands.

The methods raise `HttpProblem` and do not depend on HTTP.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.http.problems import HttpProblem, not_found, unprocessable
from gateway.http.ride_service import RideService
from taxi.messages import StopScenario
from taxi.scenarios import ScenarioError, ScenarioPlan, load_plans, plan_of


class ScenarioService:
    """Answers from the files of a folder and the last cut of the gateway's city view.

    Args:
        city: The name of the city.
        folder: The folder with the files. They are read again at each call, so one may be added.
        rides: Writes commands, and knows the last cut.
    """

    def __init__(self, city: str, folder: Path, rides: RideService) -> None:
        self._city = city
        self._folder = folder
        self._rides = rides

    def all(self) -> list[dict[str, Any]]:
        """Every scenario that can take place in this city, by name; `since_ms` if it is under way.

        Raises HttpProblem (500) if a file is wrong, (503) before the first cut.
        """
        under_way = self._rides.seen().city.scenarios
        rows = []
        for name, plan in self._plans().items():
            area = plan.areas.get(self._city)
            if plan.areas and area is None:
                continue
            scenario = under_way.get(name)
            rows.append(
                {
                    "name": name,
                    "title": plan.title,
                    "about": plan.about,
                    "lasts_s": plan.lasts_s,
                    "assumptions": list(plan.assumptions),
                    "sources": list(plan.sources),
                    "place": area.title if area is not None else "",
                    "area": [area.lng, area.lat, area.radius_m] if area is not None else None,
                    "since_ms": scenario.since_ms if scenario is not None else None,
                }
            )
        return rows

    async def start(self, name: str, asked_ms: int, headers: Mapping[str, str]) -> dict[str, Any]:
        """Write a command that starts a scenario.

        Raises:
            HttpProblem: There is no such file (404), it is under way (409), it has no area in this city
                (422), or the log does not answer (503).
        """
        plan = self._plan(name)
        if name in self._rides.seen().city.scenarios:
            raise HttpProblem(409, "Conflict", f"{name} is under way")
        try:
            command = plan.start(name, self._city, f"scenario:{name}:{asked_ms}")
        except ScenarioError as error:
            raise unprocessable(str(error)) from None
        await self._rides.write(command, name, headers)
        return {"scenario": name, "city": self._city}

    async def stop(self, name: str, asked_ms: int, headers: Mapping[str, str]) -> dict[str, Any]:
        """Write a command that ends a scenario.

        Raises HttpProblem: it is not under way (409), or the log does not answer (503).
        """
        if name not in self._rides.seen().city.scenarios:
            raise HttpProblem(409, "Conflict", f"{name} is not under way")
        command = StopScenario(command_id=f"scenario:{name}:stop:{asked_ms}", scenario=name)
        await self._rides.write(command, name, headers)
        return {"scenario": name, "city": self._city}

    def _plans(self) -> dict[str, ScenarioPlan]:
        try:
            return load_plans(self._folder)
        except (ScenarioError, OSError) as error:
            raise HttpProblem(500, "Internal Server Error", str(error)) from None

    def _plan(self, name: str) -> ScenarioPlan:
        try:
            return plan_of(self._plans(), name)
        except ScenarioError as error:
            raise not_found(str(error)) from None
