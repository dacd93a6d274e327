# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 and RFC 7692, section by section, on the gateway's own listener as an echo server.

The client is `testing.raw_sockets`, which may break every rule. The cases are those that the Autobahn test
suite made customary, with its numbers where there is one, and some that it leaves out.
"""

import logging
import zlib
from collections.abc import Iterator
from typing import Final

import pytest

from testing.raw_sockets import (
    BINARY,
    CLOSE,
    CONT,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    Frame,
    Raw,
    RawWebSocket,
    close_payload,
    frame,
    handshake,
)
from tests.protocol.echo import echo_server

GREEK: Final = "κόσμε".encode()
NORMAL: Final = close_payload(1000)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echo_server() as listener:
        yield listener.port


@pytest.fixture(autouse=True)
def _nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does: no traceback, no warning."""
    with caplog.at_level(logging.WARNING):
        yield
    assert not caplog.records, caplog.text


@pytest.fixture
def client(port: int) -> Iterator[RawWebSocket]:
    with RawWebSocket(port) as client:
        yield client


def assert_closes_well(client: RawWebSocket) -> None:
    """It still works, and ends as it should."""
    client.say(CLOSE, NORMAL)
    assert client.end() == (1000, "")
    assert client.ends_within(1.0)


def assert_fails(client: RawWebSocket, code: int) -> None:
    """A close frame with this code, and the end of the connection."""
    found, reason = client.end()
    assert (found, bool(reason)) == (code, True)
    assert client.ends_within(1.0)


# --- 5.2, 5.6: data frames (Autobahn 1, 9) -----------------------------------------------------------------

SIZES: Final = [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_any_size_comes_back(client: RawWebSocket, opcode: int, size: int) -> None:
    payload = b"*" * size if opcode == TEXT else bytes(range(256)) * (size // 256) + bytes(size % 256)
    client.say(opcode, payload)
    assert client.hear() == Frame(opcode, payload)
    assert_closes_well(client)


@pytest.mark.parametrize(("size", "piece"), [(65536, 997), (1000, 1), (126, 3)])
def test_it_does_not_matter_how_bytes_arrive(client: RawWebSocket, size: int, piece: int) -> None:
    client.send_in_pieces(frame(TEXT, b"*" * size), piece)
    assert client.hear() == Frame(TEXT, b"*" * size)
    assert_closes_well(client)


def test_many_frames_may_arrive_at_once(client: RawWebSocket) -> None:
    client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(1000)))
    assert [client.hear().payload for _ in range(1000)] == [b"%d" % number for number in range(1000)]
    assert_closes_well(client)


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x00\x00\x00"])
def test_any_mask_is_taken_off(client: RawWebSocket, mask: bytes) -> None:
    client.send(frame(TEXT, GREEK, mask=mask))
    assert client.hear() == Frame(TEXT, GREEK)


def test_a_frame_without_a_mask_is_an_error(client: RawWebSocket) -> None:
    client.send(frame(TEXT, b"hello", masked=False))
    assert_fails(client, 1002)


@pytest.mark.parametrize("size", [(1 << 25) + 126, 1 << 62, (1 << 64) - 1])
def test_a_length_that_no_message_may_have_fails_before_its_bytes_come(
    client: RawWebSocket, size: int
) -> None:
    client.send(b"\x82\xff" + size.to_bytes(8, "big") + b"mask")
    assert_fails(client, 1009)


# --- 5.5: control frames (Autobahn 2) ----------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(125)), b"\xff" * 125])
@pytest.mark.parametrize("piece", [1, 1000])
def test_a_ping_is_answered_with_its_payload(client: RawWebSocket, payload: bytes, piece: int) -> None:
    client.send_in_pieces(frame(PING, payload), piece)
    assert client.hear() == Frame(PONG, payload)
    assert_closes_well(client)


def test_pings_that_come_apart_are_each_answered(client: RawWebSocket) -> None:
    for number in range(10):
        client.say(PING, b"%d" % number)
        assert client.hear() == Frame(PONG, b"%d" % number)
    assert_closes_well(client)


def test_of_pings_that_come_together_the_last_is_answered(client: RawWebSocket) -> None:
    client.send(b"".join(frame(PING, b"%d" % number) for number in range(10)))
    while client.hear() != Frame(PONG, b"9"):
        pass
    assert_closes_well(client)


def test_an_unsolicited_pong_means_nothing(client: RawWebSocket) -> None:
    client.say(PONG, b"unasked")
    client.say(PONG)
    client.say(PING, b"asked")
    assert client.hear() == Frame(PONG, b"asked")
    assert_closes_well(client)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_has_at_most_125_bytes(client: RawWebSocket, opcode: int) -> None:
    client.say(opcode, NORMAL + b"x" * 124)
    assert_fails(client, 1002)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_is_whole(client: RawWebSocket, opcode: int) -> None:
    client.say(opcode, NORMAL, fin=False)
    assert_fails(client, 1002)


