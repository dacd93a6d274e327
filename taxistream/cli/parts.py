# SPDX-License-Identifier: Apache-2.0
"""`taxi ps|kill|status`: inspect a running demo, and kill a part of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxistream.cli.completion import part_names
from taxistream.cli.demo_api import ask_demo
from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from taxi.runtime.parts import Part


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(ps)
    app.command()(kill)
    app.command()(status)


def ps(data_dir: DataDirOption = DATA_DIR, as_json: JsonOption = False) -> None:
    """List the demo's parts: name, pid, port, state, restarts."""
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    found = parts.list_current(data_dir)
    if as_json:
        print_json([_row(part) for part in found])
    elif found:
        _show(found)
    for fault in parts.faults(data_dir):
        console(stderr=True).print(fault.text, style="red")
    if not found:
        console(stderr=True).print(f"No demo runs in {data_dir}. Start one with `taxi demo`.")


def kill(
    name: Annotated[str, typer.Argument(help="A name from `taxi ps`.", autocompletion=part_names)],
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Kill one part with SIGKILL, as a crash would. The demo starts it again."""
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    part = parts.kill(data_dir, name)
    if as_json:
        print_json({"name": part.name, "pid": part.pid})
    console(stderr=True).print(f"Killed {part.name} (pid {part.pid}).")


def status(data_dir: DataDirOption = DATA_DIR, as_json: JsonOption = False) -> None:
    """Show what each city is doing, as a gateway of the demo sees it."""
    first = ask_demo(data_dir, "/api/status")
    names = [city for city in first.get("cities", []) if city != first["city"]]
    others = [ask_demo(data_dir, "/api/status", city=city) for city in names]
    if as_json:
        print_json({**first, **({"other_cities": others} if others else {})})
        return
    for answer in (first, *others):
        _show_status(answer)


def _show_status(answer: dict[str, Any]) -> None:
    out = console()
    answer["speed"] = f"{answer.get('speed', 1)} × real time"
    for heading, value in answer.items():
        if heading == "cities" or value == []:
            continue
        if heading == "scenarios":
            value = ", ".join(value)
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        out.print(f"{heading:<10} " + "  ".join(f"{name} {figure}".strip() for name, figure in pairs))


def _row(part: "Part") -> dict[str, Any]:
    return {
        "name": part.name,
        "pid": part.pid or None,
        "port": part.port,
        "state": part.state,
        "restarts": part.restarts,
        "admin_port": part.admin_port,
        "reason": part.reason,
    }


def _show(found: "list[Part]") -> None:
    from rich.table import Table  # noqa: PLC0415 - `taxi --help` does without

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "PID", "PORT", "STATE", "RESTARTS", "REASON"):
        if heading != "REASON" or any(part.reason for part in found):
            table.add_column(heading)
    for part in found:
        place = (str(part.pid or "-"), str(part.port or "-"))
        table.add_row(part.name, *place, part.state, str(part.restarts), *filter(None, [part.reason]))
    console().print(table)
