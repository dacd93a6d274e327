# SPDX-License-Identifier: Apache-2.0
"""Every message on every topic. JSON with a `type` tag on the log; these structs define it.

The schema evolves by addition only: a new field has a default, a new type is a new struct, nothing is
renamed or removed (docs/messages.md). Unknown fields are ignored, unknown types go to the dead letters.

Units: `*_ms` epoch milliseconds, `*_s` seconds, places are (longitude, latitude) in degrees.
"""

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

Place: TypeAlias = tuple[float, float]
"""(longitude, latitude) in degrees, WGS 84."""
SPEED_MAX: Final = 30
"""A city lives at most this many times as fast as the clock."""
ScenarioName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=40)]
"""As SCENARIO_NAME says: the name of a file of `simulator/scenarios`."""
SCENARIO_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
ScenarioTitle: TypeAlias = Annotated[str, Meta(max_length=80)]
ScenarioSeconds: TypeAlias = Annotated[int, Meta(ge=1, le=86_400)]


class Disc(Struct, frozen=True, gc=False):
    """The places within some metres of a centre."""

    lng: Annotated[float, Meta(ge=-180, le=180)]
    lat: Annotated[float, Meta(ge=-90, le=90)]
    radius_m: Annotated[int, Meta(ge=1, le=100_000)]


class Message(Struct, frozen=True, tag_field="type", tag=True, gc=False, kw_only=True, omit_defaults=True):
    """Base of everything on the log. A default is left out there. `gc=False`: millions, and no cycles."""


# --- taxi.locations: key = driver ------------------------------------------------------------------


class Fix(Message, frozen=True, kw_only=True):
    """One position of one driver, at 1 Hz. Lossy: only the newest matters (taxi/positions/fixes.py).

    The bounds are part of the schema: a position outside them can't be decoded, for every reader alike.
    """

    driver: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    """The number on the medallion."""
    at_ms: Annotated[int, Meta(ge=0, le=2**53)]
    """Device time."""
    lng: Annotated[float, Meta(ge=-180, le=180)]
    lat: Annotated[float, Meta(ge=-90, le=90)]
    heading: Annotated[int, Meta(ge=0, le=360)] = 0
    """Degrees clockwise from north."""
    speed: Annotated[float, Meta(ge=0)] = 0.0
    """Metres a second, of the city's time: what its speedometer shows."""


# --- taxi.commands: key = ride or driver -----------------------------------------------------------


class Command(Message, frozen=True, kw_only=True):
    """What a rider or a driver asks for. `command_id` is made by its sender: a repeat is a repeat."""

    command_id: Annotated[str, Meta(min_length=1, max_length=200)]
    """A restarted sender makes the same ones again."""
    asked_ms: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """When its sender first asked, by the sender's clock. Every repeat carries the same: so a repeat that
    comes when its id is forgotten is known to be old, however young its record is."""


class RequestRide(Command, frozen=True, kw_only=True):
    ride: str
    """Chosen by the sender: 1 … 40 of [A-Za-z0-9_-]."""
    rider: Annotated[str, Meta(max_length=200)]
    pickup: Place
    dropoff: Place


class CancelRide(Command, frozen=True, kw_only=True):
    ride: str
    reason: str = "rider"


class GoOnline(Command, frozen=True, kw_only=True):
    driver: int


class GoOffline(Command, frozen=True, kw_only=True):
    driver: int


class AnswerOffer(Command, frozen=True, kw_only=True):
    """Yes or no to an offer. A no within 5 s of a `RideReassigned` refuses that order."""

    driver: int
    ride: str
    attempt: int
    accept: bool


class ReportProgress(Command, frozen=True, kw_only=True):
    driver: int
    ride: str
    attempt: int
    stage: str
    """`arrived` (at the pickup), `picked_up`, `dropped_off`, `no_show` (the rider never came)."""


class StartScenario(Command, frozen=True, kw_only=True):
    """Something out of the ordinary begins in the city: rain, a strike. What it does is the simulator's."""

    scenario: ScenarioName
    title: ScenarioTitle
    """For people."""
    lasts_s: ScenarioSeconds
    """City time. Then it ends by itself."""
    area: Disc | None = None
    """Where; none: everywhere."""


class StopScenario(Command, frozen=True, kw_only=True):
    """It ends before its time."""

    scenario: ScenarioName


AnyCommand: TypeAlias = (
    RequestRide
    | CancelRide
    | GoOnline
    | GoOffline
    | AnswerOffer
    | ReportProgress
    | StartScenario
    | StopScenario
)


# --- taxi.events: key = ride, driver or city -------------------------------------------------------


class Event(Message, frozen=True, kw_only=True):
    """A fact that the dispatcher decided. `batch` numbers its transaction, `at_ms` is log time."""

    batch: int
    """Of the transaction; each is greater by one than the one before."""
    at_ms: int
    """Log time: the same for the whole batch, and never less than in the one before."""
    command_id: str | None = None
    """The command that this answers, where there is one."""


