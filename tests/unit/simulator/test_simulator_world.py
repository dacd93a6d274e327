# SPDX-License-Identifier: Apache-2.0
"""People do what the log says, in the order in which things happen, and go on after a restart."""

import msgspec
import numpy as np

from simulator.settings import CityBehavior
from simulator.streets import Spots, Streets
from simulator.world import RideStage, World
from taxi.messages import (
    AnyCommand,
    CancelRide,
    DriverArrived,
    GoOffline,
    GoOnline,
    ReportProgress,
    RequestRide,
    RideCancelled,
    RideRequested,
    TripCompleted,
    TripStarted,
)
from taxi.messages.states import RideState
from testing.simulator_obliging import Obliging
from testing.simulator_worlds import QUICK, START_MS, world_of


def live(
    world: World, dispatcher: Obliging, from_ms: int, seconds: float, *, offers: bool = True
) -> list[AnyCommand]:
    """Run world and dispatcher together, a batch a second; what was said."""
    said: list[AnyCommand] = []
    waiting: list[AnyCommand] = []
    for tick in range(int(seconds * 10)):
        now_ms = from_ms + tick * 100
        world.tick(tick, now_ms)
        waiting += world.take_commands()
        if tick % 10 == 9:
            said += waiting
            world.hear(dispatcher.decide(waiting, now_ms, offers=offers), now_ms)
            waiting = []
    return said


def test_everybody_comes_online_within_two_seconds_and_not_at_once(grid: Streets) -> None:
    world = world_of(grid, 400, rate_per_s=0)
    counts = []
    for tick in range(30):
        world.tick(tick, START_MS + tick * 100)
        counts.append(len(world.take_commands()))
    assert sum(counts) == 400
    assert max(counts) <= 400 // 20 + 1
    assert not any(counts[22:])


def test_rides_are_driven_to_their_end(grid: Streets) -> None:
    world, dispatcher = world_of(grid, rate_per_s=0.03), Obliging()
    live(world, dispatcher, START_MS, 1500)
    assert world.missing == 0
    assert dispatcher.state.totals.completed >= 20
    asked = [e for e in dispatcher.history if isinstance(e, RideRequested)]
    done = {e.ride for e in dispatcher.history if isinstance(e, TripCompleted)}
    assert {e.ride for e in asked if e.at_ms < START_MS + 900_000} <= done


def test_a_ride_takes_about_the_time_of_its_way(manhattan: Streets) -> None:
    world, dispatcher = world_of(manhattan, 40, rate_per_s=0.05), Obliging()
    live(world, dispatcher, START_MS, 1800)
    roads, history = manhattan.roads, dispatcher.history
    asked = {event.ride: event for event in history if isinstance(event, RideRequested)}
    began_ms = {event.ride: event.at_ms for event in history if isinstance(event, TripStarted)}
    ended_ms = {event.ride: event.at_ms for event in history if isinstance(event, TripCompleted)}
    assert len(ended_ms) >= 10
    for ride, at_ms in ended_ms.items():
        origin, target = roads.nearest_nodes([asked[ride].pickup, asked[ride].dropoff])[0]
        expected_s = int(roads.travel_time_s(origin, target))
        taken_s = (at_ms - began_ms[ride]) / 1000 - 2  # alighting, and half a batch
        assert abs(taken_s - expected_s) <= 0.15 * expected_s + 12


def test_one_seed_says_the_same(grid: Streets) -> None:
    said = [live(world_of(grid, seed=seed), Obliging(), START_MS, 120) for seed in (1, 1, 2)]
    assert msgspec.json.encode(said[0]) == msgspec.json.encode(said[1])
    assert msgspec.json.encode(said[0]) != msgspec.json.encode(said[2])


