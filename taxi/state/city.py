# SPDX-License-Identifier: Apache-2.0
"""The state of a city: it applies events, and is encoded for snapshots."""

from typing import Final

import msgspec

from taxi import messages as m
from taxi.state.data import CityData
from taxi.state.folds import FOLDS, NOT_YET
from taxi.state.rows import Touched


class CityState(CityData, kw_only=True, dict=True):
    """The state of a city, folded from its events up to the last one applied."""

    def apply(self, event: m.AnyEvent) -> Touched:
        """Apply an event.

        Returns:
            The drivers and rides that it may have changed.

        Raises:
            IllegalTransitionError: The state does not allow it. The state may be partly changed.
        """
        touched = FOLDS[type(event)](self, event)
        if event.command_id is not None and not _decides_nothing(event):
            self.commands[event.command_id] = event.at_ms
        return touched

    def to_bytes(self) -> bytes:
        """Encode the state as JSON. Equal states give equal bytes."""
        return _ENCODER.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "CityState":
        """Decode the result of `to_bytes`. Raises msgspec.DecodeError."""
        return _DECODER.decode(data)


def _decides_nothing(event: m.AnyEvent) -> bool:
    return type(event) is m.CommandRejected and event.reason in NOT_YET


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(CityState)
