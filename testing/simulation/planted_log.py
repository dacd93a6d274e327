# SPDX-License-Identifier: Apache-2.0
"""Bugs planted into what decides which batches count."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import dispatcher.takeover
from dispatcher.dead_letters import DeadLetters
from taxi.bus import Record
from taxi.messages.codec import DecodeError
from taxi.state import batches
from taxi.state.batches import ANOTHER_PRODUCER, NO_PRODUCER, Batch, WholeBatches
from testing.simulation.planted_dispatcher import recovered


@contextmanager
def every_producer_counts() -> Iterator[None]:
    """Another producer's batch with the next number counts."""
    init, joining = WholeBatches.__init__, WholeBatches.joining

    def nobodys(self: WholeBatches, number: int = 0, _producer_id: int | None = None, **rest: bool) -> None:
        init(self, number, **rest)

    def joining_anybody(_producer_id: int, **rest: bool) -> WholeBatches:
        return joining(NO_PRODUCER, **rest)

    with (
        patch.object(batches, "producer_id_of", lambda _: NO_PRODUCER),
        patch.object(WholeBatches, "__init__", nobodys),
        patch.object(WholeBatches, "joining", joining_anybody),
    ):
        yield


@contextmanager
def a_gap_is_passed_over() -> Iterator[None]:
    """A missing batch, or missing events of one, are not noticed."""
    init, feed = WholeBatches.__init__, WholeBatches.feed

    def patient(self: WholeBatches, *args: Any, **rest: Any) -> None:
        init(self, *args, **rest | {"passes_gaps": True})

    def anyway(self: WholeBatches, records: Iterable[Record]) -> Iterator[Batch]:
        for batch in feed(self, records):
            self.gap = None
            yield batch
        self.gap = None

    with patch.object(WholeBatches, "__init__", patient), patch.object(WholeBatches, "feed", anyway):
        yield


@contextmanager
def foreign_events_get_no_letter() -> Iterator[None]:
    """They are skipped without a dead letter."""
    send = DeadLetters.send

    async def silent(self: DeadLetters, unreadable: list[DecodeError]) -> None:
        await send(self, [error for error in unreadable if error.reason != ANOTHER_PRODUCER])

    with patch.object(DeadLetters, "send", silent):
        yield


def a_new_producer_id_is_not_announced() -> AbstractContextManager[None]:
    """A dispatcher under another producer id begins without naming the one before."""
    return recovered(lambda found: replace(found, replaced_producer_id=None))


@contextmanager
def the_first_batch_is_not_checked() -> Iterator[None]:
    """A dispatcher that found no events takes it that its own are the first."""

    async def trust(*_: object) -> None:
        return

    with patch.object(dispatcher.takeover, "check_beginning", trust):
        yield
