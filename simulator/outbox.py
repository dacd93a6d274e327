# SPDX-License-Identifier: Apache-2.0
"""Commands on their way: each is kept until an event answers it, and sent again while none does.

Repeats are harmless (the id is the same), so a lost acknowledgement needs no thought.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from taxi.messages import AnyCommand

TRIES_MAX: Final = 8


@dataclass(slots=True)
class _Letter:
    command: AnyCommand
    due_ms: int
    tries: int = 0


class Outbox:
    """Unanswered commands, oldest first. At most one of each id, so it is bounded by drivers and rides."""

    def __init__(self, resend_ms: int) -> None:
        self._resend_ms = resend_ms
        self._letters: dict[str, _Letter] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._letters)

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._letters

    def put(self, commands: Iterable[AnyCommand], now_ms: int) -> None:
        """Take commands in; one that is already here stays as it is."""
        for command in commands:
            self._letters.setdefault(command.command_id, _Letter(command, now_ms))

    def due(self, now_ms: int, most: int = 1000) -> list[AnyCommand]:
        """What to send now, oldest first. Each counts as sent: the next try waits twice as long."""
        letters = [letter for letter in self._letters.values() if letter.due_ms <= now_ms][:most]
        sending = []
        for letter in letters:
            if letter.tries == TRIES_MAX:
                del self._letters[letter.command.command_id]
                self.given_up += 1
                continue
            letter.due_ms = now_ms + (self._resend_ms << letter.tries)
            letter.tries += 1
            sending.append(letter.command)
        return sending

    def unsent(self, commands: Iterable[AnyCommand], now_ms: int) -> None:
        """The outcome of these writes is unknown: those still unanswered are due again."""
        for command in commands:
            if letter := self._letters.get(command.command_id):
                letter.due_ms, letter.tries = now_ms, 0

    def answered(self, command_id: str) -> None:
        """An event carries this id."""
        self._letters.pop(command_id, None)
