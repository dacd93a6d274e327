# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into the bus, and into what the dispatcher does with what a reader could not parse."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from dispatcher.dead_letters import DeadLetters
from taxi.bus import Damaged, Record
from taxi.bus.memory.bus import MemoryReader
from taxi.bus.memory.network import MemoryConnection
from taxi.messages.codec import DecodeError


@contextmanager
def a_reader_dies_of_what_it_cannot_parse() -> Iterator[None]:
    """As with aiokafka's own parser: a reader fails at such a record, and so does its successor."""
    fetch = MemoryReader.fetch

    async def strict(self: MemoryReader, **limits: Any) -> list[Record]:
        records = await fetch(self, **limits)
        if any(isinstance(record, Damaged) for record in records):
            raise UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid start byte")
        return records

    with patch.object(MemoryReader, "fetch", strict):
        yield


@contextmanager
def damaged_records_get_no_letter() -> Iterator[None]:
    """They are skipped without a dead letter."""
    send = DeadLetters.send

    async def silent(self: DeadLetters, unreadable: list[DecodeError]) -> None:
        await send(self, [error for error in unreadable if not isinstance(error.record, Damaged)])

    with patch.object(DeadLetters, "send", silent):
        yield


@contextmanager
def connections_are_kept() -> Iterator[None]:
    """A request is given up after a while, and the next one goes out on the same connection."""

    def keep(self: MemoryConnection) -> None:
        del self

    with patch.object(MemoryConnection, "replace", keep):
        yield
