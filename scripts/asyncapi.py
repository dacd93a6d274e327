# SPDX-License-Identifier: Apache-2.0
"""Writes docs/asyncapi.json: topics and messages as an AsyncAPI 3.0 document, from the structs themselves.

`python -m scripts.asyncapi` writes it, `--check` fails if it is not what the code says (a test runs that).
"""

import sys
import typing
from pathlib import Path
from typing import Any

import msgspec

from scripts.generated import write_or_check
from taxi import __version__, topics
from taxi import messages as m

PATH = Path(__file__).resolve().parents[1] / "docs" / "asyncapi.json"

CHANNELS: dict[str, tuple[str, str, tuple[type[m.Message], ...]]] = {
    topics.LOCATIONS: ("driver", "Position fixes, 1 Hz a driver. Lossy: only the newest matters.", (m.Fix,)),
    topics.COMMANDS: ("ride or driver", "What riders and drivers ask for.", typing.get_args(m.AnyCommand)),
    topics.EVENTS: (
        "ride, driver or city",
        "What the dispatcher decided: the facts. Written in transactions; read them read_committed.",
        typing.get_args(m.AnyEvent),
    ),
    topics.SNAPSHOTS: ("city/slot/part", "A city's state as of a batch, one a minute.", (m.SnapshotPart,)),
    topics.DEAD_LETTERS: ("source", "Messages that could not be read, and why.", (m.DeadLetter,)),
}
"""Topic → (key, what it is for, its messages)."""


def document() -> dict[str, Any]:
    """The whole AsyncAPI document."""
    kinds = [kind for _, _, messages in CHANNELS.values() for kind in messages]
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "taxistream",
            "version": __version__,
            "description": "Every message on every topic. JSON; `type` names the message. Evolves by addition"
            " only: docs/messages.md says how.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, *what) for name, what in CHANNELS.items()},
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in kinds},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _channel(name: str, key: str, purpose: str, kinds: tuple[type[m.Message], ...]) -> dict[str, Any]:
    return {
        "address": name,
        "description": f"{purpose} Key: {key}. One partition is one city.",
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds},
        "bindings": {"kafka": {"topic": name}},
    }


def _message(kind: type[m.Message]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": kind.__name__,
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }
    if issubclass(kind, m.Command | m.Event):
        message["headers"] = {
            "type": "object",
            "properties": {"traceparent": {"type": "string", "description": "W3C trace context."}},
        }
    return message


def text() -> str:
    """As it stands in the file."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"


def main() -> int:
    """Write, or check."""
    return write_or_check({PATH: text()}, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
