# SPDX-License-Identifier: Apache-2.0
"""The city view's rows at their edges: when they come, when they go, and from where a diff may be cut."""

import itertools
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest

import gateway.updates.drivers
from gateway.updates.city_view import CityView, CityViewBrokenError, Span
from gateway.updates.drivers import SKEW_MS
from gateway.updates.grid import TileGrid
from gateway.updates.succession import Succession, succession
from gateway.updates.window import Clock, Window
from taxi import messages as m
from taxi.bus import Record
from taxi.client.decode import decode_update
from taxi.client.replica import Replica
from taxi.client.rows import DriverRow, StreamError
from taxi.cursor import Cursor
from taxi.messages import codec
from taxi.positions.columns import read_fixes
from taxi.state import CityState

EPOCH = "0123456789abcdef"
T0 = 1_750_000_000_000
SPAN = Span(expiry_ms=60_000, resume_ms=120_000)
GRID = TileGrid.over((-74.02, 40.70, -73.92, 40.87))


def fix(offset: int, append_ms: int, driver: int = 1, *, at_ms: int | None = None, **fields: float) -> Record:
    at_ms = append_ms if at_ms is None else at_ms
    body = {"driver": driver, "at_ms": at_ms, "lng": -73.98, "lat": 40.75, **fields}
    return Record(offset, append_ms, None, codec.encode(m.Fix(**body)))  # type: ignore[arg-type]


def batch(number: int, offset: int, at_ms: int, *events: m.AnyEvent, read_to: int = 0) -> list[Record]:
    closed = m.BatchClosed(
        batch=number, at_ms=at_ms, count=len(events) + 1, commands_offset=0, locations_offset=read_to
    )
    made = [*events, closed]
    return [Record(offset + index, at_ms, None, codec.encode(event)) for index, event in enumerate(made)]


def birth(at_ms: int = T0, epoch: str = EPOCH, number: int = 1) -> m.EpochStarted:
    return m.EpochStarted(batch=number, at_ms=at_ms, epoch=epoch, city="grid")


def newborn(loc: int = 0, *, unread_ms: int = 0) -> CityView:
    """At the end of a log with one batch; reading of locations began at `loc`."""
    city_view = CityView(CityState(), loc=loc, ev=0, span=SPAN, grid=GRID)
    city_view.fold_events(batch(1, 0, T0, birth()))
    city_view.went_live(unread_ms)
    city_view.close()
    return city_view


def drivers(city_view: CityView) -> dict[int, DriverRow]:
    client = Replica(epoch=EPOCH)
    client.apply(decode_update(city_view.diff(None, None, None)))
    return client.drivers


def at(city_view: CityView, at_ms: int) -> dict[int, DriverRow]:
    """The rows when a batch has brought log time to `at_ms`."""
    city_view.fold_events(batch(city_view.city.batch + 1, city_view.ev, at_ms))
    city_view.close()
    return drivers(city_view)


# --- fixes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_ms", "counts"),
    [(T0, True), (T0 - 5_000, True), (T0 - 5_001, False), (T0 + 1_000, True), (T0 + 1_001, False)],
)
def test_a_fix_counts_by_its_own_two_times_alone(at_ms: int, counts: bool) -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0, at_ms=at_ms)])
    city_view.close()
    assert bool(drivers(city_view)) is counts


def test_the_newest_fix_is_the_same_in_every_order_and_however_often_it_came() -> None:
    records = [
        fix(0, T0, at_ms=T0 - 900),
        fix(1, T0 + 1, at_ms=T0 - 100),
        fix(2, T0 + 2, at_ms=T0 - 100, lat=41),
    ]
    rows = set()
    for order in itertools.permutations(range(3)):
        city_view = newborn()
        for index in (*order, order[0]):
            city_view.drivers.fold(read_fixes([records[index]]).fixes, np.ones(1, bool))
        city_view.loc = 3
        city_view.close()
        rows.add(drivers(city_view)[1])
    assert [(row.at_ms, row.lat_e5) for row in rows] == [(T0 - 100, 4_100_000)]