def test_reports_come_in_order_however_long_the_dispatcher_is_away(grid: Streets) -> None:
    world, dispatcher = world_of(grid, 4), Obliging()
    live(world, dispatcher, START_MS, 60)
    busy = [r.ride for r in dispatcher.rides(RideState.ASSIGNED, RideState.ARRIVED, RideState.ON_TRIP)]
    assert busy
    unanswered: list[AnyCommand] = []
    for tick in range(9000):  # a quarter of an hour: every ride at hand is over by then
        world.tick(tick, START_MS + 60_000 + tick * 100)
        unanswered += [c for c in world.take_commands() if isinstance(c, ReportProgress)]
    assert 1 <= len({c.command_id for c in unanswered}) <= 4  # each driver waits at the first report
    now_ms = START_MS + 960_000
    for _ in range(4):
        world.hear(dispatcher.decide(unanswered, now_ms, offers=False), now_ms)
        unanswered = [c for c in world.take_commands() if isinstance(c, ReportProgress)]
    assert all(dispatcher.state.rides[ride].state is RideState.COMPLETED for ride in busy)


def test_a_cancelled_ride_leaves_its_driver_free(grid: Streets) -> None:
    world, dispatcher = world_of(grid, 4), Obliging()
    live(world, dispatcher, START_MS, 60)
    ride = dispatcher.rides(RideState.ASSIGNED, RideState.ARRIVED)[0]
    assert ride.driver is not None
    cancel = CancelRide(command_id="browser", ride=ride.ride)
    now_ms = START_MS + 60_000
    world.hear(dispatcher.decide([cancel], now_ms, offers=False), now_ms)
    assert dispatcher.state.ride_of(ride.driver) is None
    later = live(world, dispatcher, now_ms, 300, offers=False)
    assert not [c for c in later if isinstance(c, ReportProgress) and c.ride == ride.ride]


def test_impatient_riders_cancel_only_while_no_taxi_is_at_the_door(grid: Streets) -> None:
    behavior = msgspec.structs.replace(QUICK, impatient_share=1.0, patience_s=(20.0, 30.0))
    world, dispatcher = world_of(grid, 3, rate_per_s=0.2, behavior=behavior), Obliging()
    said = live(world, dispatcher, START_MS, 600)
    cancels = [c.ride for c in said if isinstance(c, CancelRide)]
    arrived = {e.ride for e in dispatcher.history if isinstance(e, DriverArrived)}
    assert dispatcher.state.totals.cancelled > 10
    assert dispatcher.state.totals.completed > 0
    assert {e.reason for e in dispatcher.history if isinstance(e, RideCancelled)} == {"rider"}
    assert not arrived & set(cancels)
    assert len(cancels) == len(set(cancels))


def test_a_rider_who_never_comes_is_waited_for_and_reported(grid: Streets) -> None:
    behavior = msgspec.structs.replace(QUICK, no_show_share=1.0, no_show_s=60.0)
    world, dispatcher = world_of(grid, behavior=behavior), Obliging()
    live(world, dispatcher, START_MS, 600)
    assert dispatcher.state.totals.no_show > 5
    for ride in dispatcher.rides(RideState.NO_SHOW):
        assert 59 <= (ride.ended_ms - ride.arrived_ms) / 1000 <= 63


def test_drivers_take_breaks_and_come_back(grid: Streets) -> None:
    behavior = msgspec.structs.replace(QUICK, break_share=1.0, hour_s=600.0, break_s=(60.0, 120.0))
    world, dispatcher = world_of(grid, rate_per_s=0.01, behavior=behavior), Obliging()
    begin_ms = START_MS // 600_000 * 600_000
    said = live(world, dispatcher, begin_ms, 1200)
    assert len([c for c in said if isinstance(c, GoOffline)]) >= 20
    assert len([c for c in said if isinstance(c, GoOnline)]) >= 30
    names = [c.command_id for c in said]
    assert len(names) == len(set(names))


