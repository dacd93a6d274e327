# SPDX-License-Identifier: Apache-2.0
"""Frames as RFC 6455 and RFC 7692 have them, each made once."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stream.frames import DEFLATE, MESSAGE, PLAIN, Parcel, deflated, framed


def payload(frame: bytes) -> bytes:
    """What lies behind the head."""
    at = {126: 4, 127: 10}.get(frame[1], 2)
    length = frame[1] if at == 2 else int.from_bytes(frame[2:at], "big")
    assert len(frame) == at + length
    return frame[at:]


def test_a_short_frame_is_what_the_rfc_says() -> None:
    assert framed(b"\x01\x02") == b"\x82\x02\x01\x02"
    assert framed("hi") == b"\x81\x02hi"


def test_a_compressed_frame_is_what_the_rfc_says() -> None:
    # RFC 7692, 7.2.3.1: these seven bytes are "Hello", once the four of an empty block are put back.
    frame = deflated("Hello")
    assert frame == bytes([0xC1, 7, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_frames_of_every_size_carry_their_message(size: int) -> None:
    assert payload(framed(b"x" * size)) == b"x" * size


@given(st.binary(max_size=5_000))
def test_what_was_compressed_is_read_back(message: bytes) -> None:
    frame = deflated(message)
    assert frame[0] == 0xC2
    reader = zlib.decompressobj(-15)
    assert reader.decompress(payload(frame) + b"\x00\x00\xff\xff") == message


def test_each_form_is_made_once() -> None:
    parcel = Parcel(b"cut" * 500)
    for form in (MESSAGE, PLAIN, DEFLATE):
        assert parcel.wire(form, 10) is parcel.wire(form, 10)
    assert len(parcel.wire(DEFLATE, 10)) < len(parcel.wire(PLAIN, 10))


@pytest.mark.parametrize(
    ("size", "receivers", "is_large", "compressed"),
    [
        (100, 1_000, False, False),
        (1_000, 3, False, False),
        (1_000, 4, False, True),
        (1_000, 1, True, True),
        (100, 1, True, False),
    ],
)
def test_it_is_compressed_where_that_pays(
    size: int, receivers: int, is_large: bool, compressed: bool
) -> None:
    wire = Parcel(b"x" * size, is_large=is_large).wire(DEFLATE, receivers)
    assert isinstance(wire, bytes)
    assert bool(wire[0] & 0x40) is compressed


def test_who_did_not_ask_for_compression_gets_none() -> None:
    parcel = Parcel(b"x" * 10_000, is_large=True)
    parcel.wire(DEFLATE, 1_000)
    assert parcel.wire(PLAIN, 1_000) == framed(b"x" * 10_000)
