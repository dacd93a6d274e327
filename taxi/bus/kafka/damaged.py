# SPDX-License-Identifier: Apache-2.0
"""Parses a batch that aiokafka rejects, record by record, so that one bad record does not lose the others.

    Record => Length (varint) Attributes (int8) TimestampDelta (varlong) OffsetDelta (varint)
              KeyLength (varint) Key ValueLength (varint) Value HeaderCount (varint) [Header]
    Header => NameLength (varint) Name (UTF-8) ValueLength (varint) Value

Each record begins with its length, so the next one is found even if this one cannot be parsed. If the length
is wrong, too, the rest of the batch becomes one `Damaged`.
"""

from typing import Final, NamedTuple

from msgspec.structs import replace

from taxi.bus import NO_TIME, RAW_BYTES_MAX, Damaged, Headers, Record

TIME_MS_MAX: Final = 2**53
"""The largest integer that JSON readers represent exactly."""
_VARINT_BITS_MAX: Final = 63
_RECORD_BYTES_MIN: Final = 6
_SINGLY_MAX: Final = 1_000
"""If a batch has more damaged records, neighbouring ones are joined into ranges."""


class BatchInfo(NamedTuple):
    """The fields of a batch's header that its records depend on."""

    base_offset: int
    next_offset: int
    size: int
    """The number of records, according to the header."""
    first_ms: int
    """The timestamp that each record's delta is added to."""
    time_ms: int
    """For records whose own timestamp is not known; NO_TIME if the header's is out of range."""
    is_append_time: bool
    """LogAppendTime: all records have `time_ms`."""


class NonsenseError(ValueError):
    """A record cannot be parsed; the text says why."""


def read_one_by_one(data: bytes, batch: BatchInfo) -> list[Record]:
    """All records of the batch in offset order, with `Damaged` in place of what cannot be parsed.

    If there are more records than offsets, the whole batch is one `Damaged`, because it is not known which
    record has which offset.

    Args:
        data: The records, decompressed.
        batch: Its header.
    """
    records: list[Record] = []
    floor, at = batch.base_offset, 0
    while at < len(data):
        start = at
        try:
            size, at = _varint(data, at)
            if not _RECORD_BYTES_MIN <= size <= len(data) - at:
                message = f"a record of {size} bytes where {len(data) - at} are left"
                raise NonsenseError(message)
        except NonsenseError as error:
            records += _rest(data[start:], floor, batch, str(error))
            return records
        raw, at = data[at : at + size], at + size
        if floor >= batch.next_offset:
            return _rest(data, batch.base_offset, batch, "more records than offsets")
        record = _record(raw, floor, batch)
        records.append(record)
        floor = record.next_offset
    has_fewer = len(records) < batch.size or (not records and batch.size < 0)
    if has_fewer and floor < batch.next_offset:
        reason = f"the batch says {batch.size} records and has {len(records)}"
        records += _rest(b"", floor, batch, reason)
    return (
        records if sum(isinstance(record, Damaged) for record in records) <= _SINGLY_MAX else _joined(records)
    )


def _joined(records: list[Record]) -> list[Record]:
    """Join neighbouring damaged records into ranges, to limit the dead letters.

    The first one's reason stays.
    """
    joined: list[Record] = []
    for record in records:
        last = joined[-1] if joined else None
        if isinstance(record, Damaged) and isinstance(last, Damaged) and last.end == record.offset:
            joined[-1] = replace(last, end=record.end)
        else:
            joined.append(record)
    return joined


def _rest(raw: bytes, floor: int, batch: BatchInfo, reason: str) -> list[Record]:
    """One `Damaged` from offset `floor` to the end of the batch; none if the batch ends before `floor`."""
    if floor >= batch.next_offset:
        return []
    raw = raw[:RAW_BYTES_MAX]
    return [Damaged(floor, batch.time_ms, None, None, reason=reason, end=batch.next_offset, raw=raw)]


def _record(raw: bytes, floor: int, batch: BatchInfo) -> Record:
    """Parse one record. Its offset must be at least `floor`; otherwise, and on any error, it is `Damaged`."""
    offset, time_ms, key = floor, batch.time_ms, None
    try:
        delta_ms, at = _varint(raw, 1)
        if not batch.is_append_time:
            time_ms = _time_ms(batch.first_ms, delta_ms)
        offset_delta, at = _varint(raw, at)
        wanted = batch.base_offset + offset_delta
        if not floor <= wanted < batch.next_offset:
            message = f"offset {wanted} is not within {floor} … {batch.next_offset - 1}"
            raise NonsenseError(message)
        offset = wanted
        key, at = _nullable(raw, at, "key")
        value, at = _nullable(raw, at, "value")
        headers, at = _headers(raw, at)
        if at != len(raw):
            message = f"{len(raw) - at} bytes behind the record's end"
            raise NonsenseError(message)
        if time_ms == NO_TIME and batch.is_append_time:
            message = "its time makes no sense"
            raise NonsenseError(message)
    except NonsenseError as error:
        return Damaged(offset, time_ms, key, None, reason=str(error), end=offset + 1, raw=raw[:RAW_BYTES_MAX])
    return Record(offset, time_ms, key, value, headers)


def _time_ms(first_ms: int, delta_ms: int) -> int:
    """A record's timestamp, or NO_TIME if it has none. Raises NonsenseError if it is out of range."""
    time_ms = first_ms + delta_ms
    if time_ms != NO_TIME and not 0 <= time_ms <= TIME_MS_MAX:
        message = f"its time makes no sense: {time_ms} ms"
        raise NonsenseError(message)
    return time_ms


def _headers(raw: bytes, at: int) -> tuple[Headers, int]:
    count, at = _varint(raw, at)
    if not 0 <= count <= len(raw):
        message = f"{count} headers"
        raise NonsenseError(message)
    headers = []
    for _ in range(count):
        name, at = _nullable(raw, at, "a header's name")
        if name is None:
            message = "a header without a name"
            raise NonsenseError(message)
        value, at = _nullable(raw, at, "a header's value")
        try:
            headers.append((name.decode("utf-8"), value or b""))
        except UnicodeDecodeError as error:
            message = f"a header's name is not UTF-8: {error}"
            raise NonsenseError(message) from None
    return tuple(headers), at


def _nullable(raw: bytes, at: int, what: str) -> tuple[bytes | None, int]:
    """Bytes that follow their length, and the next byte's index. Length −1 means None."""
    size, at = _varint(raw, at)
    if size == -1:
        return None, at
    if not 0 <= size <= len(raw) - at:
        message = f"{what} of {size} bytes where {len(raw) - at} are left"
        raise NonsenseError(message)
    return raw[at : at + size], at + size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint (Protocol Buffers encoding) and the next byte's index. Raises NonsenseError."""
    value = shift = 0
    while True:
        if at >= len(raw):
            message = "it ends within a number"
            raise NonsenseError(message)
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > _VARINT_BITS_MAX:
            message = "a number of more than 64 bits"
            raise NonsenseError(message)
    value &= 2**64 - 1
    return (value >> 1) ^ -(value & 1), at
