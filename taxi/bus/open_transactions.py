# SPDX-License-Identifier: Apache-2.0
"""Texts about a transaction that holds back readers of a partition."""

from datetime import UTC, datetime

from taxi.bus import Bus, Offsets, OpenTransaction


def describe(topic: str, partition: int, bounds: Offsets, holder: OpenTransaction | None) -> str:
    """One sentence: which offsets can't be read, which producer holds them back and since when.

    Args:
        topic: Without the prefix.
        partition: Its number.
        bounds: Its offsets; `stable` is where readers are held.
        holder: The transaction that begins at `bounds.stable`, if the broker returned it.
    """
    what = f"{topic}/{partition}: nothing can be read from offset {bounds.stable} on, because"
    if holder is None:
        return f"{what} a transaction is open whose producer the broker does not name."
    name = f"transactional id {holder.transactional_id!r}" if holder.transactional_id else "id not disclosed"
    who = f"producer {holder.producer_id} (epoch {holder.producer_epoch}, {name})"
    since = f" since {_time(holder.began_ms)}" if holder.began_ms else ""
    until = f"; the broker aborts it after {holder.timeout_ms / 1000:.0f} s" if holder.timeout_ms else ""
    if holder.is_hanging:
        until = "; its coordinator does not know this transaction, so it never ends by itself"
    return f"{what} {who} holds a transaction open{since}{until}."


async def what_is_held_back(bus: Bus, topic: str, partition: int, bounds: Offsets) -> str | None:
    """`describe` with the holder looked up on the broker; None if nothing is held back."""
    if bounds.stable >= bounds.end:
        return None
    found = await bus.open_transactions(topic, partition)
    first = next((each for each in found if each.start == bounds.stable), None)
    return describe(topic, partition, bounds, first)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")
