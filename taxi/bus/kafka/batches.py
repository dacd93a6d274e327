# SPDX-License-Identifier: Apache-2.0
"""Parsing of record batches as a broker returns them: bounds, checksum, records.

Layout of format 2 (Kafka documentation, "Message Format"): a header of 61 bytes, then the records, which
may be compressed. The CRC-32C covers everything from the attributes on. Base offset, length and magic are
before it, so they are compared with the batches before and after instead.

aiokafka parses valid batches, in C. What it rejects is parsed again by `damaged`, record by record.
"""

import struct
from typing import Any, Final

from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c
from msgspec import Struct
from msgspec.structs import replace

from taxi.bus import NO_TIME, RAW_BYTES_MAX, Damaged, Record, Writer
from taxi.bus.kafka.codecs import Bytes, CodecError, decompress
from taxi.bus.kafka.damaged import TIME_MS_MAX, BatchInfo, read_one_by_one

FRAME: Final = struct.Struct(">qi")
"""Base offset, and the number of bytes after this frame."""
HEADER: Final = struct.Struct(">qiibIhiqqqhii")
MAGIC: Final = 2
_MAGIC_AT: Final = 16
_ATTRIBUTES_AT: Final = 21
_LENGTH_MIN: Final = HEADER.size - FRAME.size
_CODEC_BITS: Final = 0x07
_APPEND_TIME_BIT: Final = 0x08
TRANSACTIONAL_BIT: Final = 0x10
CONTROL_BIT: Final = 0x20
_PADDING: Final = bytes(32)
"""aiokafka reads varints byte by byte, up to twenty bytes beyond the end of a damaged batch."""


class RecordBatch(Struct, frozen=True, gc=False):
    """The header of a batch whose checksum is right. Its offsets, times and count may still be wrong."""

    base_offset: int
    next_offset: int
    """The offset after its last one. Compaction may have removed offsets between."""
    attributes: int
    producer_id: int
    producer_epoch: int
    first_ms: int
    greatest_ms: int
    size: int
    """The number of records, according to the header."""
    start: int
    """The byte of the fetched data at which its header begins."""
    end: int
    """The byte after its last one."""


class Unreadable(Exception):  # noqa: N818 - an outcome
    """No complete batch begins here; the text says why."""


class CutOff(Unreadable):
    """The data ends within the batch. This is normal at the end of a fetch."""


def batch_at(data: bytes, start: int) -> RecordBatch:
    """Parse the header of the batch that begins at byte `start`, and check its checksum.

    Raises:
        CutOff: The data ends before the batch does.
        Unreadable: The length, format, checksum or offsets are wrong.
    """
    if len(data) - start < FRAME.size:
        raise CutOff(f"it ends after {len(data) - start} bytes")
    base, length = FRAME.unpack_from(data, start)
    if length < _LENGTH_MIN:
        raise Unreadable(f"a batch cannot have {length} bytes")
    end = start + FRAME.size + length
    if end > len(data):
        raise CutOff(f"it has {length} bytes, and {len(data) - start - FRAME.size} are there")
    _, _, _, magic, crc, attributes, last_delta, first_ms, greatest_ms, producer_id, epoch, _, count = (
        HEADER.unpack_from(data, start)
    )
    if magic != MAGIC:
        raise Unreadable(f"batches of format {magic} are not supported")
    if calc_crc32c(memoryview(data)[start + _ATTRIBUTES_AT : end]) != crc:
        raise Unreadable("the checksum is wrong")
    if base < 0 or last_delta < 0:
        raise Unreadable(f"a batch cannot begin at offset {base} and end {last_delta} after it")
    return RecordBatch(
        base,
        base + last_delta + 1,
        attributes,
        producer_id,
        epoch,
        first_ms,
        greatest_ms,
        count,
        start,
        end,
    )


def find_batch(data: bytes, start: int, after: int, limit: int) -> int | None:
    """The first byte from `start` on where a complete batch with offsets in [after, limit) begins, or None.

    For data whose framing is lost: it tries every byte that may be a batch's magic.
    """
    at = start
    while (magic_at := data.find(MAGIC, at + _MAGIC_AT)) >= 0:
        at = magic_at - _MAGIC_AT
        if len(data) - at >= HEADER.size and after <= FRAME.unpack_from(data, at)[0] < limit:
            try:
                if batch_at(data, at).next_offset <= limit:
                    return at
            except Unreadable:
                pass
        at += 1
    return None


