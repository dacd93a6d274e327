# SPDX-License-Identifier: Apache-2.0
"""`taxi token`: issues a bearer token for a gateway that requires one."""

import os
import time
from typing import Annotated, Literal

import typer

from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxistream.cli.output import JsonOption, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(token)


def token(
    role: Annotated[
        Literal["viewer", "rider", "operator"],  # `Role` in gateway.access.tokens
        typer.Option(help="What it allows: see; ask for rides; kill parts."),
    ] = "viewer",
    hours: Annotated[float, typer.Option(min=0.001, max=24 * 366, help="How long it is valid.")] = 1.0,
    city: Annotated[
        str | None, typer.Option(show_default="any", help="The only city it is valid for.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a token, signed with the first secret of TAXI_TOKEN_SECRET, on standard output."""
    from gateway.access import tokens  # noqa: PLC0415 - `taxi --help` does without
    from gateway.settings import Settings  # noqa: PLC0415 - `taxi --help` does without

    keys = tokens.Keys(Settings.from_env(os.environ).token_secret)
    if not keys.are_needed:
        raise LocalError(
            "There is no secret to sign with.",
            do="Set TAXI_TOKEN_SECRET to the secret of the gateways (at least 32 bytes).",
            code=WRONG_USE,
        )
    now_ms = time.time_ns() // 1_000_000
    expires_ms = now_ms // 1000 * 1000 + round(hours * 3600) * 1000
    minted = keys.mint(tokens.Grant(tokens.Role[role.upper()], expires_ms, city), now_ms)
    if as_json:
        print_json({"token": minted, "role": role, "expires_ms": expires_ms, "city": city})
    else:
        typer.echo(minted)
