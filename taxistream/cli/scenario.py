# SPDX-License-Identifier: Apache-2.0
"""`taxi scenario list|start|stop`: scenarios in a running demo, and their list without one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.demo_api import ask_demo
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from taxi.scenarios import ScenarioPlan

NameArgument = Annotated[str, typer.Argument(help="A name from `taxi scenario list`.")]
CityOption = Annotated[str, typer.Option("--city", help="Where.", show_default="the first city of the demo")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Start and stop scenarios in a running demo: rain, a strike."
    )
    group.command("list")(list_scenarios)
    group.command()(start)
    group.command()(stop)
    app.add_typer(group, name="scenario")


def list_scenarios(
    city: CityOption = "", data_dir: DataDirOption = DATA_DIR, as_json: JsonOption = False
) -> None:
    """List the scenarios of a running demo's city, and since when they are under way."""
    rows = ask_demo(data_dir, "/api/scenarios", city=city)["scenarios"]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = "under way" if row["since_ms"] is not None else ""
        console().print(
            f"{row['name']:<14} {row['title']:<28} {row['lasts_s'] // 60:>4} min  {state}".rstrip()
        )


def start(
    name: NameArgument,
    city: CityOption = "",
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Start a scenario. It ends by itself, or with `taxi scenario stop`."""
    _change(name, "start", "Started", city, data_dir, as_json=as_json)


def stop(
    name: NameArgument,
    city: CityOption = "",
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Stop a scenario that is under way."""
    _change(name, "stop", "Stopped", city, data_dir, as_json=as_json)


def _change(name: str, action: str, done: str, city: str, data_dir: Path, *, as_json: bool) -> None:
    answer = ask_demo(data_dir, f"/api/scenarios/{quote(name, safe='')}/{action}", city=city, method="POST")
    if as_json:
        print_json(answer)
    console(stderr=True).print(f"{done} {answer['scenario']} in {answer['city']}.")


def show_files(*, as_json: bool) -> None:
    """Print the scenarios of the simulator's settings, with their assumptions. Raises LocalError."""
    import os  # noqa: PLC0415 - for this command alone

    from simulator.settings import OWN_SCENARIOS  # noqa: PLC0415 - `taxi --help` does without
    from taxi.scenarios import ScenarioError, load_plans  # noqa: PLC0415 - as above

    folder = Path(os.environ.get("TAXI_SCENARIOS_DIR") or OWN_SCENARIOS)
    try:
        plans = load_plans(folder)
    except (ScenarioError, OSError) as error:
        raise LocalError(str(error), do="Correct the file.", code=WRONG_USE) from error
    if as_json:
        print_json([_row(name, plan) for name, plan in plans.items()])
        return
    out = console()
    for name, plan in plans.items():
        out.print(f"{name}: {plan.title}, {plan.lasts_s // 60} min", style="bold")
        out.print(f"  {plan.about}")
        if plan.areas:
            out.print(f"  in {', '.join(f'{city} ({area.title})' for city, area in plan.areas.items())}")
        for heading, lines in (("assumes", plan.assumptions), ("source", plan.sources)):
            for line in lines:
                out.print(f"  {heading}: {line}", style="dim")


def _row(name: str, plan: "ScenarioPlan") -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - `taxi --help` does without

    row: dict[str, Any] = {"name": name, **msgspec.to_builtins(plan)}
    return row