def test_a_row_lives_for_sixty_seconds_of_log_time_after_its_newest_fix() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0)])
    assert set(at(city_view, T0 + 59_999)) == {1}
    assert set(at(city_view, T0 + 60_000)) == set()


def test_an_older_fix_that_comes_later_does_not_prolong_the_row() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0, at_ms=T0 + 900), fix(1, T0 + 5_000, at_ms=T0 + 100)])
    assert set(at(city_view, T0 + 60_000)) == set()


def test_a_driver_who_was_gone_is_remembered_as_long_as_an_older_fix_may_come() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0, at_ms=T0 + 1_000)])
    assert at(city_view, T0 + 60_001) == {}
    city_view.fold_positions([fix(1, T0 + 5_500, at_ms=T0 + 900)])
    city_view.close()
    assert drivers(city_view) == {}


@pytest.mark.parametrize(
    ("heading", "speed", "shown"),
    [
        (0, 0.0, (0, 0)),
        (359, 0.24, (255, 0)),
        (360, 0.26, (0, 1)),
        (90, 127.4, (64, 255)),
        (1, 1e9, (1, 255)),
    ],
)
def test_heading_and_speed_are_quantised(heading: int, speed: float, shown: tuple[int, int]) -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0, heading=heading, speed=speed)])
    city_view.close()
    assert (drivers(city_view)[1].heading, drivers(city_view)[1].speed) == shown


def test_more_drivers_than_there_was_room_for_at_first() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(n, T0, driver=5_000 - n) for n in range(3_000)])
    city_view.close()
    assert sorted(drivers(city_view)) == list(range(2_001, 5_001))


def test_places_in_memory_are_used_again() -> None:
    city_view = newborn()
    for life in range(20):
        born_ms = T0 + life * 300_000
        city_view.fold_positions(
            [fix(life * 500 + n, born_ms, driver=life * 500 + n + 1) for n in range(500)]
        )
        city_view.close()
    assert city_view.drivers._size <= 1_000
    assert len(drivers(city_view)) == 498  # the first two after so long a silence are not believed


# --- events ---------------------------------------------------------------------------------------------


def test_half_a_batch_is_not_seen() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0)])
    online = m.DriverCameOnline(batch=2, at_ms=T0, driver=1)
    records = batch(2, 2, T0, online)
    city_view.fold_events(records[:1])
    city_view.close()
    assert (city_view.ev, drivers(city_view)[1].status) == (2, 0)
    city_view.fold_events(records[1:])
    city_view.close()
    assert (city_view.ev, drivers(city_view)[1].status) == (4, 1)


def test_a_gap_in_batches_or_an_illegal_event_breaks_the_view() -> None:
    with pytest.raises(CityViewBrokenError):
        newborn().fold_events(batch(3, 2, T0))
    with pytest.raises(CityViewBrokenError):
        newborn().fold_events(batch(2, 2, T0, m.RideExpired(batch=2, at_ms=T0, ride="nobody's")))


def test_another_epoch_breaks_a_view_before_anything_of_it_is_shown() -> None:
    city_view = newborn()
    with pytest.raises(CityViewBrokenError):
        city_view.fold_events(batch(2, 2, T0, birth(epoch="fedcba9876543210", number=2)))
    city_view.close()
    assert city_view.cursor == Cursor(EPOCH, 0, 2)


def test_a_ride_that_ends_in_a_past_long_before_the_cut_is_sent_as_gone() -> None:
    city_view = newborn()
    place = (-73.98, 40.75)
    asked = m.RideRequested(batch=2, at_ms=T0, ride="r", rider="x", pickup=place, dropoff=place)
    city_view.fold_events(batch(2, 2, T0, asked))
    city_view.fold_positions([fix(0, T0 + 400_000)])
    city_view.close()
    client = Replica(epoch=EPOCH)
    client.apply(decode_update(city_view.diff(None, None, None)))
    city_view.fold_events(batch(3, 4, T0 + 100, m.RideExpired(batch=3, at_ms=T0 + 100, ride="r")))
    city_view.close()
    assert client.cursor is not None
    assert city_view.serves(client.cursor)
    cut = decode_update(city_view.diff(client.cursor, None, None))
    assert [name for _, _, name, _ in cut.feed] == ["RideExpired", "BatchClosed"]
    client.apply(cut)
    assert client.rides == {}


