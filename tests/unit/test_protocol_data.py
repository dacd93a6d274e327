# SPDX-License-Identifier: Apache-2.0
"""The protocol is one file of data: what is made from it is up to date, and the gateway says the same."""

import json
import re
import struct
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest

from gateway.settings import Settings
from gateway.shell import STALE_S
from gateway.stream import drain, health, messages, nesting, publisher, session, websocket
from gateway.updates import blocks, encoding, rides
from gateway.updates.columns import DriverColumns
from scripts import protocol
from taxi.client.protocol import TRANSITIONS, CloseAction, close_action
from taxi.cursor import Cursor, epoch_check
from taxi.messages.states import DriverStatus, RideState
from testing.control_messages import OF_CLIENTS, OF_SERVERS, check_server_message

DATA: Final = protocol.load()
LIMITS: Final = {limit["name"]: limit["value"] for limit in DATA["limits"]}


def test_what_is_made_from_the_data_is_up_to_date() -> None:
    for path, text in protocol.files(DATA).items():
        assert path.read_text("utf-8") == text, f"{path.name}: run `python -m scripts.protocol`"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('retry = "connect"', 'retry = "conect"', "unknown words in transitions.waiting: ['conect']"),
        ("[transitions.asking]", "[transitions.ask]", "transitions of other states"),
        ('quiet = "doubt"\n', "", "rules that no transition uses: ['doubt']"),
        ('action = "slowly"', 'action = "slow"', "close code 4002: no such action: slow"),
    ],
)
def test_data_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    text = protocol.DATA.read_text("utf-8")
    assert old in text
    (tmp_path / "protocol.toml").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(protocol.ProtocolDataError, match=re.escape(fault)):
        protocol.load(tmp_path / "protocol.toml")


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    text = protocol.PAGE.read_text("utf-8").replace("<!-- table header:", "<!-- tabel header:")
    with pytest.raises(protocol.ProtocolDataError, match="no place for the table header"):
        protocol.page(DATA, text)


GATEWAY_LIMITS: Final[dict[str, float]] = {
    "hello_s_max": session.HELLO_S_MAX,
    "pending_s_max": session.PENDING_S_MAX,
    "pending_notice_s": session.PENDING_NOTICE_S,
    "blocked_s_max": session.BLOCKED_S_MAX,
    "beat_ms": publisher.BEAT_MS,
    "stale_ms": STALE_S * 1000,
    "message_bytes_max": messages.MESSAGE_BYTES_MAX,
    "depth_max": nesting.DEPTH_MAX,
    "fragments_max": websocket.SocketTerms().fragments,
    "frames_per_s": websocket.SocketTerms().frames.per_s,
    "frames_burst": websocket.SocketTerms().frames.burst,
    "window_ms": Settings().resume_ms,
    "drain_grace_ms": drain.GRACE_MS,
    "faults_max": health.FAULTS_MAX,
}


def test_the_gateway_keeps_the_limits_of_the_data() -> None:
    stated = {limit["name"]: limit["value"] for limit in DATA["limits"] if limit["side"] == "gateway"}
    assert stated == GATEWAY_LIMITS


def test_a_client_that_keeps_its_pauses_never_meets_a_gateways_limit() -> None:
    assert session.MESSAGES.per_s > 1000 / LIMITS["view_pause_ms"]


def test_the_gateway_sends_the_close_codes_of_the_data() -> None:
    named = {row["name"]: row["code"] for row in DATA["close_codes"] if "name" in row}
    assert {code.name: code.value for code in messages.Close} == named


def test_the_gateway_speaks_the_version_and_subprotocol_of_the_data() -> None:
    assert (DATA["version"], DATA["version"]) == (messages.VERSION, encoding.VERSION)
    assert DATA["subprotocol"] == messages.SUBPROTOCOL


def test_the_gateways_header_is_laid_out_as_the_data_says() -> None:
    flags: dict[str, int] = DATA["flags"]
    assert (flags["image"], flags["stale"]) == (encoding.IMAGE, encoding.STALE)
    sealed = encoding.seal(
        since=None,
        cursor=Cursor("5e", 2**40 + 1, 2**41 + 2),
        cut_ms=2**42 + 3,
        expected=encoding.ExpectedState(0xAAAA0001, 0xBBBB0002, 7, 8),
        sections=encoding.Sections(b"dddd", b"rrrrrrrr", b"f"),
        stale=True,
        generation=513,
    )
    wanted = {
        "version": DATA["version"],
        "flags": flags["image"] | flags["stale"],
        "generation": 513,
        "drivers_bytes": 4,
        "rides_bytes": 8,
        "feed_bytes": 1,
        "loc_before": 0,
        "ev_before": 0,
        "loc": 2**40 + 1,
        "ev": 2**41 + 2,
        "at_ms": 2**42 + 3,
        "epoch_check": epoch_check("5e"),
        "hash_a": 0xAAAA0001,
        "hash_b": 0xBBBB0002,
        "drivers_held": 7,
        "rides_held": 8,
        "zero": 0,
    }
    at = 0
    for row in DATA["header"]:
        code = f"<{protocol.STRUCT_CODES[row['type']]}"
        assert struct.unpack_from(code, sealed, at) == (wanted[row["name"]],), row["name"]
        at += struct.calcsize(code)
    assert at == encoding.HEADER_BYTES


