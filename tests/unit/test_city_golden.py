# SPDX-License-Identifier: Apache-2.0
"""Logs can't be rewritten: what an older version decided folds for ever, and means what it meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import golden_log
from taxi import messages as m
from taxi.bus import Record
from taxi.messages import codec
from taxi.state import CityState
from taxi.state.batches import WholeBatches

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "log"
LOGS = sorted(FOLDER.glob("*.jsonl"))


def records(path: Path) -> list[Record]:
    lines = path.read_bytes().splitlines()
    return [Record(offset, 0, None, line) for offset, line in enumerate(lines)]


def fold(path: Path) -> CityState:
    city, batches = CityState(), WholeBatches()
    for batch in batches.feed(records(path)):
        for at in batch.events:
            city.apply(at.event)
    assert not batches.unreadable
    assert not batches.dropped
    return city


def test_there_is_one_of_the_first_schema() -> None:
    assert [path.stem for path in LOGS][:1] == ["v1"]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_golden_log_folds_to_what_it_meant_then(path: Path) -> None:
    said_then = json.loads(path.with_suffix(".state.json").read_bytes())
    says_now = json.loads(fold(path).to_bytes())
    assert missing(said_then, says_now) == []


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_golden_log_is_encoded_again_byte_for_byte(path: Path) -> None:
    """A new field has a default and is left out; so replays of old batches stay equal."""
    for record in records(path):
        event = codec.decode("taxi.events", record)
        assert codec.encode(event) == record.value


def test_the_golden_logs_hold_every_event_of_the_first_schema() -> None:
    seen = {json.loads(record.value or b"")["type"] for record in records(LOGS[0])}
    assert seen == {kind.__name__ for kind in m.AnyEvent.__args__} - ADDED_LATER


def test_together_they_hold_every_event_there_is() -> None:
    seen = {json.loads(record.value or b"")["type"] for path in LOGS for record in records(path)}
    assert seen == {kind.__name__ for kind in m.AnyEvent.__args__}


ADDED_LATER = {"RideReassigned", "DriverRepositioned", "ClockSetBack", "ScenarioStarted", "ScenarioEnded"}
"""Events that the first schema did not know."""


SCHEMAS = sorted(FOLDER.glob("*.schema.json"))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_messages_evolve_by_addition_only(path: Path) -> None:
    assert broken(json.loads(path.read_bytes()), json.loads(golden_log.schema())) == []


def test_every_golden_log_has_its_schema() -> None:
    assert [path.name for path in SCHEMAS] == [path.with_suffix(".schema.json").name for path in LOGS]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda now: now.pop("RideOffered"), "RideOffered is gone"),
        (lambda now: now["RideOffered"]["properties"].pop("eta_s"), "RideOffered.eta_s is gone"),
        (
            lambda now: now["RideOffered"]["properties"]["eta_s"].update(type="number"),
            "RideOffered.eta_s means something else",
        ),
        (lambda now: now["BatchClosed"]["required"].append("new"), "BatchClosed now needs new"),
        (lambda now: now["BatchClosed"]["required"].remove("count"), "BatchClosed no longer needs count"),
    ],
)
def test_a_change_that_is_no_addition_is_noticed(change: Any, complaint: str) -> None:
    now = json.loads(SCHEMAS[0].read_bytes())
    change(now)
    assert broken(json.loads(SCHEMAS[0].read_bytes()), now) == [complaint]


def broken(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a reader of `then` can't rely on any more, or a writer of then would get wrong."""
    found = []
    for name, old in then.items():
        new = now.get(name)
        if new is None:
            found.append(f"{name} is gone")
            continue
        for field, meaning in old["properties"].items():
            if field not in new["properties"]:
                found.append(f"{name}.{field} is gone")
            elif new["properties"][field] != meaning:
                found.append(f"{name}.{field} means something else")
        before, after = set(old["required"]), set(new["required"])
        found += [f"{name} now needs {field}" for field in sorted(after - before)]
        found += [f"{name} no longer needs {field}" for field in sorted(before - after)]
    return found


def missing(then: Any, now: Any, path: str = "$") -> list[str]:
    """What `then` says and `now` does not. `now` may say more, but not otherwise."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            what
            for key, value in then.items()
            for what in (
                missing(value, now[key], f"{path}.{key}") if key in now else [f"{path}.{key} is gone"]
            )
        ]
    return [] if then == now else [f"{path}: {then!r}, now {now!r}"]