def test_a_ride_whose_id_is_used_again_does_not_end_with_the_earlier_one() -> None:
    """A gateway that boots closes no cut between: its rows must be those of one that was there before."""
    city_view = newborn()
    place = (-73.98, 40.75)

    def request(number: int, at_ms: int) -> m.RideRequested:
        about = {"batch": number, "at_ms": at_ms, "pickup": place, "dropoff": place}
        return m.RideRequested(ride="r", rider="x", **about)  # type: ignore[arg-type]

    def expire(number: int, at_ms: int) -> m.RideExpired:
        return m.RideExpired(batch=number, at_ms=at_ms, ride="r")

    later_ms = T0 + 300_000
    city_view.fold_events(batch(2, 2, T0, request(2, T0), expire(2, T0)))
    city_view.fold_events(batch(3, 5, later_ms))
    city_view.fold_events(batch(4, 6, later_ms, request(4, later_ms)))
    city_view.close()
    client = Replica(epoch=EPOCH)
    client.apply(decode_update(city_view.diff(None, None, None)))
    assert client.rides["r"].requested_ms == later_ms
    city_view.fold_events(batch(5, 8, later_ms, expire(5, later_ms)))
    city_view.close()
    assert city_view.rides.held == 1
    city_view.fold_positions([fix(0, later_ms + SPAN.expiry_ms)])
    city_view.close()
    assert city_view.rides.held == 0


def test_a_ride_that_begins_and_ends_in_one_batch_under_a_used_id_has_a_row_that_goes() -> None:
    city_view = newborn()
    place = (-73.98, 40.75)
    for number, offset, at_ms in ((2, 2, T0), (4, 6, T0 + 300_000)):
        about = {"batch": number, "at_ms": at_ms, "ride": "r"}
        asked = m.RideRequested(rider="x", pickup=place, dropoff=place, **about)  # type: ignore[arg-type]
        city_view.fold_events(batch(number, offset, at_ms, asked, m.RideExpired(**about)))  # type: ignore[arg-type]
        city_view.fold_events(batch(number + 1, offset + 3, at_ms + 300_000))
    city_view.close()
    assert city_view.rides.held == 0


def come_and_gone() -> Replica:
    """A client of one tile, after a gateway that folded a driver's visit to it in one go."""
    lng, lat = -73.97, 40.76
    before, visit, back = fix(0, T0), fix(1, T0 + 1_000, lng=lng, lat=lat), fix(2, T0 + 2_000)
    box = (lng, lat, lng, lat)
    client, first, second = Replica(epoch=EPOCH), newborn(), newborn()
    for record in (before, visit):
        first.fold_positions([record])
        first.close()
    client.apply(decode_update(first.diff(None, None, first.area(box))))
    assert set(client.drivers) == {1}
    second.fold_positions([before])
    second.fold_positions([visit, back])
    second.close()
    client.apply(decode_update(second.diff(client.cursor, second.area(box), second.area(box))))
    return client


def test_a_driver_who_visited_a_tile_within_one_fold_leaves_it() -> None:
    assert come_and_gone().drivers == {}


def test_a_fold_that_keeps_the_newest_position_alone_is_noticed() -> None:
    def newest_only(slot: npt.NDArray[np.intp], at_ms: npt.NDArray[np.int64]) -> Succession:
        found = succession(slot, at_ms)
        last = found.chain[found.is_last]
        return Succession(last, np.ones(len(last), np.bool_), np.zeros(len(last), np.bool_))

    replaced = patch.object(gateway.updates.drivers, "succession", newest_only)
    with replaced, pytest.raises(StreamError, match="counts or hash differ"):
        come_and_gone()


