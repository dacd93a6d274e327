# SPDX-License-Identifier: Apache-2.0
"""Encodes messages as JSON for the log and decodes them. An unreadable record raises `DecodeError`."""

from typing import Any, Final

import msgspec

from taxi import messages as m
from taxi.bus import Damaged, Record


class DecodeError(ValueError):
    """A record is not a message of its topic. It becomes a dead letter, and the reader continues.

    Attributes:
        topic: Without the prefix.
        record: The record.
        reason: Why it can't be decoded.
    """

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
    "taxi.verdicts": msgspec.json.Decoder(m.Verdict),
}


def encode(message: m.Message) -> bytes:
    """Encode a message as JSON, `type` first. Equal messages give equal bytes."""
    return _ENCODER.encode(message)


def decode(topic: str, record: Record) -> Any:
    """Decode the message in a record.

    Args:
        topic: The record's topic, without the prefix.
        record: The record, perhaps a `Damaged`.

    Raises:
        DecodeError: It is not a message of the topic.
    """
    if record.value is None:
        raise DecodeError(topic, record, record.reason if isinstance(record, Damaged) else "no value")
    try:
        return _DECODERS[topic].decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(topic, record, str(error)) from None
