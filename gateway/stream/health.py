# SPDX-License-Identifier: Apache-2.0
"""The `health` message (docs/protocol.md): which of the gateway's faults clients are sent, and when."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.stream.fanout import Client
from gateway.stream.messages import encode_message
from taxi.runtime.faults import Fault

PENDING: Final = encode_message(type="pending")
"""Sent to a client that waits until this gateway has reached its cursor."""
FAULTS_MAX: Final = 20
"""Faults in one message."""
_TEXT_CHARS_MAX: Final = 500
_TEXT_CHANGE_S: Final = 1.0
"""If only texts changed, at most one message in this time, because a text may contain a counter."""


class StreamHealth:
    """The faults in the last `health` message, and the clients that have not been sent it yet."""

    def __init__(self) -> None:
        self.faults: tuple[tuple[str, str], ...] = ()
        """(code, text) of each."""
        self.message = _message(())
        self._changed_s = 0.0
        self._owed: dict[Client, None] = {}

    def change(self, faults: Sequence[Fault], now_s: float) -> bool:
        """Compare with the last message, and make a new one if the faults differ.

        Faults with equal code and text are sent once.

        Returns:
            Whether `message` is new and must be sent.
        """
        seen = ((fault.code, fault.text[:_TEXT_CHARS_MAX]) for fault in faults)
        new = tuple(dict.fromkeys(seen))[:FAULTS_MAX]
        if new == self.faults or (
            _codes(new) == _codes(self.faults) and now_s - self._changed_s < _TEXT_CHANGE_S
        ):
            return False
        self.faults, self.message, self._changed_s = new, _message(new), now_s
        return True

    # --- who has not been sent it -----------------------------------------------------------------

    @property
    def owed(self) -> int:
        """How many clients have not been sent the last message, because they read slowly."""
        return len(self._owed)

    def owe(self, clients: Iterable[Client]) -> None:
        """Send the last message to these clients, and to no others."""
        self._owed = dict.fromkeys(clients)

    def send_owed(self) -> None:
        """Send the last message to the clients that have read what was sent before."""
        for client in list(self._owed):
            if not client.connection.backlog():
                client.connection.send(self.message)
                del self._owed[client]

    def cancel(self, client: Client) -> None:
        """Do not send the last message to this client. May be called for any client."""
        self._owed.pop(client, None)


def _codes(faults: tuple[tuple[str, str], ...]) -> list[str]:
    return [code for code, _ in faults]


def _message(faults: tuple[tuple[str, str], ...]) -> str:
    return encode_message(type="health", faults=[{"code": code, "text": text} for code, text in faults])