EXAMPLES: Final[dict[str, Any]] = {
    "v": DATA["version"],
    "city": "grid",
    "view": [0, 0, 1, 1],
    "cursor": "5e0c0ffee0ddba11:7:9",
    "token": "t",
    "generation": 1,
    "bbox": None,
    "own": [1, 2],
    "received": [3, 4],
}


def _is_accepted(kind: str, fields: dict[str, Any]) -> bool:
    text = json.dumps({"type": kind, **fields})
    answer = messages.read_hello(text, "grid") if kind == "hello" else messages.read_later(text)
    return not isinstance(answer, messages.SessionRefusal)


@pytest.mark.parametrize("kind", OF_CLIENTS)
def test_the_gateway_reads_the_control_messages_of_the_data(kind: str) -> None:
    fields = {name: EXAMPLES[name] for name in OF_CLIENTS[kind].required | OF_CLIENTS[kind].optional}
    assert _is_accepted(kind, fields)
    for name in fields:
        without = {other: value for other, value in fields.items() if other != name}
        assert _is_accepted(kind, without) is (name in OF_CLIENTS[kind].optional), f"{kind} without {name}"
        assert not _is_accepted(kind, without | {name: {"wrong": "type"}}), f"{kind}: {name} is not read"


def test_the_gateway_reads_no_other_control_message() -> None:
    for kind in (*OF_SERVERS, "bye"):
        assert not _is_accepted(kind, EXAMPLES)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "pause"},
        {"type": "drain"},
        {"type": "drain", "within_ms": 1, "why": "stop"},
        {"type": "pending", "for_s": 1},
        {},
    ],
)
def test_a_message_of_a_gateway_that_is_not_in_the_data_is_found(message: dict[str, Any]) -> None:
    check_server_message({"type": "drain", "within_ms": 1})
    with pytest.raises(AssertionError):
        check_server_message(message)


@pytest.mark.parametrize(("module", "rows"), [(encoding, "header"), (rides, "ride")])
def test_the_layouts_in_docstrings_are_those_of_the_data(module: ModuleType, rows: str) -> None:
    at, wanted = 0, []
    for row in DATA[rows]:
        wanted.append((str(at), row["type"], row["name"]))
        at += protocol.BYTES[row["type"]]
    assert re.findall(r"^ +(\d+)  ([a-z]\d+) +(\w+)", module.__doc__ or "", re.MULTILINE) == wanted


def test_the_columns_in_the_docstring_of_blocks_are_those_of_the_data() -> None:
    stated = re.findall(r"^    (\w+) +(\w+) +(\w+)$", blocks.__doc__ or "", re.MULTILINE)
    assert stated == [(row["part"], row["type"], row["name"]) for row in DATA["block_columns"]]
    counts = re.findall(r"`((?:n_|moved_)\w+)`", blocks.__doc__ or "")
    assert counts == [row["name"] for row in DATA["block_counts"]]


def test_the_gateways_ride_records_are_laid_out_as_the_data_says() -> None:
    wanted = {
        "id_bytes": 3,
        "state": 5,
        "attempt": 0xA1B2,
        "driver": 0xC3D4E5F6,
        "pickup_lng_e5": -7_400_001,
        "pickup_lat_e5": 4_070_002,
        "dropoff_lng_e5": -7_300_003,
        "dropoff_lat_e5": 4_080_004,
        "requested_ms": 11,
        "assigned_ms": 12,
        "arrived_ms": 13,
        "started_ms": 14,
        "ended_ms": 0,
    }
    record = rides.ride_record(
        b"r-1",
        state=5,
        attempt=0xFFA1B2,
        driver=0xC3D4E5F6,
        pickup_e5=(-7_400_001, 4_070_002),
        dropoff_e5=(-7_300_003, 4_080_004),
        times_ms=(11, 12, 13, 14, None),
    )
    at = 0
    for row in DATA["ride"]:
        code = f"<{protocol.STRUCT_CODES[row['type']]}"
        assert struct.unpack_from(code, record, at) == (wanted[row["name"]],), row["name"]
        at += struct.calcsize(code)
    assert record[at:] == b"r-1\0"


