# SPDX-License-Identifier: Apache-2.0
"""The control messages of taxi/client/protocol.toml, and whether a message is one of them."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final, NamedTuple


class Fields(NamedTuple):
    """The names of a message's fields, without `type`."""

    required: frozenset[str]
    optional: frozenset[str]


def _fields_of(rows: list[dict[str, Any]]) -> dict[str, Fields]:
    named = {
        row["name"]: [field.partition("=")[0] for field in row["fields"]] for row in rows if "fields" in row
    }
    return {
        kind: Fields(
            frozenset(name for name in names if not name.endswith("?")),
            frozenset(name.rstrip("?") for name in names if name.endswith("?")),
        )
        for kind, names in named.items()
    }


_DATA: Final = tomllib.loads((resources.files("taxi.client") / "protocol.toml").read_text("utf-8"))
OF_CLIENTS: Final = _fields_of(_DATA["client_messages"])
"""Type → fields, of what clients send."""
OF_SERVERS: Final = _fields_of(_DATA["server_messages"])
"""Type → fields, of what gateways send as text."""


def check_server_message(message: Mapping[str, Any]) -> None:
    """Raise AssertionError if the data has no such message, or not with exactly these fields."""
    kind = message.get("type")
    assert kind in OF_SERVERS, f"no message of a gateway: {message}"
    fields, names = OF_SERVERS[kind], message.keys() - {"type"}
    assert fields.required <= names, f"{kind} lacks {sorted(fields.required - names)}"
    unknown = names - fields.required - fields.optional
    assert not unknown, f"{kind} has fields that taxi/client/protocol.toml does not name: {sorted(unknown)}"
