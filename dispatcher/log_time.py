# SPDX-License-Identifier: Apache-2.0
"""The time of a batch, from the append times of what it read. Neither input can carry it away alone."""

from dataclasses import replace
from typing import Final

from msgspec import structs

from dispatcher.batch_input import BatchInput, ReadCommand
from taxi.positions.newest import NewestFixes

COMMANDS_MS_MAX: Final = 5_000
"""By how much commands can move log time past the positions, while there are any. If the latest command of a
batch lies further ahead, none of them moves log time."""
AHEAD_MS_MAX: Final = 2 * COMMANDS_MS_MAX
"""By how much a command can lie ahead of its batch although the clock was not set back: positions stop, and
until that is certain, commands do not move log time alone."""


def log_time(before_ms: int, newest: NewestFixes, batch_input: BatchInput, shift_ms: int) -> int:
    """The time of the batch that reads `batch_input`.

    Commands count, so that an event never has an earlier time than the command it answers; but one with a
    wrong time must not move the city. While no position comes, they alone move it. In the batch that finds
    the clock set back they do not count, because those from before that would lie ahead by the shift.

    Args:
        before_ms: The time of the last batch.
        newest: Includes the positions of `batch_input`.
        batch_input: What the batch reads.
        shift_ms: What was added to append times before this batch.
    """
    positions_ms = newest.heard_ms
    is_set_back = newest.clock.shift_ms != shift_ms
    commands_ms = (
        batch_input.heard_ms + newest.clock.shift_ms if batch_input.heard_ms and not is_set_back else 0
    )
    if positions_ms and not batch_input.commands_alone and commands_ms > positions_ms + COMMANDS_MS_MAX:
        commands_ms = 0  # a wrong time, or from before the clock was set back
    return max(before_ms, positions_ms, commands_ms)


def in_log_time(
    commands: tuple[ReadCommand, ...], shifts_ms: tuple[int, ...], now_ms: int
) -> tuple[ReadCommand, ...]:
    """Commands with log times, none of which is later than the batch.

    Args:
        commands: As they were read, in order.
        shifts_ms: What was added to append times, the newest last (`_shift_of`).
        now_ms: The time of the batch.
    """
    if not any(shifts_ms) and all(read.append_ms <= now_ms for read in commands):
        return commands
    return tuple(_in_log_time(read, shifts_ms, now_ms) for read in commands)


def _in_log_time(read: ReadCommand, shifts_ms: tuple[int, ...], now_ms: int) -> ReadCommand:
    shift_ms = _shift_of(read.append_ms, shifts_ms, now_ms)
    command, append_ms = read.command, min(read.append_ms + shift_ms, now_ms)
    if shift_ms and command.asked_ms is not None:
        command = structs.replace(command, asked_ms=command.asked_ms + shift_ms)
    return replace(read, command=command, append_ms=append_ms)


def _shift_of(append_ms: int, shifts_ms: tuple[int, ...], now_ms: int) -> int:
    """The shift that applies to a command.

    One that would lie in the future by a shift was appended before the clock was set back, so the shift
    before applies; unless it lies no more than AHEAD_MS_MAX in the future, and would be older than that by
    the shift before: then positions have stopped.
    """
    for earlier_ms, shift_ms in zip(reversed((0, *shifts_ms[:-1])), reversed(shifts_ms), strict=True):
        ahead_ms = append_ms + shift_ms - now_ms
        if ahead_ms <= 0 or (ahead_ms <= AHEAD_MS_MAX and shift_ms - earlier_ms - ahead_ms > AHEAD_MS_MAX):
            return shift_ms
    return shifts_ms[0]