def test_the_gateways_blocks_are_laid_out_as_the_data_says() -> None:
    """Two rows set, two with another status, two that moved, and what each column must then read."""
    changes = blocks.BlockChanges(
        gone=np.array([3, 4], np.uint32),
        gone_block=np.zeros(2, np.intp),
        rows=_rows(10),
        rows_block=np.zeros(2, np.intp),
        status=_rows(20),
        status_block=np.zeros(2, np.intp),
        moved=blocks.MovedRows(
            now=_rows(30),
            lng_was_e5=_rows(30).lng_e5 - np.array([70, -70], np.int32),
            lat_was_e5=_rows(30).lat_e5 - np.array([-1, 0], np.int32),
            at_was=_rows(30).at - np.array([1_500, 900], np.uint32),
        ),
        moved_block=np.zeros(2, np.intp),
    )
    values = {
        "gone": {"driver": [3, 4]},
        "set": _columns(10),
        "status": _columns(20),
        "moved": _columns(30)
        | {"driver": [31, 1], "lng_by_e5": [70, -70], "lat_by_e5": [-1, 0], "at_by_ms": [1_500, 900]},
    }
    block = blocks.encode(changes, 1)[0]
    *counts, moved_bytes = struct.unpack_from(f"<{len(DATA['block_counts'])}I", block)
    assert counts == [2, 2, 2, 2]
    at, part = 4 * len(DATA["block_counts"]), "gone"
    for row in DATA["block_columns"]:
        if row["part"] != part:
            at, part = at + -at % 4, row["part"]
            moved_at = at
        read, at = _column(block, at, row["type"], 2)
        assert [value + row.get("less", 0) for value in read] == values[part][row["name"]], row
    at += -at % 4
    assert (at, moved_bytes) == (len(block), len(block) - moved_at)


def _rows(first: int) -> DriverColumns:
    """Two rows whose fields differ from each other and from those of another `first`."""
    return DriverColumns(
        np.array([first + 1, first + 2], np.uint32),
        np.array([-first * 1000, first * 1001], np.int32),
        np.array([first * 2000, -first * 2001], np.int32),
        np.array([first * 300_000, first * 300_001], np.uint32),
        np.array([first + 3, first + 4], np.uint8),
        np.array([first + 5, first + 6], np.uint8),
        np.array([first % 7, (first + 1) % 7], np.uint8),
    )


def _columns(first: int) -> dict[str, list[int]]:
    names = ("driver", "lng_e5", "lat_e5", "at_ms", "heading", "speed", "status")
    return {
        name: getattr(_rows(first), field).tolist()
        for name, field in zip(names, DriverColumns._fields, strict=True)
    }


def _column(data: bytes, at: int, kind: str, n: int) -> tuple[list[int], int]:
    """`n` values of this type, and where they end."""
    if kind in protocol.STRUCT_CODES:
        code = f"<{n}{protocol.STRUCT_CODES[kind]}"
        return list(struct.unpack_from(code, data, at)), at + struct.calcsize(code)
    values = []
    for _ in range(n):
        value = shift = 0
        while True:
            octet = data[at]
            value, at, shift = value | (octet & 127) << shift, at + 1, shift + 7
            if not octet & 128:
                break
        values.append(value >> 1 ^ -(value & 1) if kind == "zigzag" else value)
    return values, at


@pytest.mark.parametrize(
    ("rows", "name", "numbers"), [("block_columns", "status", DriverStatus), ("ride", "state", RideState)]
)
def test_the_numbers_of_states_are_those_of_the_log(rows: str, name: str, numbers: Any) -> None:
    [about] = {row["about"] for row in DATA[rows] if row["name"] == name and ":" in row["about"]}
    listed = {int(n): words for n, words in re.findall(r"(\d) ([a-z- ]+)", about.partition(": ")[2])}
    assert listed == {
        one.value: one.name.lower().replace("_", " ").replace("no show", "no-show") for one in numbers
    }


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (4001, CloseAction.AFTER_REASON),
        (4401, CloseAction.TOKEN),
        (4400, CloseAction.REFUSED),
        (4499, CloseAction.REFUSED),
        (4399, CloseAction.LOST),
        (4500, CloseAction.LOST),
        (1006, CloseAction.LOST),
        (1009, CloseAction.WITHOUT_CURSOR),
    ],
)
def test_a_close_code_has_one_action(code: int, action: CloseAction) -> None:
    assert close_action(code) is action


def test_the_table_of_the_python_client_is_the_datas() -> None:
    table = {s.value: {e.value: r.value for e, r in row.items()} for s, row in TRANSITIONS.items()}
    assert table == DATA["transitions"]