# --- 5.2: reserved bits and opcodes (Autobahn 3, 4) --------------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_reserved_bits_that_were_not_agreed_on_are_an_error(
    client: RawWebSocket, opcode: int, rsv: int
) -> None:
    client.say(TEXT, b"before")  # comes back, unless the error is read together with it
    client.say(opcode, NORMAL, rsv=rsv)
    assert_fails(client, 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"hello"])
def test_an_unknown_opcode_is_an_error(client: RawWebSocket, opcode: int, payload: bytes) -> None:
    client.say(opcode, payload)
    assert_fails(client, 1002)


# --- 5.4: fragments (Autobahn 5, 10) -----------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_fragments_are_one_message_and_control_frames_may_come_between(
    client: RawWebSocket, opcode: int, piece: int
) -> None:
    frames = [
        frame(opcode, b"one ", fin=False),
        frame(PING, b"1"),
        frame(CONT, b"", fin=False),
        frame(PONG, b"unasked"),
        frame(CONT, b"two ", fin=False),
        frame(CONT, b"three"),
    ]
    client.send_in_pieces(b"".join(frames), piece)
    assert [client.hear(), client.hear()] == [Frame(PONG, b"1"), Frame(opcode, b"one two three")]
    assert_closes_well(client)


@pytest.mark.parametrize("first", [True, False])
def test_nothing_continues_what_has_not_begun(client: RawWebSocket, first: bool) -> None:
    if not first:
        client.say(TEXT, b"whole")
        assert client.hear() == Frame(TEXT, b"whole")
    client.say(CONT, b"more", fin=first)
    assert_fails(client, 1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_no_message_begins_within_another(client: RawWebSocket, opcode: int) -> None:
    client.say(TEXT, b"begun", fin=False)
    client.say(opcode, b"another")
    assert_fails(client, 1002)


def test_empty_fragments_are_an_empty_message(client: RawWebSocket) -> None:
    for opcode, fin in ((TEXT, False), (CONT, False), (CONT, True)):
        client.say(opcode, b"", fin=fin)
    assert client.hear() == Frame(TEXT, b"")
    assert_closes_well(client)


def test_a_large_message_may_come_in_many_fragments(client: RawWebSocket) -> None:
    payload = b"*" * 65536
    pieces = [payload[start : start + 1300] for start in range(0, len(payload), 1300)]
    for number, piece in enumerate(pieces):
        client.say(CONT if number else BINARY, piece, fin=number == len(pieces) - 1)
    assert client.hear() == Frame(BINARY, payload)
    assert_closes_well(client)


# --- 5.6, 8.1: text is UTF-8 (Autobahn 6) ------------------------------------------------------------------

VALID: Final = [
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    GREEK,
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xef\xbb\xbfbyte order mark",
]
INVALID: Final = [
    b"\x80",
    b"\xbf",
    b"\xce",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xc2",
    b"\xe0\xa0",
    b"\xf0\x90\x80",
    b"\xc2a",
    b"Hello-\xff-UTF-8!!",
]


@pytest.mark.parametrize("payload", VALID)
def test_text_comes_back_also_if_characters_are_split(client: RawWebSocket, payload: bytes) -> None:
    client.say(TEXT, payload)
    for number in range(len(payload)):
        client.say(CONT if number else TEXT, payload[number : number + 1], fin=number == len(payload) - 1)
    assert [client.hear(), client.hear()] == [Frame(TEXT, payload)] * 2
    assert_closes_well(client)


@pytest.mark.parametrize("payload", INVALID)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_text_that_is_not_utf8_fails(client: RawWebSocket, payload: bytes, in_pieces: bool) -> None:
    if in_pieces:
        pieces = [payload[number : number + 1] for number in range(len(payload))]
        frames = [frame(CONT if number else TEXT, piece, fin=False) for number, piece in enumerate(pieces)]
        client.send(b"".join([*frames, frame(CONT)]))
    else:
        client.say(TEXT, payload)
    assert_fails(client, 1007)


def test_a_fragment_that_is_not_utf8_fails_before_the_message_ends(client: RawWebSocket) -> None:
    client.say(TEXT, GREEK, fin=False)
    client.say(CONT, b"\xf4\x90\x80\x80", fin=False)
    assert_fails(client, 1007)


def test_what_is_no_utf8_may_be_binary(client: RawWebSocket) -> None:
    client.say(BINARY, b"\xff\xfe", fin=False)
    client.say(CONT, b"\xc0")
    assert client.hear() == Frame(BINARY, b"\xff\xfe\xc0")


# --- 5.5.1, 7: closing (Autobahn 7) ------------------------------------------------------------------------


def test_a_message_before_the_close_comes_back(client: RawWebSocket) -> None:
    client.say(TEXT, b"last words")
    assert client.hear() == Frame(TEXT, b"last words")
    assert_closes_well(client)


@pytest.mark.parametrize(
    "after",
    [
        frame(CLOSE, NORMAL),
        frame(PING, b"after"),
        frame(TEXT, b"after"),
        frame(CONT, b"after"),
        b"\xff" * 300,
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_what_follows_a_close_means_nothing(client: RawWebSocket, after: bytes, together: bool) -> None:
    if together:
        client.send(frame(CLOSE, NORMAL) + after)
    else:
        client.say(CLOSE, NORMAL)
        client.send(after)
    assert list(client.frames()) == [Frame(CLOSE, NORMAL)]
    assert client.ends_within(1.0)


def test_a_close_within_a_fragmented_message_is_a_close(client: RawWebSocket) -> None:
    """Autobahn 7.1.5."""
    client.say(TEXT, b"fragment 1", fin=False)
    client.say(CLOSE, NORMAL)
    client.say(CONT, b"fragment 2")
    assert client.end() == (1000, "")
    assert client.ends_within(1.0)


def test_a_close_after_a_large_message_does_not_swallow_it(client: RawWebSocket) -> None:
    """Autobahn 7.1.6."""
    client.send(frame(TEXT, b"x" * (256 << 10)) + frame(CLOSE, NORMAL) + frame(PING))
    heard = list(client.frames())
    assert [one.opcode for one in heard if one.opcode != TEXT] == [CLOSE]
    assert client.ends_within(1.0)


def test_a_close_may_be_empty(client: RawWebSocket) -> None:
    client.say(CLOSE)
    assert client.end() == (None, "")
    assert client.ends_within(1.0)


@pytest.mark.parametrize("reason", [b"Hello World!", GREEK, b"x" * 123, b""])
def test_a_close_may_say_why(client: RawWebSocket, reason: bytes) -> None:
    client.say(CLOSE, close_payload(1000, reason))
    assert client.end()[0] == 1000
    assert client.ends_within(1.0)


@pytest.mark.parametrize("payload", [b"\x03", b"\x00"])
def test_a_close_with_half_a_code_is_an_error(client: RawWebSocket, payload: bytes) -> None:
    client.say(CLOSE, payload)
    assert_fails(client, 1002)


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4001, 4400, 4999])
def test_codes_that_may_be_sent_are_sent_back(client: RawWebSocket, code: int) -> None:
    client.say(CLOSE, close_payload(code))
    assert client.end() == (code, "")
    assert client.ends_within(1.0)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_may_not_be_sent_are_an_error(client: RawWebSocket, code: int) -> None:
    client.say(CLOSE, close_payload(code))
    assert_fails(client, 1002)


@pytest.mark.parametrize("reason", INVALID)
def test_a_reason_that_is_not_utf8_fails(client: RawWebSocket, reason: bytes) -> None:
    client.say(CLOSE, close_payload(1000, reason))
    assert_fails(client, 1007)


# --- RFC 7692: compression (Autobahn 12, 13) ---------------------------------------------------------------


def deflated(payload: bytes, bits: int = 15) -> bytes:
    """As a message goes (7.2.1)."""
    deflate = zlib.compressobj(9, wbits=-bits)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload: bytes) -> bytes:
    """What a message says (7.2.2)."""
    return zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff")