class EpochStarted(Event, frozen=True, kw_only=True):
    """The log was born, or an input log was found re-created: every cursor of another epoch is void."""

    epoch: str
    city: str
    reason: str = "birth"
    """`birth`; `commands_recreated`, `locations_recreated`, `inputs_recreated` (both); `events_lost`: the
    facts so far are gone."""


class PolicyActivated(Event, frozen=True, kw_only=True):
    policy: str
    parameters: dict[str, float | int | str | bool]
    seed: int
    data_digest: str
    code_digest: str
    speed: Annotated[int, Meta(ge=1, le=SPEED_MAX)] = 1
    """How many times as fast as log time the people of the city live from here on (`taxi.city_time`).
    While log time is 0, this waits for the first batch with another time."""


class DriverCameOnline(Event, frozen=True, kw_only=True):
    driver: int


class DriverWentOffline(Event, frozen=True, kw_only=True):
    driver: int


class DriverLost(Event, frozen=True, kw_only=True):
    """No position for 15 s of log time."""

    driver: int


class DriverFound(Event, frozen=True, kw_only=True):
    driver: int


class RideRequested(Event, frozen=True, kw_only=True):
    ride: str
    rider: str
    pickup: Place
    dropoff: Place


class Candidate(Struct, frozen=True, gc=False):
    """A driver who was considered for an offer."""

    driver: int
    eta_s: int
    cost: int


