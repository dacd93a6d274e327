# SPDX-License-Identifier: Apache-2.0
"""Each way in which a cut can lie is found, and named by the rule that it breaks."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.updates.city_view import CityView
from taxi import messages as m
from taxi.messages import codec
from taxistream.tools.loadtest.judge import ReceivedUpdate, Unready, judge
from taxistream.tools.oracle.city import OracleCity
from testing.gateway_log import EPOCH, SOMEWHERE, SPAN, T0, Log, Oracle, advance, booted
from testing.loadtest_observations import city_of, sections, sight, with_header, with_sections

FIRST, LATER = (3, 0), (7, 1)
"""(fixes read, batches read) of the two cuts."""


def written() -> Log:
    """Three drivers; the first falls silent, the second moves on, the third goes into the next tile."""
    log = Log()
    log.batch(T0, [m.EpochStarted(batch=1, at_ms=T0, epoch=EPOCH, city="grid")], 1)
    for driver in (1, 2, 3):
        fix(log, driver, T0, -73.979, 40.751)
    for step in (1, 2, 3, 4):
        at_ms = T0 + 2_500 * step
        fix(log, 2 + step % 2, at_ms, -73.979 + 0.004 * step, 40.751)
    later_ms = T0 + 10_000
    asked = m.RideRequested(
        batch=2, at_ms=later_ms, ride="r1", rider="x", pickup=SOMEWHERE, dropoff=SOMEWHERE
    )
    log.batch(later_ms, [m.DriverCameOnline(batch=2, at_ms=later_ms, driver=2), asked], 1)
    return log


def fix(log: Log, driver: int, at_ms: int, lng: float, lat: float) -> None:
    log.fix(at_ms, codec.encode(m.Fix(driver=driver, at_ms=at_ms, lng=lng, lat=lat)))


@pytest.fixture(scope="module")
def log() -> Log:
    return written()


@pytest.fixture
def city(log: Log) -> OracleCity:
    return city_of(log)


@pytest.fixture
def city_view(log: Log) -> CityView:
    """At the later cut; `previous` is the first."""
    city_view = booted(Oracle(log), 3, log.closed[1][0])
    advance(city_view, log, 7, log.closed[2][0])
    return city_view


@pytest.fixture
def diff(city_view: CityView) -> ReceivedUpdate:
    return sight(city_view, city_view.previous, 0, 0)


@pytest.fixture
def image(city_view: CityView) -> ReceivedUpdate:
    return sight(city_view, None, 0, 0)


def rules(city: OracleCity, sight: ReceivedUpdate, message: bytes) -> set[str]:
    return {rule for rule, _ in judge(city, replace(sight, message=message)).verdicts}


def test_the_truth_breaks_no_rule(
    city: OracleCity, city_view: CityView, diff: ReceivedUpdate, image: ReceivedUpdate
) -> None:
    assert SPAN.expiry_ms == 8_000
    step = sight(city_view, city_view.previous, 0, 0, step=True)
    moved = sight(city_view, city_view.previous, 1, 3)
    for one in (diff, image, step, moved):
        assert judge(city, one).verdicts == []
    assert judge(city, diff).driver_updates == 2


HEADERS: dict[str, dict[str, int]] = {
    "wrong_hash": {"lane_b": 1},
    "wrong_counts": {"drivers_held": 9},
    "wrong_cut_time": {"at_ms": T0},
    "epoch": {"epoch_check": 5},
}


@pytest.mark.parametrize("rule", HEADERS)
def test_a_header_that_lies_is_named(rule: str, city: OracleCity, diff: ReceivedUpdate) -> None:
    assert rules(city, diff, with_header(diff.message, **HEADERS[rule])) == {rule}


def test_a_removal_that_is_not_sent_leaves_a_ghost(city: OracleCity, diff: ReceivedUpdate) -> None:
    drivers, rides, feed = sections(diff.message)
    assert {"ghost_row", "wrong_row"} == rules(city, diff, with_sections(diff.message, b"", rides, feed))
    assert struct.unpack_from("<2I", drivers)[1] == 1


def test_an_image_without_its_drivers_lacks_rows(city: OracleCity, image: ReceivedUpdate) -> None:
    _, rides, feed = sections(image.message)
    assert rules(city, image, with_sections(image.message, b"", rides, feed)) == {"missing_row"}


def block(*rows: tuple[int, int, int, int], gone: tuple[int, ...] = ()) -> bytes:
    """A drivers section of one block: (driver, lng_e5, lat_e5, device time)."""
    columns = list(zip(*sorted(rows), strict=True)) if rows else [()] * 4
    n = len(rows)
    body = struct.pack(f"<{len(gone)}I", *gone)
    body += b"".join(struct.pack(f"<{n}{kind}", *c) for kind, c in zip("IiiI", columns, strict=True))
    body += bytes(3 * n)
    return struct.pack("<6I", 1, len(gone), n, 0, 0, 0) + body + bytes(-len(body) % 4)


def test_a_fix_that_goes_back_is_named(city: OracleCity, diff: ReceivedUpdate) -> None:
    _, rides, feed = sections(diff.message)
    older = block((2, -7_397_900, 4_075_100, T0 - 900), gone=(1,))
    found = rules(city, diff, with_sections(diff.message, older, rides, feed))
    assert found == {"fix_went_back", "wrong_row"}


def test_an_unknown_driver_is_a_ghost(city: OracleCity, diff: ReceivedUpdate) -> None:
    drivers, rides, feed = sections(diff.message)
    n_blocks = struct.unpack_from("<I", drivers)[0]
    stranger = struct.pack("<I", n_blocks + 1) + drivers[4:] + block((77, 0, 0, T0))[4:]
    assert rules(city, diff, with_sections(diff.message, stranger, rides, feed)) == {"ghost_row"}


def test_a_ride_that_is_not_sent_is_named(city: OracleCity, diff: ReceivedUpdate) -> None:
    drivers, _, feed = sections(diff.message)
    assert rules(city, diff, with_sections(diff.message, drivers, b"", feed)) == {"wrong_ride"}


def skipped(feed: list[object]) -> list[object]:
    return feed[1:]


def repeated(feed: list[object]) -> list[object]:
    return [feed[0], *feed]


def shuffled(feed: list[object]) -> list[object]:
    return feed[::-1]


@pytest.mark.parametrize("spoil", [skipped, repeated, shuffled])
def test_a_feed_that_skips_repeats_or_shuffles_is_named(
    spoil: Callable[[list[object]], list[object]], city: OracleCity, diff: ReceivedUpdate
) -> None:
    drivers, rides, feed = sections(diff.message)
    events = spoil(json.loads(feed[4:]))
    lie = struct.pack("<I", len(events)) + json.dumps(events).encode()
    assert rules(city, diff, with_sections(diff.message, drivers, rides, lie)) == {"feed"}


def test_half_a_batch_is_named(city: OracleCity, diff: ReceivedUpdate) -> None:
    half = replace(diff, to=(diff.to[0], diff.to[1] - 1))
    assert [rule for rule, _ in judge(city, half).verdicts] == ["half_batch"]


def test_a_cut_ahead_of_what_was_read_waits(city: OracleCity, diff: ReceivedUpdate) -> None:
    with pytest.raises(Unready):
        judge(city, replace(diff, to=(diff.to[0] + 1, diff.to[1])))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda message: message[:-1],
        lambda message: message + b"\0",
        lambda message: message[:40],
        lambda message: with_header(message, version=2),
        lambda message: with_header(message, zero=1),
        lambda message: with_header(message, flags=4),
        lambda message: message[:84] + b"\xff\xff\xff\xff" + message[88:],
    ],
)
def test_bytes_that_are_no_cut_are_named(
    spoil: Callable[[bytes], bytes], city: OracleCity, diff: ReceivedUpdate
) -> None:
    assert rules(city, diff, spoil(diff.message)) == {"bytes"}


def test_every_flipped_bit_of_a_cut_is_noticed(city: OracleCity, diff: ReceivedUpdate) -> None:
    """But for the generation and where it starts and leads, which each client checks; and staleness."""
    unjudged = {1, 2, 3, *range(16, 48)}
    for at in set(range(len(diff.message))) - unjudged:
        for bit in range(8):
            flipped = bytearray(diff.message)
            flipped[at] ^= 1 << bit
            assert rules(city, diff, bytes(flipped)), (at, bit)