def read(data: bytes, batch: RecordBatch) -> list[Record]:
    """The records of a batch in offset order.

    What cannot be parsed is `Damaged`; never raises for bad data.
    """
    records = _read(data, batch)
    if not batch.attributes & TRANSACTIONAL_BIT:
        return records
    writer = Writer(batch.producer_id, batch.producer_epoch)
    return [replace(record, writer=writer) for record in records]


def _read(data: bytes, batch: RecordBatch) -> list[Record]:
    try:
        payload = decompress(
            batch.attributes & _CODEC_BITS, memoryview(data)[batch.start + HEADER.size : batch.end]
        )
    except CodecError as error:
        return [whole(data, batch, str(error))]
    records = _read_at_once(data, batch, payload)
    return records if records is not None else read_one_by_one(bytes(payload), _info(batch))


def whole(data: bytes, batch: RecordBatch, reason: str) -> Damaged:
    """One `Damaged` for all offsets of the batch."""
    info = _info(batch)
    raw = data[batch.start : min(batch.end, batch.start + RAW_BYTES_MAX)]
    return Damaged(batch.base_offset, info.time_ms, None, None, reason=reason, end=batch.next_offset, raw=raw)


def _read_at_once(data: bytes, batch: RecordBatch, payload: Bytes) -> list[Record] | None:
    """Parse a valid batch with aiokafka. None if anything about it is unusual."""
    try:
        parsed = DefaultRecordBatch(_uncompressed(data, batch, payload))
        records = (
            _append_timed(parsed, batch) if batch.attributes & _APPEND_TIME_BIT else _timed(parsed, batch)
        )
    except Exception:  # noqa: BLE001 - on any error the records are parsed one by one
        return None
    return records if len(records) == batch.size == batch.next_offset - batch.base_offset else None


def _uncompressed(data: bytes, batch: RecordBatch, payload: Bytes) -> memoryview:
    """The batch as if it had not been compressed, in a buffer with readable bytes after its end."""
    if batch.attributes & _CODEC_BITS:
        header = bytearray(data[batch.start : batch.start + HEADER.size])
        header[_ATTRIBUTES_AT + 1] &= ~_CODEC_BITS & 0xFF
        return memoryview(b"".join((header, payload, _PADDING)))[: HEADER.size + len(payload)]
    if len(data) - batch.end >= len(_PADDING):
        return memoryview(data)[batch.start : batch.end]
    return memoryview(data[batch.start : batch.end] + _PADDING)[: batch.end - batch.start]


def _append_timed(parsed: Any, batch: RecordBatch) -> list[Record]:
    """Records with the batch's append time, for batches with LogAppendTime.

    Offsets with a gap are left out.
    """
    time_ms = batch.greatest_ms
    if not 0 <= time_ms <= TIME_MS_MAX:
        return []
    return [
        Record(offset, time_ms, each.key, each.value, tuple(headers))
        if (headers := each.headers)
        else Record(offset, time_ms, each.key, each.value)
        for offset, each in enumerate(parsed, batch.base_offset)
        if each.offset == offset
    ]


def _timed(parsed: Any, batch: RecordBatch) -> list[Record]:
    """Records with the producer's timestamps. Offsets with a gap and invalid timestamps are left out."""
    return [
        Record(offset, time_ms, each.key, each.value, tuple(headers) if (headers := each.headers) else ())
        for offset, each in enumerate(parsed, batch.base_offset)
        if each.offset == offset and 0 <= (time_ms := each.timestamp) <= TIME_MS_MAX
    ]


def _info(batch: RecordBatch) -> BatchInfo:
    is_append_time = bool(batch.attributes & _APPEND_TIME_BIT)
    time_ms = batch.greatest_ms if 0 <= batch.greatest_ms <= TIME_MS_MAX else NO_TIME
    return BatchInfo(
        batch.base_offset, batch.next_offset, batch.size, batch.first_ms, time_ms, is_append_time
    )