# --- the window -----------------------------------------------------------------------------------------


def test_what_was_not_read_may_be_newer_than_what_was_until_it_has_all_expired() -> None:
    """A device ahead of its time: the fix that was not read is the newer one, so no row outlives it."""
    unread, read = fix(0, T0 - 1, at_ms=T0 + 999), fix(1, T0, at_ms=T0 - 4_000)
    late = fix(2, T0 + SKEW_MS - 2, at_ms=T0 + 998)
    knows_all, began_later = newborn(), newborn(loc=1, unread_ms=T0)
    knows_all.fold_positions([unread])
    for city_view in (knows_all, began_later):
        city_view.fold_positions([read, late])
    differ = []
    for at_ms in range(T0 + SKEW_MS, T0 + 70_000, 100):
        same = at(knows_all, at_ms) == at(began_later, at_ms)
        if not same:
            differ.append(at_ms)
            assert not began_later.whole
    assert max(differ) >= T0 + 65_000
    assert began_later.whole


def test_a_diff_is_cut_only_from_where_the_window_was_full() -> None:
    city_view = newborn(loc=10, unread_ms=T0)
    for second in range(1, 200):
        city_view.fold_positions([fix(9 + second, T0 + second * 1_000)])
        city_view.close()
    assert city_view.whole
    full_s = (60_000 + SKEW_MS) // 1_000
    assert not city_view.serves(Cursor(EPOCH, 9 + full_s, city_view.ev))
    horizon = Cursor(EPOCH, 10 + 79, city_view.ev)
    assert city_view.serves(horizon)
    assert not city_view.serves(horizon._replace(loc=horizon.loc - 1))
    assert not city_view.serves(Cursor(EPOCH, city_view.loc + 1, city_view.ev))
    assert not city_view.serves(Cursor("f" * 16, city_view.loc, city_view.ev))


def test_a_batch_that_had_read_it_tells_the_age_of_what_was_not_read() -> None:
    city_view = CityView(CityState(), loc=10, ev=0, span=SPAN, grid=GRID)
    city_view.fold_events(batch(1, 0, T0, birth(), read_to=0))
    assert city_view.covered_ms is None
    city_view.fold_events(batch(2, 2, T0 + 1_000, read_to=10))
    assert city_view.covered_ms == T0 + 1_000


def test_a_batch_that_skipped_it_tells_nothing_of_its_age() -> None:
    city_view = CityView(CityState(), loc=10, ev=0, span=SPAN, grid=GRID)
    city_view.fold_events(batch(1, 0, T0, birth(), read_to=0))
    skipped = m.InputSkipped(batch=2, at_ms=T0 + 1_000, topic="taxi.locations", first=0, next=10)
    city_view.fold_events(batch(2, 2, T0 + 1_000, skipped, read_to=10))
    assert city_view.covered_ms is None
    city_view.fold_events(batch(3, 4, T0 + 2_000, read_to=11))
    assert city_view.covered_ms == T0 + 2_000


def test_a_clock_never_tells_a_time_later_than_it_was() -> None:
    clock = Clock(10, 100)
    clock.note(20, 200)
    clock.note(30, 150)
    assert [clock.at(offset) for offset in (9, 10, 19, 20, 29, 30, 99)] == [0, 100, 100, 200, 200, 200, 200]
    clock.prune_before(200)
    assert [clock.at(offset) for offset in (9, 10, 20)] == [0, 100, 200]
    clock.prune_before(300)
    assert [clock.at(offset) for offset in (20, 29, 30)] == [0, 0, 200]


def test_a_window_takes_the_later_of_both_topics() -> None:
    window = Window(loc=0, ev=0, log_ms=0, full_ms=500, horizon_ms=1_000)
    window.note(10, 600, 10, 100)
    assert window.contains(Cursor(EPOCH, 10, 0), 1_000)
    assert not window.contains(Cursor(EPOCH, 9, 10), 1_000)
    assert not window.contains(Cursor(EPOCH, 10, 0), 1_601)


