# SPDX-License-Identifier: Apache-2.0
"""Encodes the drivers section of an update by columns (docs/protocol.md, "Drivers").

A section is the `u32` number of its blocks, then the blocks. A block begins with five `u32`: the rows of its
four parts and the bytes of the last one (`n_gone`, `n_set`, `n_status`, `n_moved`, `moved_bytes`). Then come
the columns of the parts, each with one value a row:

    gone    u32    driver
    set     u32    driver
    set     i32    lng_e5
    set     i32    lat_e5
    set     u32    at_ms
    set     u8     heading
    set     u8     speed
    set     u8     status
    status  u32    driver
    status  u8     status
    moved   u8     heading
    moved   u8     speed
    moved   varint driver
    moved   zigzag lng_by_e5
    moved   zigzag lat_by_e5
    moved   zigzag at_by_ms

Each part is padded with zeros to a multiple of four bytes. In the part *moved* driver numbers are sent less
the one before, longitude, latitude and device time less those of the row held (the time also less 1,000 ms)
as zigzag; these four columns are varints. taxi/client/protocol.toml has the same layout as data, and a test
compares them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.updates.columns import DriverColumns, no_drivers

_HEAD_WORDS: Final = 5
_MOVED_AT_LESS_MS: Final = 1_000
"""A device sends once a second, so this is what most device times have grown by."""
_Words = npt.NDArray[np.uint32]
_Octets = npt.NDArray[np.uint8]
_Places = npt.NDArray[np.intp]


class MovedRows(NamedTuple):
    """Rows that the client holds, of which differences are sent."""

    now: DriverColumns
    lng_was_e5: npt.NDArray[np.int32]
    lat_was_e5: npt.NDArray[np.int32]
    at_was: _Words


def no_moved_rows() -> MovedRows:
    """No row at all."""
    none = no_drivers()
    return MovedRows(none, none.lng_e5, none.lat_e5, none.at)


class BlockChanges(NamedTuple):
    """What blocks say, each part ascending by (block, driver); beside it the block of each of its rows."""

    gone: _Words
    gone_block: _Places
    rows: DriverColumns
    rows_block: _Places
    status: DriverColumns
    """Rows of which the status alone is changes."""
    status_block: _Places
    moved: MovedRows
    moved_block: _Places


def one_block(gone: _Words, rows: DriverColumns) -> bytes:
    """A section of a single block: what left, and complete rows; both ascending by driver."""
    if not len(gone) and not len(rows.driver):
        return b""
    gone_block, rows_block, none = (np.zeros(n, np.intp) for n in (len(gone), len(rows.driver), 0))
    changes = BlockChanges(gone, gone_block, rows, rows_block, no_drivers(), none, no_moved_rows(), none)
    return joined([encode(changes, 1)[0]])


@dataclass(frozen=True)
class Blocks:
    """Encoded blocks, one after the other."""

    octets: bytes
    starts: Sequence[int]
    """Where each begins; one more at the end."""

    def __getitem__(self, block: int) -> bytes:
        return self.octets[self.starts[block] : self.starts[block + 1]]


def joined(blocks: Sequence[bytes]) -> bytes:
    """Blocks as a section of an update; nothing at all if there is none."""
    return b"".join((len(blocks).to_bytes(4, "little"), *blocks)) if blocks else b""


class _Part:
    """Rows of one part spread over blocks: how many each has, and the rank of each row in its own."""

    def __init__(self, block: _Places, n_blocks: int) -> None:
        self.block = block
        self.counts = np.bincount(block, minlength=n_blocks)
        self.firsts = np.cumsum(self.counts) - self.counts
        self.rank = np.arange(len(block)) - self.firsts[block]

    def at(self, starts: _Places, column: int = 0) -> _Places:
        """Where each row is in its block's `column`-th column, given where the part starts."""
        return (starts + column * self.counts)[self.block] + self.rank


