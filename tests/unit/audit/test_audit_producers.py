# SPDX-License-Identifier: Apache-2.0
"""Whose events the audit takes for the city's."""

import json

from taxi.bus import Record, Writer
from taxistream.tools.audit.producers import Surveyor

FIRST, SECOND = Writer(1, 0), Writer(2, 0)
BIRTH = {"type": "EpochStarted", "batch": 1, "at_ms": 1, "epoch": "e", "city": "grid"}


def close(count: int) -> dict[str, object]:
    return {
        "type": "BatchClosed",
        "batch": 1,
        "at_ms": 1,
        "count": count,
        "commands_offset": 0,
        "locations_offset": 0,
    }


def producer_of(*events: tuple[Writer, dict[str, object]]) -> int | None:
    """The city's, of a log that begins with these events."""
    surveyor = Surveyor()
    for offset, (writer, body) in enumerate(events):
        surveyor.add(Record(offset, 1, None, json.dumps(body).encode(), writer=writer))
    return surveyor.survey(at_birth=True).producer


def test_the_city_is_of_the_producer_whose_first_batch_was_complete_first() -> None:
    """Another application may write a batch while a dispatcher's first one is on its way."""
    assert producer_of((FIRST, BIRTH), (SECOND, BIRTH), (SECOND, close(2)), (FIRST, close(2))) == 2
    assert producer_of((FIRST, BIRTH), (SECOND, BIRTH), (FIRST, close(2)), (SECOND, close(2))) == 1


def test_a_first_batch_that_lacks_events_begins_no_city() -> None:
    assert producer_of((FIRST, BIRTH), (FIRST, close(3)), (SECOND, BIRTH), (SECOND, close(2))) == 2
