# SPDX-License-Identifier: Apache-2.0
"""What stands on the log is read, or refused with a reason; it never stops a reader."""

import pytest

from taxi import codec, topics
from taxi import messages as m
from taxi.bus import Record
from taxi.codec import DecodeError

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
