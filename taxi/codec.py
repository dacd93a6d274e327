# SPDX-License-Identifier: Apache-2.0
"""Bytes on the log ⇄ messages. What can't be read is a `DecodeError` that carries data and reason."""

from typing import Any, Final

import msgspec

from taxi import messages as m
from taxi.bus import Record


class DecodeError(ValueError):
    """A record that is not a message of its topic: goes to the dead letters, stops nothing."""

    def __init__(self, topic: str, record: Record, reason: str) -> None:
        super().__init__(f"{topic}@{record.offset}: {reason}")
        self.topic = topic
        self.record = record
        self.reason = reason


_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "taxi.locations": msgspec.json.Decoder(m.Fix),
    "taxi.commands": msgspec.json.Decoder(m.AnyCommand),
    "taxi.events": msgspec.json.Decoder(m.AnyEvent),
    "taxi.snapshots": msgspec.json.Decoder(m.SnapshotPart),
    "taxi.dead-letters": msgspec.json.Decoder(m.DeadLetter),
}


def encode(message: m.Message) -> bytes:
    """The message as JSON, `type` first; the same message always gives the same bytes."""
    return _ENCODER.encode(message)


def decode(topic: str, record: Record) -> Any:
    """The message in a record of `topic` (its plain name, without prefix). Raises DecodeError."""
    if record.value is None:
        raise DecodeError(topic, record, "no value")
    try:
        return _DECODERS[topic].decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(topic, record, str(error)) from None