@pytest.fixture
def squeezed(port: int) -> Iterator[RawWebSocket]:
    with RawWebSocket(port, offer=DEFLATE) as client:
        assert "server_no_context_takeover" in client.extensions
        assert "client_no_context_takeover" in client.extensions
        yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 2043, 2044, 65536, 131072])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_compressed_message_is_read(squeezed: RawWebSocket, opcode: int, size: int) -> None:
    payload = (b"abcdefghij" * (size // 10 + 1))[:size]
    for _ in range(3):
        squeezed.say(opcode, deflated(payload), rsv=4)
        heard = squeezed.hear()
        assert (heard.opcode, heard.payload if not heard.rsv else inflated(heard.payload)) == (
            opcode,
            payload,
        )
    assert_closes_well(squeezed)


def test_a_message_may_be_plain_where_compression_was_agreed_on(squeezed: RawWebSocket) -> None:
    squeezed.say(TEXT, b"plain")
    assert squeezed.hear() == Frame(TEXT, b"plain")


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_compressed_message_may_be_fragmented_with_control_frames_between(
    squeezed: RawWebSocket, piece: int
) -> None:
    payload = GREEK * 20
    whole = deflated(payload)
    pieces = [whole[start : start + piece] for start in range(0, len(whole), piece)]
    for number, part in enumerate(pieces):
        squeezed.say(CONT if number else TEXT, part, fin=False, rsv=0 if number else 4)
        squeezed.say(PING, b"%d" % number)
        assert squeezed.hear() == Frame(PONG, b"%d" % number)
    squeezed.say(CONT)
    assert squeezed.hear() == Frame(TEXT, payload)


def test_a_compressed_message_may_end_with_a_final_block(squeezed: RawWebSocket) -> None:
    """7.2.3.5."""
    deflate = zlib.compressobj(9, wbits=-15)
    body = deflate.compress(b"Hello") + deflate.flush(zlib.Z_FINISH) + b"\x00"
    squeezed.say(TEXT, body, rsv=4)
    assert squeezed.hear() == Frame(TEXT, b"Hello")


def test_a_compressed_message_may_be_stored_or_of_several_blocks(squeezed: RawWebSocket) -> None:
    """7.2.3.3 and 7.2.3.5."""
    squeezed.say(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4)
    squeezed.say(TEXT, bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")), rsv=4)
    assert [squeezed.hear().payload, squeezed.hear().payload] == [b"Hello", b"Hello"]


def test_compressed_text_is_utf8_too(squeezed: RawWebSocket) -> None:
    squeezed.say(TEXT, deflated(b"\xce\xba\xed\xa0\x80"), rsv=4)
    assert_fails(squeezed, 1007)


@pytest.mark.parametrize("opcode", [CONT, PING, PONG, CLOSE])
def test_only_the_first_frame_of_a_message_says_that_it_is_compressed(
    squeezed: RawWebSocket, opcode: int
) -> None:
    squeezed.say(TEXT, deflated(b"Hello"), fin=False, rsv=4)
    squeezed.say(opcode, NORMAL, rsv=4)
    assert_fails(squeezed, 1002)


@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
def test_other_reserved_bits_stay_an_error(squeezed: RawWebSocket, rsv: int) -> None:
    squeezed.say(TEXT, deflated(b"Hello"), rsv=rsv)
    assert_fails(squeezed, 1002)


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff", b"\x07", b"\xed\xbd" + b"\xff" * 40])
def test_what_does_not_unpack_fails(squeezed: RawWebSocket, body: bytes) -> None:
    squeezed.say(BINARY, body, rsv=4)
    assert_fails(squeezed, 1002)


def test_what_unpacks_to_more_than_a_message_may_be_fails(squeezed: RawWebSocket) -> None:
    bomb = zlib.compressobj(9, wbits=-15)
    body = bomb.compress(bytes(64 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    squeezed.say(BINARY, body[:-4], rsv=4)
    assert_fails(squeezed, 1009)


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_max_window_bits=9", True),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=9", True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", True),
        ("permessage-deflate; unknown=1, permessage-deflate", True),
        ("x-other, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=8", False),
        ("permessage-deflate; server_max_window_bits=16", False),
        ("permessage-deflate; server_max_window_bits=012", False),
        ("permessage-deflate; server_max_window_bits", False),
        ("permessage-deflate; client_max_window_bits=0", False),
        ("permessage-deflate; server_no_context_takeover=1", False),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False),
        ("x-webkit-deflate-frame", False),
    ],
)
def test_an_offer_is_taken_or_declined_and_messages_pass_either_way(
    port: int, offer: str, agreed: bool
) -> None:
    with RawWebSocket(port, offer=offer) as client:
        assert client.extensions.startswith(DEFLATE) == agreed
        payload = b"abc" * 200
        client.say(TEXT, deflated(payload, 9) if agreed else payload, rsv=4 if agreed else 0)
        heard = client.hear()
        assert (inflated(heard.payload) if heard.rsv else heard.payload) == payload
        assert_closes_well(client)


# --- 4.2: the handshake ------------------------------------------------------------------------------------


def broken(request: bytes, old: str, new: str) -> bytes:
    assert old.encode() in request
    return request.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 400),
        ("Sec-WebSocket-Version: 13", "X-Nothing: 13", 400),
        ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x", 400),
        ("Sec-WebSocket-Key: ", "X-Key: ", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nContent-Length: 5", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: ;;", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: \x01", 400),
    ],
)
def test_a_handshake_that_is_none_is_refused_and_the_connection_ends(
    port: int, old: str, new: str, status: int
) -> None:
    with Raw(port) as client:
        client.send(broken(handshake(port), old, new))
        answer = client.answer()
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.ends_within(1.0)


def test_frames_may_not_come_before_the_answer(port: int) -> None:
    with Raw(port) as client:
        client.send(handshake(port) + frame(TEXT, b"early"))
        assert client.answer().status == 400
        assert client.ends_within(1.0)
