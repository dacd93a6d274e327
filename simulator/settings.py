# SPDX-License-Identifier: Apache-2.0
"""The settings of the simulator, and how the people in it behave."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Self

from msgspec import Meta, Struct, structs

from taxi.roads.city import load_city
from taxi.runtime import checks, settings
from taxi.runtime.environment import Note
from taxi.scenarios import ScenarioError, ScenarioPlan, load_plans, plan_of

OWN_SCENARIOS: Final = Path(__file__).parent / "scenarios"
"""The scenarios of this package, a file each."""
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Settings(settings.Settings, frozen=True, kw_only=True):
    """The simulator's settings."""

    drivers: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    """How many drivers there are. Their numbers are 1 … `drivers`. Not set: as many as suit the city."""
    seed: int = 7
    """Seed of the simulated world."""
    load: Annotated[float, Meta(ge=0, le=10)] = 0.8
    """Demand: at 1.0 some 86 % of the fleet has a rider, with the best policy."""
    demand_by_hour: bool = False
    """Whether demand differs from hour to hour and from day to day (`simulator.demand_by_hour`); `load` is
    then the mean of a week."""
    gps_noise: bool = False
    """Whether positions have the errors of real devices (`simulator.gps.GpsErrors`)."""
    scenarios_dir: str = ""
    """A folder with files of scenarios. Empty: those in `simulator/scenarios`."""
    scenarios: str = ""
    """Scenarios to start, comma-separated."""
    scenarios_asked_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """When they were asked for, in epoch milliseconds: a simulator that restarts does not start them again.
    0: when the simulator starts."""

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if why := checks.directory(self.scenarios_dir):
            yield "scenarios_dir", why
            return
        try:
            plans = self.plans()
        except (ScenarioError, OSError) as error:
            yield "scenarios_dir", str(error)
            return
        for name in self.scenario_names():
            try:
                plan_of(plans, name).start(name, self.own().name, command_id=name)
            except ScenarioError as error:
                yield "scenarios", str(error)
            except ValueError:
                return  # the city is wrong, which the shared settings report

    def plans(self) -> dict[str, ScenarioPlan]:
        """The scenarios by name. Raises ScenarioError, OSError."""
        return load_plans(Path(self.scenarios_dir) if self.scenarios_dir else OWN_SCENARIOS)

    def scenario_names(self) -> list[str]:
        """The names in `scenarios`."""
        return [name.strip() for name in self.scenarios.split(",") if name.strip()]

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, note: Callable[[Note], object] | None = None) -> Self:
        """Read the settings. Without TAXI_DRIVERS, `drivers` is the city's own number (`CityInfo.drivers`).

        Raises SettingsError.
        """
        read = super().from_env(environ, note=note)
        if environ.get(settings.variable("drivers")):
            return read
        return structs.replace(read, drivers=load_city(read.own().folder).drivers)


class CityBehavior(Struct, frozen=True, kw_only=True):
    """How people behave, in city time. The whole-system simulation scales times down together."""

    ticks_per_s: Annotated[int, Meta(ge=1, le=100)] = 10
    """Each driver moves and reports once a second of the clock, in one of this many groups."""

    requests_per_driver_s: Annotated[float, Meta(ge=0)] = 0.884 / 1000
    """Rides a second for each driver at load 1.0 (measured on Manhattan's streets and trips; elsewhere times
    `CityInfo.demand_factor`)."""
    accept_share: Share = 0.9
    decline_share: Share = 0.05
    """The remaining drivers do not answer."""
    answer_s: tuple[Seconds, Seconds] = (1.0, 5.0)
    refuse_share: Share = 0.03
    """Drivers who refuse a ride that was given by order."""
    refuse_s: tuple[Seconds, Seconds] = (1.0, 4.0)
    board_s: tuple[Seconds, Seconds] = (20.0, 60.0)
    """From the driver's arrival to the start of the trip."""
    alight_s: tuple[Seconds, Seconds] = (15.0, 25.0)
    """From the end of the drive to the end of the trip."""
    no_show_share: Share = 0.01
    no_show_s: Seconds = 310.0
    """A driver waits this long for a rider who never comes. The dispatcher ends it at 300 s by itself."""
    impatient_share: Share = 0.03
    patience_s: tuple[Seconds, Seconds] = (45.0, 240.0)
    """An impatient rider cancels if no taxi has arrived at the pickup after this long."""
    break_share: Share = 0.04
    """Drivers who take a break in a given hour."""
    break_s: tuple[Seconds, Seconds] = (300.0, 900.0)
    hour_s: Annotated[float, Meta(gt=0)] = 3600.0
    cruises: bool = True
    """Idle drivers cruise; otherwise they wait where their last drive ended."""
    park_share: Share = 0.07
    """Idle drivers who stop at the kerb on the next block."""
    park_s: tuple[Seconds, Seconds] = (20.0, 120.0)
    drive_noise: Share = 0.0
    """How much slower or faster than expected a whole drive may be; drawn for each drive."""
    resend_s: Annotated[float, Meta(gt=0)] = 10.0
    """A command without an answer is sent again after this long by the clock, then after twice as long, …"""
    look_back_s: Seconds = 10.0
    """After a restart, requests up to this old by the clock are made again with the same ids, so they are
    repeats."""
