# SPDX-License-Identifier: Apache-2.0
"""`taxi token`: a bearer token for a gateway that asks for them."""

import importlib
import os
import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from taxi.cli.output import JsonOption, print_json
from taxi.local.errors import WRONG_USE, LocalError


class Role(StrEnum):
    """Each may do what the one before it may."""

    VIEWER = "viewer"
    RIDER = "rider"
    OPERATOR = "operator"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(token)


def token(
    role: Annotated[Role, typer.Option(help="What it allows: see; ask for rides; kill parts.")] = Role.VIEWER,
    hours: Annotated[float, typer.Option(min=0.001, max=24 * 366, help="How long it counts.")] = 1.0,
    city: Annotated[str | None, typer.Option(show_default="any", help="The one city it counts for.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Mint a token, signed with the first secret of TAXI_TOKEN_SECRET. It goes to standard output."""
    tokens: Any = importlib.import_module("gateway.stream.tokens")  # by name: `taxi` knows no service
    settings: Any = importlib.import_module("gateway.settings").Settings
    known: Any = importlib.import_module("taxi.runtime.settings")
    try:
        keys = tokens.Keys(settings.from_env(os.environ, also=known.KNOWN).token_secret)
    except known.SettingsError as error:
        do = "A secret has at least 32 bytes; several are separated by commas."
        raise LocalError(str(error), do=do, code=WRONG_USE) from None
    if not keys.are_needed:
        raise LocalError(
            "There is no secret to sign with.",
            do="Set TAXI_TOKEN_SECRET to the gateways' (at least 32 bytes).",
            code=WRONG_USE,
        )
    now_ms = time.time_ns() // 1_000_000
    expires_ms = now_ms // 1000 * 1000 + round(hours * 3600) * 1000
    minted = keys.mint(tokens.Grant(tokens.Role[role.name], expires_ms, city), now_ms)
    if as_json:
        print_json({"token": minted, "role": role.value, "expires_ms": expires_ms, "city": city})
    else:
        typer.echo(minted)
