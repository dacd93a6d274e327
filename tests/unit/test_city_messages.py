# SPDX-License-Identifier: Apache-2.0
"""The pages about messages say what the code says."""

import json
import re
import typing
from pathlib import Path

import pytest

from scripts import asyncapi, message_tables
from taxi import messages as m
from taxi import topics
from taxi.messages.states import DriverStatus, RideState
from taxi.state import MOVES

DOCS = Path(__file__).resolve().parents[2] / "docs"
KINDS = [kind for _, _, kinds in asyncapi.CHANNELS.values() for kind in kinds]


def test_the_asyncapi_document_is_made_from_the_structs() -> None:
    assert asyncapi.PATH.read_text() == asyncapi.text(), "run `python -m scripts.asyncapi`"


def test_the_page_on_messages_has_every_field_as_the_structs_say() -> None:
    assert message_tables.PATH.read_text() == message_tables.text(), "run `python -m scripts.message_tables`"


def test_every_reference_in_it_leads_somewhere() -> None:
    document = json.loads(asyncapi.PATH.read_text())
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', asyncapi.PATH.read_text()):
        found = document
        for step in reference.split("/"):
            found = found[step]
        assert found


def test_every_topic_is_in_it() -> None:
    assert set(asyncapi.CHANNELS) == {spec.name for spec in topics.specs()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_on_messages_tells_of_each(kind: type[m.Message]) -> None:
    assert f"`{kind.__name__}`" in (DOCS / "messages.md").read_text()


def test_the_life_of_a_ride_shows_every_move() -> None:
    page = (DOCS / "life-of-a-ride.md").read_text()
    rows = {
        cells[0]: (cells[1].split(", "), cells[2])
        for line in page.splitlines()
        if line.startswith("| `")
        for cells in [[cell.strip().strip("`") for cell in line.strip("|").split("|")]]
    }
    for event, (before, after) in MOVES.items():
        assert rows[event.__name__] == ([state.name for state in before], after.name)


def test_the_life_of_a_ride_names_every_state_and_status() -> None:
    page = (DOCS / "life-of-a-ride.md").read_text()
    for name in [*(state.name for state in RideState), *(status.name for status in DriverStatus)]:
        assert re.search(rf"\b{name}\b", page), name


def test_every_event_is_decided_somewhere_in_the_dispatcher() -> None:
    source = "".join(path.read_text() for path in sorted((DOCS.parent / "dispatcher").glob("*.py")))
    for kind in typing.get_args(m.AnyEvent):
        assert f"m.{kind.__name__}" in source
