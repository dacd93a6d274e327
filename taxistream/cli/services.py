# SPDX-License-Identifier: Apache-2.0
"""`taxi simulator|dispatcher|gateway|verifier`: one service alone, against any cluster."""

import runpy
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from taxistream.cli.output import JsonOption
from taxistream.cli.scenario import show_files
from taxistream.cli.settings_table import table

SUMMARIES = {
    "simulator": "Run the simulator: drivers and riders that send positions and commands.",
    "dispatcher": "Run a dispatcher. Each city has one; a dispatcher without a city is a standby.",
    "gateway": "Run a gateway: page, API and the live stream for browsers.",
    "verifier": "Run a verifier: compares what each gateway sends with the log, and writes its verdicts.",
}


class ServiceCommand(TyperCommand):
    """A command whose help lists the settings of its service."""

    checks_its_settings = True

    def get_help(self, ctx: Any) -> str:
        """The usual help, then the settings."""
        return f"{super().get_help(ctx)}\n{table(ctx.info_name or '')}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for kind, summary in SUMMARIES.items():
        run = _simulator if kind == "simulator" else _runner(kind)
        app.command(kind, cls=ServiceCommand, help=summary)(run)


def _simulator(
    scenarios: Annotated[
        bool, typer.Option("--list-scenarios", help="List the scenarios and their assumptions, and exit.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    if scenarios:
        show_files(as_json=as_json)
        return
    if as_json:
        raise typer.BadParameter("only with --list-scenarios", param_hint="--json")
    _runner("simulator")()


def _runner(kind: str) -> Any:
    def run() -> None:
        runpy.run_module(kind, run_name="__main__", alter_sys=True)

    return run
