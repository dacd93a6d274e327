# SPDX-License-Identifier: Apache-2.0
"""Records on the log are decoded, or rejected with a reason; they never stop a reader."""

import json

import pytest

from scripts.asyncapi import CHANNELS, document
from taxi import messages as m
from taxi import topics
from taxi.bus import Record
from taxi.messages import codec
from taxi.messages.codec import DecodeError

EVERY_TOPIC = [spec.name for spec in topics.specs()]


def record(value: bytes | None) -> Record:
    return Record(7, 1_000, b"k", value)


@pytest.mark.parametrize("topic", EVERY_TOPIC)
@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"\xff\xfe", b"[]", b'"text"', b'{"type":"Nonsense"}', b'{"driver":1}', b'{"type":1}'],
)
def test_bad_bytes_become_a_decode_error_with_data_and_reason(topic: str, value: bytes | None) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode(topic, record(value))
    assert (caught.value.topic, caught.value.record.value) == (topic, value)
    assert caught.value.reason


def test_a_message_comes_back_and_unknown_fields_are_ignored() -> None:
    fix = m.Fix(driver=418, at_ms=1_000, lng=-73.97, lat=40.78, heading=29, speed=4.5)
    raw = codec.encode(fix)
    assert codec.decode(topics.LOCATIONS, record(raw)) == fix
    assert codec.decode(topics.LOCATIONS, record(raw[:-1] + b',"battery":0.8}')) == fix


def test_a_default_is_left_out_on_the_log_and_read_back() -> None:
    command = m.CancelRide(command_id="c", ride="r")
    assert b"reason" not in codec.encode(command)
    assert codec.decode(topics.COMMANDS, record(codec.encode(command))) == command


@pytest.mark.parametrize(
    "value", [b'{"type":"Fix","driver":"x","at_ms":1,"lng":0,"lat":0}', b'{"type":"Fix"}']
)
def test_a_wrong_type_or_a_missing_field_is_named(value: bytes) -> None:
    with pytest.raises(DecodeError, match="driver"):
        codec.decode(topics.LOCATIONS, record(value))


ALONE: list[m.Message] = [
    m.Fix(driver=418, at_ms=1_000, lng=-73.97, lat=40.78),
    m.SnapshotPart(city="c", batch=1, at_ms=1, events_offset=1, part=0, parts=1, digest="d", body="b"),
    m.DeadLetter(topic="t", partition=0, offset=1, reason="r", found_by="f", key="", value=""),
]


@pytest.mark.parametrize("message", ALONE, ids=lambda message: type(message).__name__)
def test_on_a_topic_with_one_message_its_type_may_be_left_out_as_the_schema_says(message: m.Message) -> None:
    [topic] = [topic for topic, (_, _, kinds) in CHANNELS.items() if kinds == (type(message),)]
    assert "type" not in document()["components"]["schemas"][type(message).__name__]["required"]
    fields = json.loads(codec.encode(message))
    del fields["type"]
    assert codec.decode(topic, record(json.dumps(fields).encode())) == message
    with pytest.raises(DecodeError):
        codec.decode(topic, record(json.dumps(fields | {"type": "Another"}).encode()))