class RideOffered(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int
    """Counts the offers of this ride, from 1. Answers and reports carry it, so that a stale one is known."""
    eta_s: int
    expires_ms: int
    candidates: tuple[Candidate, ...] = ()
    """Why: the best few, cheapest first."""
    runner_up: int | None = None
    """The cheapest candidate who was not chosen."""
    market_rides: int = 0
    """Rides that were matched together in this batch…"""
    market_drivers: int = 0
    """…with so many drivers."""


class OfferDeclined(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int


class OfferExpired(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int


class RideAssigned(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int
    eta_s: int


class RideReassigned(Event, frozen=True, kw_only=True):
    """An order that holds from its commit: another driver comes. No offer precedes it.

    One move of a chain, in which each ride takes the driver of the next. All `moves` of a chain stand in
    one batch: half of one is a driver on two rides. Until 5 s later the driver may refuse by `AnswerOffer`;
    then this ride alone is released.
    """

    ride: str
    driver: int
    attempt: int
    """Counts offers and orders of this ride together."""
    eta_s: int
    from_driver: int | None = None
    """Who came before; none where the ride was waiting."""
    chain: int = 0
    """Numbers the chains of this batch, from 1."""
    moves: int = 1
    """How many `RideReassigned` this chain has."""
    saves_s: int = 0
    """Why: how much sooner the chain's rides that had a driver are fetched, summed, in seconds of driving.
    Less than 0 where they give way to one that waited: its own gain is not in it."""
    candidates: tuple[Candidate, ...] = ()
    """The best few for this ride, cheapest first."""
    runner_up: int | None = None


class DriverRepositioned(Event, frozen=True, kw_only=True):
    """An idle driver is asked to drive to where riders are expected; may be given a ride on the way."""

    driver: int
    to: Place
    eta_s: int
    until_ms: int
    """Log time from which this counts as done, whatever the driver did."""
    zone: int = 0
    """The zone of the policy that lacked drivers."""


class RideReleased(Event, frozen=True, kw_only=True):
    """The driver did not make it to the pickup: the ride waits again, with its original age."""

    ride: str
    driver: int
    attempt: int
    reason: str
    """`driver_lost`, `overdue`, `refused` (a `RideReassigned`)."""


class DriverArrived(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int


class TripStarted(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int


class TripCompleted(Event, frozen=True, kw_only=True):
    ride: str
    driver: int
    attempt: int
    trip_s: int
    trip_m: int = 0
    """Length of the fastest way from pickup to drop-off."""
    fare_cents: int = 0
    """By the tariff in docs/life-of-a-ride.md, from `trip_m` and `trip_s`."""


class RideCancelled(Event, frozen=True, kw_only=True):
    ride: str
    reason: str
    """`rider` or whatever the canceller said, `driver_lost`, `overdue`."""
    driver: int | None = None


class RideNoShow(Event, frozen=True, kw_only=True):
    ride: str
    driver: int


class RideExpired(Event, frozen=True, kw_only=True):
    """No driver was found within the rider's patience."""

    ride: str


class CommandRejected(Event, frozen=True, kw_only=True):
    """`command_id` came too late or made no sense; `reason` says why, `subject` is its ride or driver."""

    reason: str
    subject: str


class InputSkipped(Event, frozen=True, kw_only=True):
    """Retention took input away before it was read."""

    topic: str
    first: int
    next: int


class ClockSetBack(Event, frozen=True, kw_only=True):
    """The broker's clock was set back. Log time goes on: times of the input are shifted from here on.

    Comes before everything that is decided in its batch.
    """

    locations_from: int
    """The first position whose device and append times are shifted."""
    shift_ms: int
    """What is added to each, and to the times of the commands that this batch and later ones read."""


class ScenarioStarted(Event, frozen=True, kw_only=True):
    """From here on the simulator lets the city live by the scenario of this name."""

    scenario: str
    title: str
    lasts_s: ScenarioSeconds
    """City time. Then it ends by itself."""
    area: Disc | None = None
    """Where; none: everywhere."""


class ScenarioEnded(Event, frozen=True, kw_only=True):
    scenario: str
    reason: str = "over"
    """`over`: its time has passed; `stopped`: by a `StopScenario`."""


class BatchClosed(Event, frozen=True, kw_only=True):
    """Ends each batch. It *is* the consumer offset: the cut of the input that the batch was decided from."""

    count: int
    """Events of this batch, this one included."""
    commands_offset: int
    """The next command to read."""
    locations_offset: int
    """The next position to read."""
    commands_digest: str = ""
    """Of the last command read: tells whether the topic was re-created since."""
    locations_digest: str = ""
    previous_producer: int | None = None
    """Kafka has given the dispatcher another producer id: this one wrote the batches before (−1: they were
    written outside of a transaction). Only in the first batch under the new id."""
    behind: bool = False
    """Commands on the log were left for the next batch. Time limits of rides were judged as of the append
    time of the last command read, so that none overtakes a command that was given in time."""
    commands_alone: bool = False
    """No position had come for a while: commands alone moved log time."""
    shift_ms: int = 0
    """What is added to the times of the input to get log time, as of the last position read."""


AnyEvent: TypeAlias = (
    EpochStarted
    | PolicyActivated
    | DriverCameOnline
    | DriverWentOffline
    | DriverLost
    | DriverFound
    | RideRequested
    | RideOffered
    | OfferDeclined
    | OfferExpired
    | RideAssigned
    | RideReassigned
    | DriverRepositioned
    | RideReleased
    | DriverArrived
    | TripStarted
    | TripCompleted
    | RideCancelled
    | RideNoShow
    | RideExpired
    | CommandRejected
    | InputSkipped
    | ClockSetBack
    | ScenarioStarted
    | ScenarioEnded
    | BatchClosed
)


# --- taxi.snapshots: key = city/slot/part ----------------------------------------------------------


class SnapshotPart(Message, frozen=True, kw_only=True):
    """A piece of a city's state as of `batch`. A snapshot is whole when all `parts` are there and match."""

    city: str
    batch: int
    at_ms: int
    events_offset: int
    """The offset after the `BatchClosed` that the state ends with: the `ev` of a cursor."""
    part: int
    parts: int
    digest: str
    """BLAKE2b-128, hex, over the joined body."""
    body: str
    """A piece of the base64 of the deflated JSON of state and newest positions (taxi/state/snapshots.py)."""


# --- taxi.dead-letters: key = source ---------------------------------------------------------------


class DeadLetter(Message, frozen=True, kw_only=True):
    """A message that could not be read, why, and where it came from."""

    topic: str
    partition: int
    offset: int
    reason: str
    found_by: str
    key: str
    value: str
    """Base64 of the raw bytes, at most 16 KiB of them."""
    next: int = 0
    """Where reading went on, if that is not the offset after `offset`: no record of the range could be read,
    or counts. `key` and `value` are then those of its first record."""


# --- taxi.verdicts: key = verifier ------------------------------------------------------------------


class CheckedGateway(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest update of one gateway that a verifier has compared with the log."""

    gateway: str
    loc: int
    """With `ev`: the cursor of the update."""
    ev: int
    cut_ms: int
    """Its cut time, in log time."""
    checked: int
    """Updates of this gateway that were compared since the verifier follows it."""
    wrong: int = 0
    """How many of them were not as the log says."""
    rule: str = ""
    """What is wrong with the newest: a rule of docs/load-test.md. Empty: nothing."""
    text: str = ""
    """The same for people."""


class Verdict(Message, frozen=True, kw_only=True):
    """What a verifier knows of each gateway. Once a second; each replaces the one before."""

    verifier: str
    at_ms: int
    """By the verifier's clock."""
    gateways: list[CheckedGateway]
    """Ascending by name. A gateway that it can't reach, or has not compared yet, is missing."""


def tag_of(message: Message) -> str:
    """The `type` of a message, as it is on the log."""
    return type(message).__name__


def subject_of(command: AnyCommand) -> str:
    """The driver, ride or scenario that a command is about: its key on the log."""
    match command:
        case GoOnline() | GoOffline():
            return str(command.driver)
        case StartScenario() | StopScenario():
            return command.scenario
        case _:
            return command.ride
