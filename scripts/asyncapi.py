# SPDX-License-Identifier: Apache-2.0
"""Writes docs/asyncapi.json: an AsyncAPI 3.0 document of topics and messages, generated from the structs.

`python -m scripts.asyncapi` writes it; `--check` fails if it is out of date (a test runs that).
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
    topics.COMMANDS: (
        "ride, driver or scenario",
        "What riders and drivers ask for.",
        typing.get_args(m.AnyCommand),
    ),
    topics.EVENTS: (
        "ride, driver or city",
        "What the dispatcher decided: the facts. Written in transactions; read them read_committed.",
        typing.get_args(m.AnyEvent),
    ),
    topics.SNAPSHOTS: ("city/slot/part", "A city's state as of a batch, one a minute.", (m.SnapshotPart,)),
    topics.DEAD_LETTERS: ("source", "Messages that could not be read, and why.", (m.DeadLetter,)),
    topics.VERDICTS: ("verifier", "Whether what each gateway sends is what the log says.", (m.Verdict,)),
}
"""Topic → (key, what it is for, its messages)."""


def document() -> dict[str, Any]:
    """The whole AsyncAPI document."""
    kinds = [kind for _, _, messages in CHANNELS.values() for kind in messages]
    schemas = written()
    # Readers of a topic with one message type accept messages without `type`, and reject another `type`.
    for alone in [messages[0] for _, _, messages in CHANNELS.values() if len(messages) == 1]:
        schemas[alone.__name__]["required"].remove("type")
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


def written() -> dict[str, Any]:
    """The JSON Schema of each message as this system writes it: always with `type`."""
    kinds = [kind for _, _, messages in CHANNELS.values() for kind in messages]
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return schemas


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
    """The content of the file."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2).decode() + "\n"


def main() -> int:
    """Write the file, or compare it with `--check`. Returns the exit code."""
    return write_or_check({PATH: text()}, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
