# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.fuzz_batches --minutes 10`: fuzzes readers and consumers with random record batches.

Each case is a log of valid batches with one batch of random bytes, or a mutated one: with any codec and
attribute bits, and wrong lengths, counts, offsets and times. In most cases its checksum is right, so the
batch reaches the parsers; in the others it is damaged on disk. The log is read to its end through a model of
a broker, and the records go through all code that consumes records.

A case fails if the reader does not advance, loses a record of another batch, raises an exception, or uses too
much memory or time. Cases run in child processes, because a parser in C may crash. A failed case is printed
as a number that reproduces it: `--case N`.
"""

import argparse
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing import shared_memory
from typing import Any, Final

from aiokafka.record.util import calc_crc32c

from dispatcher.batch_input import digest
from dispatcher.dead_letters import dead_letter
from gateway.updates.city_view import CityView, CityViewBrokenError, Span
from gateway.updates.grid import TileGrid
from taxi import messages as m
from taxi import topics
from taxi.bus import Damaged, Record
from taxi.messages import codec
from taxi.positions.columns import read_fixes
from taxi.positions.newest import NewestFixes
from taxi.runtime import tracing
from taxi.state import CityState, snapshots
from taxi.state.batches import WholeBatches
from taxistream.tools.audit.journal import parse
from taxistream.tools.oracle.city import OracleCity
from taxistream.tools.oracle.errors import BrokenLogError
from testing.kafka_model import Segment, in_order, read_all
from testing.record_batches import (
    APPEND_TIME,
    ATTRIBUTES_AT,
    COMPRESS,
    CONTROL,
    CRC_AT,
    NOW_MS,
    TRANSACTIONAL,
    batch,
    good,
    record,
    varint,
)

_AT_ONCE: Final = 500
"""How many cases a child process runs."""
_MEMORY_BYTES: Final = 4 << 30
_CASE_S: Final = 5.0
"""CPU time, so that a busy machine is not taken for a slow case. `_HANGS_S` is wall time."""
_HANGS_S: Final = 30
_EDGES: Final = (0, 1, -1, 2, 127, 128, 255, 2**15, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63))
_GRID: Final = TileGrid.over((-74.05, 40.68, -73.9, 40.9))


def _messages() -> tuple[bytes, ...]:
    """A message of each topic, as its sender writes it."""
    state = CityState(city="grid", epoch="e", batch=7, now_ms=NOW_MS)
    common: dict[str, Any] = {"batch": 1, "at_ms": NOW_MS}
    made: list[m.Message] = [
        m.Fix(driver=1, at_ms=NOW_MS, lng=-73.98, lat=40.75, heading=29, speed=4.5),
        m.GoOnline(command_id="c", driver=1),
        m.RequestRide(command_id="r", ride="r1", rider="x", pickup=(-73.98, 40.75), dropoff=(-73.97, 40.76)),
        m.EpochStarted(**common, epoch="0" * 16, city="grid", reason="birth"),
        m.DriverCameOnline(**common, driver=1, command_id="c"),
        m.BatchClosed(**common, count=3, commands_offset=1, locations_offset=1),
    ]
    return (
        *(codec.encode(one) for one in made),
        *(one.value or b"" for one in snapshots.pack(state, NewestFixes(), 5)),
    )


MESSAGES: Final = _messages()


# --- a case ------------------------------------------------------------------------------------------


class Case:
    """A random log, determined by a number."""

    def __init__(self, number: int) -> None:
        self._rng = rng = random.Random(number)
        self.first = rng.randrange(1, 4)
        span = rng.choice((1, 1, 2, 5, 9))
        self.after = self.first + span
        odd = self._odd(span)
        parts = [good(0, self.first), odd, good(self.after, 2), good(self.after + 2, 1)]
        self.segment = Segment(parts, rng.choice((1, 1, 2, 9)))
        self.segment.end = self.after + 3
        self.is_damaged = rng.random() < 0.3
        if self.is_damaged:
            start = len(parts[0])
            for _ in range(rng.choice((1, 1, 8))):
                at = start + rng.randrange(min(len(odd), rng.choice((12, 61, 10**6))))
                self.segment.data[at] ^= rng.randrange(1, 256)
        self.offset = rng.choice((0, 0, 0, self.first, self.first + rng.randrange(span)))
        self.bytes_max = rng.choice((1, 100, 1 << 20, 1 << 20))

    def _odd(self, span: int) -> bytes:
        rng = self._rng
        payload = self._payload(span)
        compression = rng.choice((0, 0, 0, 1, 2, 3, 4, 5, 6, 7))
        compressed = COMPRESS[compression](payload) if compression in COMPRESS else payload
        is_mutated = rng.random() < 0.3
        if is_mutated:
            compressed = self._mutated(compressed)
        flags = rng.choice((APPEND_TIME, APPEND_TIME, 0, TRANSACTIONAL, TRANSACTIONAL | CONTROL, -1))
        if flags < 0:
            flags = rng.randrange(-(2**15), 2**15) & ~7
        size = rng.choice((span, span, span, rng.choice(_EDGES[:10]), rng.randrange(20)))
        # A mutated payload may be empty, and then only a count other than 0 is wrong.
        holds = size != 0 or (bool(payload) and not is_mutated)
        self.holds_something = holds and not flags & CONTROL
        made = batch(
            self.first,
            payload,
            compressed=compressed,
            compression=compression,
            flags=flags,
            size=size,
            last_delta=span - 1,
            first_ms=rng.choice((NOW_MS, NOW_MS, rng.choice(_EDGES))),
            greatest_ms=rng.choice((NOW_MS, NOW_MS, rng.choice(_EDGES))),
            producer=rng.choice(((-1, -1, -1), (7, 0, 0), (2**63 - 1, -(2**15), 2**31 - 1))),
        )
        if rng.random() < 0.2:  # what the checksum covers, but for the last offset: a broker sets that
            spoilt = bytearray(made)
            for at in rng.sample(range(27, len(made)), min(3, len(made) - 27)):
                spoilt[at] = rng.randrange(256)
            struct.pack_into(">I", spoilt, CRC_AT, calc_crc32c(bytes(spoilt[ATTRIBUTES_AT:])))
            made = bytes(spoilt)
        return made

    def _payload(self, span: int) -> bytes:
        rng, kind = self._rng, self._rng.random()
        if kind < 0.1:
            return rng.randbytes(rng.randrange(300))
        if kind < 0.13:
            return bytes(rng.choice((10, 1_000) * 15 + (40 << 20,)))
        if kind < 0.2:
            return b"".join(varint(rng.choice(_EDGES)) for _ in range(rng.randrange(40)))
        made = b"".join(self._record(delta) for delta in range(span))
        return self._mutated(made) if kind < 0.6 else made

    def _record(self, delta: int) -> bytes:
        rng = self._rng

        def odd(usual: int, share: float = 0.1) -> int:
            return rng.choice((*_EDGES, usual - 1, usual + 1)) if rng.random() < share else usual

        names = (b"traceparent", b"h", b"", b"\xff\xfe", None)
        headers = [
            (rng.choice(names), rng.choice((b"x", b"", None))) for _ in range(rng.choice((0, 0, 1, 3)))
        ]
        value = rng.choice((*MESSAGES, b"", None, rng.randbytes(9)))
        return record(
            odd(delta),
            self._mutated(value) if value and rng.random() < 0.3 else value,
            key=rng.choice((None, b"", b"key", b"grid/1/0")),
            headers=headers,
            delta_ms=odd(0),
            header_count=odd(len(headers), 0.05),
            tail=rng.choice((b"",) * 9 + (b"\0",)),
            size=odd(0) if rng.random() < 0.05 else None,
        )

    def _mutated(self, data: bytes) -> bytes:
        """The data with some bytes changed, removed, inserted or repeated."""
        rng, spoilt = self._rng, bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 6))):
            at = rng.randrange(len(spoilt) + 1)
            kind = rng.randrange(5)
            if kind == 0 and spoilt:
                spoilt[at % len(spoilt)] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del spoilt[at : at + rng.choice((1, 1, 4, 50))]
            elif kind == 2:
                spoilt[at:at] = rng.randbytes(rng.choice((1, 2, 9)))
            elif kind == 3:
                spoilt[at:at] = varint(rng.choice(_EDGES))
            else:
                spoilt[at:at] = spoilt[at : at + 30]
        return bytes(spoilt)


def run(number: int) -> None:
    """Run one case. Raises an exception if it fails."""
    case = Case(number)
    began_s = time.process_time()
    records = read_all(case.segment, case.offset, case.bytes_max)
    in_order(records, case.offset, case.segment.end)
    if not case.is_damaged:
        read = {one.offset: one.value for one in records if not isinstance(one, Damaged)}
        for offset in (*range(case.offset, case.first), *range(case.after, case.segment.end)):
            assert read.get(offset) == b"%d" % offset, f"offset {offset} was lost"
        if case.holds_something and case.offset <= case.first:
            assert any(case.first <= one.offset < case.after for one in records), "passed over silently"
    for consume in CONSUMERS:
        consume(records)
    took_s = time.process_time() - began_s
    assert took_s < _CASE_S, f"it took {took_s:.1f} s of CPU time"


# --- consumers ---------------------------------------------------------------------------------------


def _dead_letters(records: list[Record]) -> None:
    for one in records:
        digest(one)
        tracing.parse(one.headers)
        for topic in (
            topics.COMMANDS,
            topics.LOCATIONS,
            topics.EVENTS,
            topics.SNAPSHOTS,
            topics.DEAD_LETTERS,
        ):
            try:
                codec.decode(topic, one)
            except codec.DecodeError as error:
                letter = dead_letter(error, 0, "fuzz")
                codec.decode(topics.DEAD_LETTERS, Record(0, 0, letter.key, letter.value))


def _positions(records: list[Record]) -> None:
    read = read_fixes(records)
    NewestFixes().fold(read.fixes)
    assert len(read.fixes.driver) + len(read.unreadable) == len(records)


def _events(records: list[Record]) -> None:
    whole = WholeBatches()
    for closed in whole.feed(records):
        assert closed.events
    for one in records:
        parse(one.offset, one.value)


def _gateway(records: list[Record]) -> None:
    city_view = CityView(CityState(), loc=0, ev=0, span=Span(60_000, 120_000), grid=_GRID)
    city_view.fold_positions(records)
    try:
        city_view.fold_events(records)
    except CityViewBrokenError:
        return  # a well-formed batch that does not belong there
    city_view.close()


def _oracle(records: list[Record]) -> None:
    city = OracleCity(0)
    end = records[-1].next_offset if records else 0
    city.feed_positions(records, end)
    try:
        city.feed_events(records, end)
    except BrokenLogError:
        return


def _snapshots(records: list[Record]) -> None:
    for stored in snapshots._grouped(records, lambda _: True, None):  # noqa: SLF001
        stored.load()


CONSUMERS: Final[tuple[Callable[[list[Record]], None], ...]] = (
    _dead_letters,
    _positions,
    _events,
    _gateway,
    _oracle,
    _snapshots,
)


# --- processes ---------------------------------------------------------------------------------------


def _run_some(first: int, count: int, at: memoryview) -> int:
    """Run cases in a child process and return how many failed.

    `at` is shared: the number of the current case.
    """
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    failed = 0
    for number in range(first, first + count):
        struct.pack_into("q", at, 0, number)
        signal.alarm(_HANGS_S)  # ends this process
        try:
            run(number)
        except Exception:  # noqa: BLE001 - a finding
            failed += 1
            print(f"FAILED --case {number}\n{traceback.format_exc(limit=-4)}", flush=True)
    return min(failed, 100)


def fuzz(first: int, until_s: float, at_once: int = _AT_ONCE) -> tuple[int, int]:
    """Run cases from this number on. Returns how many were run and how many failed."""
    shared = shared_memory.SharedMemory(create=True, size=8)
    at = shared.buf
    assert at is not None
    ran = failed = 0
    try:
        while time.monotonic() < until_s:
            child = os.fork()
            if child == 0:
                code = 101
                try:
                    code = _run_some(first + ran, at_once, at)
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            if 0 <= code <= 100:
                ran, failed = ran + at_once, failed + code
                continue
            (number,) = struct.unpack_from("q", at)
            print(f"FAILED --case {number}: its process ended with {code}", flush=True)
            ran, failed = number - first + 1, failed + 1
    finally:
        del at
        shared.close()
        shared.unlink()
    return ran, failed


def main() -> int:
    """Run until the time is over. Returns 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--case", type=int, default=None, help="run this one alone")
    options = parser.parse_args()
    if options.case is not None:
        run(options.case)
        return 0
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    ran, failed = fuzz(seed * 10**9, time.monotonic() + 60 * options.minutes)
    print(f"seed {seed}: {ran} cases, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    sys.exit(main())