# --- tiles ----------------------------------------------------------------------------------------------

A, B, OUTSIDE = (-73.999, 40.751), (-73.99, 40.751), (-75.0, 10.0)


def placed(offset: int, place: tuple[float, float], *, driver: int = 1) -> Record:
    return fix(offset, T0 + offset, driver, lng=place[0], lat=place[1])


def box(place: tuple[float, float]) -> tuple[float, float, float, float]:
    return (*place, *place)


def gone(city_view: CityView, since: Cursor, place: tuple[float, float]) -> tuple[int, ...]:
    area = city_view.area(box(place))
    return decode_update(city_view.diff(since, area, area)).gone


def test_a_driver_that_visited_another_tile_within_one_fold_is_sent_as_gone_from_there() -> None:
    city_view = newborn()
    city_view.fold_positions([placed(0, A)])
    city_view.fold_positions([placed(1, B), placed(2, A)])
    city_view.close()
    assert gone(city_view, Cursor(EPOCH, 2, city_view.ev), B) == (1,)
    assert gone(city_view, Cursor(EPOCH, 3, city_view.ev), B) == ()


def test_a_late_fix_from_another_tile_is_no_hop() -> None:
    city_view = newborn()
    city_view.fold_positions([placed(0, A)])
    city_view.fold_positions([placed(1, A), fix(2, T0 + 2, at_ms=T0 - 1, lng=B[0], lat=B[1]), placed(3, A)])
    city_view.close()
    assert gone(city_view, Cursor(EPOCH, 3, city_view.ev), B) == ()


def test_a_driver_between_two_tiles_of_a_view_is_gone_in_one_block_and_set_in_the_next() -> None:
    city_view = newborn()
    city_view.fold_positions([placed(0, A), placed(1, A, driver=2)])
    city_view.close()
    city_view.fold_positions([placed(2, B), placed(3, A, driver=2)])
    city_view.close()
    cut = decode_update(city_view.step(city_view.area((A[0], A[1], B[0], B[1]))))
    assert (cut.blocks, cut.gone) == (2, (1,))
    assert [row.driver for row in cut.drivers] == [1]
    assert [one.driver for one in cut.moved] == [2]
    assert decode_update(city_view.step(None)).gone == ()


def test_tiles_at_the_border_reach_beyond_the_city() -> None:
    city_view = newborn()
    city_view.fold_positions([placed(0, OUTSIDE)])
    city_view.close()
    corner = city_view.area((-74.02, 40.70, -74.02, 40.70))
    assert decode_update(city_view.diff(None, None, corner)).drivers_held == 1
    assert city_view.area((-180, -90, 180, 90)) is None


@pytest.mark.parametrize(
    "box", [(1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0), (float("nan"), 0, 1, 1), (0, 0, float("inf"), 1)]
)
def test_what_is_no_box_shows_no_area(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="west, south, east, north"):
        newborn().area(box)


def test_a_row_that_did_not_change_is_not_in_a_step() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0), fix(1, T0, 2)])
    city_view.close()
    city_view.fold_positions([fix(2, T0), fix(3, T0 + 1_000, 2)])
    city_view.close()
    cut = decode_update(city_view.step(None))
    assert [(one.driver, one.at_by_ms) for one in cut.moved] == [(2, 1_000)]
    assert not cut.drivers
    assert not cut.status


def test_a_status_alone_is_sent_alone() -> None:
    city_view = newborn()
    city_view.fold_positions([fix(0, T0), fix(1, T0, 2)])
    city_view.close()
    city_view.fold_events(batch(2, 2, T0, m.DriverCameOnline(batch=2, at_ms=T0, driver=2)))
    city_view.close()
    cut = decode_update(city_view.step(None))
    assert cut.status == ((2, 1),)
    assert not cut.drivers
    assert not cut.moved