def encode(changes: BlockChanges, n_blocks: int) -> Blocks:
    """The bytes of `n_blocks` blocks. The same rows give the same bytes."""
    gone, rows = _Part(changes.gone_block, n_blocks), _Part(changes.rows_block, n_blocks)
    status, moved = _Part(changes.status_block, n_blocks), _Part(changes.moved_block, n_blocks)
    varints = _Varints(_differences(changes.moved, moved), moved)
    moved_bytes = 2 * moved.counts + varints.bytes
    moved_bytes += -moved_bytes % 4
    gone_at = np.full(n_blocks, _HEAD_WORDS, np.intp)
    rows_at = gone_at + gone.counts
    status_at = rows_at + 4 * rows.counts + (3 * rows.counts + 3) // 4
    moved_at = status_at + status.counts + (status.counts + 3) // 4
    sizes = moved_at + moved_bytes // 4
    ends = np.cumsum(sizes)
    starts = ends - sizes
    words = np.zeros(int(ends[-1]) if n_blocks else 0, "<u4")
    octets = words.view(np.uint8)
    for field, value in enumerate((gone.counts, rows.counts, status.counts, moved.counts, moved_bytes)):
        words[starts + field] = value
    words[gone.at(starts + gone_at)] = changes.gone
    _put_rows(words, octets, rows, starts + rows_at, changes.rows)
    words[status.at(starts + status_at)] = changes.status.driver
    octets[status.at(4 * (starts + status_at + status.counts))] = changes.status.status
    moved_at = 4 * (starts + moved_at)
    octets[moved.at(moved_at)] = changes.moved.now.heading
    octets[moved.at(moved_at, 1)] = changes.moved.now.speed
    varints.put(octets, moved_at + 2 * moved.counts)
    return Blocks(octets.tobytes(), [0, *(4 * ends).tolist()])


def _put_rows(words: _Words, octets: _Octets, part: _Part, at: _Places, rows: DriverColumns) -> None:
    """Complete rows: four columns of words, then three of octets."""
    wide = (rows.driver, rows.lng_e5.view(np.uint32), rows.lat_e5.view(np.uint32), rows.at)
    for column, values in enumerate(wide):
        words[part.at(at, column)] = values
    narrow_at = 4 * (at + 4 * part.counts)
    for column, octet in enumerate((rows.heading, rows.speed, rows.status)):
        octets[part.at(narrow_at, column)] = octet


def _differences(moved: MovedRows, part: _Part) -> list[_Words]:
    """The four columns of varints."""
    now = moved.now
    gap = now.driver.copy()
    inner = np.flatnonzero(part.rank)
    gap[inner] -= now.driver[inner - 1]
    grown = now.at - moved.at_was - np.uint32(_MOVED_AT_LESS_MS)
    differences = (now.lng_e5 - moved.lng_was_e5, now.lat_e5 - moved.lat_was_e5, grown.view(np.int32))
    return [gap, *map(_zigzag, differences)]


def _zigzag(values: npt.NDArray[np.int32]) -> _Words:
    return ((values << np.int32(1)) ^ (values >> np.int32(31))).view(np.uint32)


class _Varints:
    """Columns of varints, block after block, in each block column after column."""

    def __init__(self, columns: Sequence[_Words], part: _Part) -> None:
        first, width = part.firsts[part.block], len(columns)
        self._values = np.zeros(width * len(part.block), np.uint32)
        for number, column in enumerate(columns):
            self._values[width * first + number * part.counts[part.block] + part.rank] = column
        self._block = np.repeat(np.arange(len(part.counts)), width * part.counts)
        self._lengths = np.ones(len(self._values), np.intp)
        for bits in (7, 14, 21, 28):
            self._lengths += self._values >= np.uint32(1 << bits)
        self._ends = np.cumsum(self._lengths)
        before = np.append(0, self._ends)
        self._firsts = before[width * part.firsts]
        self.bytes = before[width * (part.firsts + part.counts)] - self._firsts

    def put(self, octets: _Octets, at: _Places) -> None:
        """Write them, those of each block from `at` on."""
        places = (at - self._firsts)[self._block] + self._ends - self._lengths
        left = np.arange(len(self._values))
        for octet in range(5):
            left = left[self._lengths[left] > octet]
            more = (self._lengths[left] > octet + 1).astype(np.uint32) << np.uint32(7)
            octets[places[left] + octet] = self._values[left] >> np.uint32(7 * octet) & np.uint32(127) | more
