# SPDX-License-Identifier: Apache-2.0
"""`taxi doctor`: checks whether this machine can run a demo."""

import os
from typing import Annotated

import typer

from taxistream.cli.output import DATA_DIR, DataDirOption, JsonOption, console, print_json

SIGNS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "problem": ("✗", "red")}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    port: Annotated[int, typer.Option(envvar="TAXI_PORT", help="The port of the page.")] = 8000,
    data_dir: DataDirOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Check this machine: Java, Kafka's jars, ports, disk, cores and memory. Exit 1 if a demo cannot run."""
    from taxistream.local.doctor import examine  # noqa: PLC0415 - `taxi --help` does without

    findings = examine(data_dir, port, os.environ.get("TAXI_HOST") or "127.0.0.1")
    if as_json:
        print_json({"ok": all(f.state != "problem" for f in findings), "findings": findings})
    else:
        out = console()
        for finding in findings:
            sign, style = SIGNS[finding.state]
            out.print(sign, style=style, end=" ")
            out.print(f"{finding.name:<12} {finding.text}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)