def test_a_driver_that_is_offline_does_not_move(grid: Streets) -> None:
    world = world_of(grid, rate_per_s=0)
    before = world.fleet.see(np.arange(12)).points
    for tick in range(600):
        world.tick(tick, START_MS + tick * 100)
    away_m = grid.roads.plane.metres(world.fleet.see(np.arange(12)).points) - grid.roads.plane.metres(before)
    assert np.hypot(*away_m.T).max() < 8  # to the kerb


def restarted(world: World, dispatcher: Obliging, streets: Streets, now_ms: int) -> World:
    """What recovery makes of the newest fixes and the state of the log."""
    sight = world.fleet.see(np.arange(len(world.fleet)))
    spots = streets.locate(sight.points.round(6), sight.heading.round())
    return world_of(streets, state=dispatcher.state, spots=Spots(*spots), now_ms=now_ms)


def test_a_restarted_world_goes_on_where_it_was(grid: Streets) -> None:
    world, dispatcher = world_of(grid), Obliging()
    live(world, dispatcher, START_MS, 200)
    now_ms = START_MS + 200_000
    again = restarted(world, dispatcher, grid, now_ms)
    plane, rows = grid.roads.plane, np.arange(12)
    before = plane.metres(world.fleet.see(rows).points)
    for tick in range(10):
        again.tick(tick, now_ms + 1000 + tick * 100)
    after = plane.metres(again.fleet.see(rows).points)
    assert np.hypot(*(after - before).T).max() < 30
    live(again, dispatcher, now_ms, 600)
    assert all(
        ride.state is RideState.COMPLETED
        for ride in dispatcher.rides(*RideState)
        if ride.requested_ms < now_ms
    )


def test_a_restarted_world_says_what_the_dead_one_would_have_said(grid: Streets) -> None:
    world, dispatcher = world_of(grid), Obliging()
    live(world, dispatcher, START_MS, 100)
    now_ms = START_MS + 100_000
    again = restarted(world, dispatcher, grid, now_ms)
    ids: list[set[str]] = []
    for one in (world, again):
        commands = []
        for tick in range(1, 300):
            one.tick(tick, now_ms + tick * 100)
            commands += one.take_commands()
        ids.append({c.command_id for c in commands})
    assert len(ids[0]) >= 5
    assert len(ids[0] & ids[1]) >= 0.8 * len(ids[0] | ids[1])  # but for reports that a few metres move
    rides = [{name for name in names if name.endswith(":request")} for names in ids]
    assert rides[0] <= rides[1]  # the look-back repeats some that the log does not know yet


def test_a_world_that_slept_wakes_without_a_flood(grid: Streets) -> None:
    world, dispatcher = world_of(grid, rate_per_s=2.0), Obliging()
    live(world, dispatcher, START_MS, 60)
    world.take_commands()
    world.tick(0, START_MS + 660_000)
    requests = [c for c in world.take_commands() if isinstance(c, RequestRide)]
    assert len(requests) < 2.0 * CityBehavior().look_back_s * 2


def test_a_report_of_the_dead_that_arrives_after_the_restart_moves_the_driver_on(grid: Streets) -> None:
    world, dispatcher = world_of(grid, 4), Obliging()
    live(world, dispatcher, START_MS, 60)
    ride = dispatcher.rides(RideState.ASSIGNED)[0]
    assert ride.driver is not None
    now_ms = START_MS + 60_000
    again = restarted(world, dispatcher, grid, now_ms)
    for stage in ("arrived", "picked_up"):
        report = ReportProgress(
            command_id=f"{ride.driver}:{ride.ride}:{ride.attempt}:{stage}",
            driver=ride.driver,
            ride=ride.ride,
            attempt=ride.attempt,
            stage=stage,
        )
        again.hear(dispatcher.decide([report], now_ms, offers=False), now_ms)
    job = again.job_of(ride.driver)
    assert job is not None
    assert job.stage is RideStage.TO_DROPOFF
    live(again, dispatcher, now_ms, 600, offers=False)
    assert ride.state is RideState.COMPLETED
