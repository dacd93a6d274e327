# SPDX-License-Identifier: Apache-2.0
"""The bytes of the stream stand still: encoder and reference decoder against the committed frames."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import golden_frames
from taxi.client.decode import decode_update
from taxi.client.replica import HashMismatchError, Replica
from taxi.client.rows import StreamError

FOLDER = Path(__file__).parents[2] / "golden" / "frames"
NAMES = sorted(path.stem for path in FOLDER.glob("*.bin"))


def expected(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def message(name: str) -> bytes:
    return (FOLDER / f"{name}.bin").read_bytes()


def test_there_are_frames_of_each_kind() -> None:
    cuts = [decode_update(message(name)) for name in NAMES]
    assert any(cut.is_image for cut in cuts)
    assert any(cut.gone and cut.rides_gone for cut in cuts)
    assert any(cut.feed for cut in cuts)
    assert any(cut.is_stale for cut in cuts)
    assert any(cut.status and cut.moved for cut in cuts)
    assert any(cut.blocks > 1 and {row.driver for row in cut.drivers} & set(cut.gone) for cut in cuts)
    assert any(cut.generation for cut in cuts)
    far = [one for cut in cuts for one in cut.moved if abs(one.lng_by_e5) > 2**20]
    assert any(cut.moved and min(one.at_by_ms for one in cut.moved) < -(2**30) for cut in cuts)
    assert far


def test_the_encoder_still_writes_the_committed_bytes() -> None:
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert golden_frames.files() == found


def test_applied_in_order_a_client_holds_what_each_frame_says() -> None:
    client = Replica(epoch=golden_frames.EPOCH)
    for name in NAMES:
        cut = decode_update(message(name))
        client.apply(cut)
        assert json.loads(json.dumps(golden_frames.described(cut, client))) == expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_cut_short_anywhere_is_refused(name: str) -> None:
    whole = message(name)
    for length in range(len(whole)):
        with pytest.raises(StreamError):
            decode_update(whole[:length])


def test_a_missed_cut_is_noticed() -> None:
    client = Replica(epoch=golden_frames.EPOCH)
    client.apply(decode_update(message(NAMES[0])))
    with pytest.raises(StreamError, match="for a client at"):
        client.apply(decode_update(message(NAMES[2])))


def test_a_wrong_source_is_noticed() -> None:
    client = Replica(epoch=golden_frames.EPOCH)
    client.apply(decode_update(message(NAMES[0])))
    altered = bytearray(message(NAMES[1]))
    altered[80 + 4 + 20 + 12] ^= 1  # the first longitude
    with pytest.raises(HashMismatchError):
        client.apply(decode_update(bytes(altered)))


def test_a_cut_of_another_log_is_noticed() -> None:
    client = Replica(epoch="0" * 16)
    with pytest.raises(StreamError, match="another epoch"):
        client.apply(decode_update(message(NAMES[0])))
