# SPDX-License-Identifier: Apache-2.0
"""Checks one city's log batch by batch: each is complete, continues the one before, and matches its input."""

import json
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from taxistream.tools.audit.answers import Answers, Asked
from taxistream.tools.audit.clock import LocationsClock, ShiftStart
from taxistream.tools.audit.findings import AuditFindings
from taxistream.tools.audit.life import Life

_WHEN: Final = frozenset({"type", "batch", "at_ms"})
_RIDE: Final = frozenset({"ride"})
_DRIVER: Final = frozenset({"driver"})
_BOTH: Final = _RIDE | _DRIVER
_ATTEMPT: Final = _BOTH | {"attempt"}
FIELDS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("EpochStarted", "CommandRejected"), frozenset()),
    "PolicyActivated": frozenset({"parameters"}),
    "InputSkipped": frozenset({"topic", "next"}),
    "ClockSetBack": frozenset({"locations_from", "shift_ms"}),
    "ScenarioStarted": frozenset({"scenario", "lasts_s"}),
    "ScenarioEnded": frozenset({"scenario"}),
    "BatchClosed": frozenset({"count", "commands_offset", "locations_offset"}),
    **dict.fromkeys(("DriverCameOnline", "DriverWentOffline", "DriverLost", "DriverFound"), _DRIVER),
    "DriverRepositioned": _DRIVER,
    **dict.fromkeys(("RideRequested", "RideCancelled", "RideExpired"), _RIDE),
    "RideNoShow": _BOTH,
    "RideOffered": _ATTEMPT | {"expires_ms"},
    **dict.fromkeys(("OfferDeclined", "OfferExpired", "RideAssigned", "RideReassigned"), _ATTEMPT),
    **dict.fromkeys(("RideReleased", "DriverArrived", "TripStarted", "TripCompleted"), _ATTEMPT),
}
"""Known event types → the fields that the rules use, in addition to those of time."""
_KINDS: Final[dict[str, type]] = {
    **dict.fromkeys(("type", "ride", "reason", "topic", "command_id", "scenario"), str),
    **dict.fromkeys(("batch", "at_ms", "driver", "attempt", "expires_ms", "next", "count"), int),
    **dict.fromkeys(("from_driver", "chain", "moves", "commands_offset", "locations_offset"), int),
    **dict.fromkeys(("locations_from", "shift_ms", "speed", "lasts_s"), int),
    "commands_alone": bool,
    "parameters": dict,
}
"""Field → its type."""
_BEYOND_MS: Final = 5_000
"""By how much commands move log time beyond the positions."""
RECREATED: Final = {
    "commands": frozenset({"commands_recreated", "inputs_recreated"}),
    "locations": frozenset({"locations_recreated", "inputs_recreated"}),
}
"""Input → the reasons of epochs in which its topic was created again."""


class Found(NamedTuple):
    """A record of `taxi.events`."""

    offset: int
    body: dict[str, Any] | None
    """None if it is not an event."""


class InputRange(NamedTuple):
    """The range of an input that a batch read: offsets in [first, next)."""

    first: int
    next: int
    is_new: bool
    """The topic was created again since the batch before."""


class Heard(NamedTuple):
    """What the log still contains of a range."""

    whole: bool
    """Whether all of its records exist undamaged."""
    greatest_ms: int
    """The greatest append time in it."""


@dataclass(frozen=True)
class Closed:
    """A complete batch and the ranges of input that it read, according to its events."""

    events: list[dict[str, Any]]
    commands: InputRange
    locations: InputRange

    @property
    def last(self) -> dict[str, Any]:
        """Its `BatchClosed`."""
        return self.events[-1]


class InputRanges(Protocol):
    """The source of the batches' input."""

    @property
    def clock(self) -> LocationsClock: ...

    async def commands(self, stretch: InputRange) -> tuple[list[Asked], Heard]: ...
    async def locations(self, stretch: InputRange) -> Heard: ...


def parse(offset: int, value: bytes | None) -> Found:
    """Parse an event as plain JSON."""
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return Found(offset, None)
    return Found(offset, body if isinstance(body, dict) and _says_all(body) else None)


def _says_all(body: dict[str, Any]) -> bool:
    """Whether the fields that the rules use exist; of an unknown type only those of time."""
    needed = _WHEN | FIELDS.get(str(body.get("type")), frozenset())
    looked_at = _KINDS if str(body.get("type")) in FIELDS else needed
    return all(
        type(body.get(name)) is _KINDS[name] or (name not in needed and body.get(name) is None)
        for name in looked_at
    )


@dataclass
class Journal:
    """The state of the check of one city's log."""

    findings: AuditFindings
    at_birth: bool
    """Whether the log is read from offset 0."""
    life: Life = field(init=False)
    answers: Answers = field(init=False)
    last: dict[str, Any] | None = None
    _run: list[dict[str, Any]] = field(default_factory=list)
    _head_cut: bool = False
    _is_clock_lost: bool = False
    """Positions were read since, by batches that are missing."""
    _is_damaged: bool = False
    """There are damaged events since the last batch."""

    def __post_init__(self) -> None:
        """Begin without any rides or drivers."""
        self.life, self.answers = Life(self.findings), Answers(self.findings)
        self.life.knows_all = self.at_birth
        self._head_cut = self._is_clock_lost = not self.at_birth

    def feed(self, found: Found) -> Closed | None:
        """Process a record. Returns the batch that it closes, if it does."""
        body = found.body
        if body is None:
            self.findings.blame("unreadable_event", f"at offset {found.offset}")
            return None
        self._run.append(body)
        if body["type"] != "BatchClosed":
            return None
        run, self._run = self._run, []
        return self._close(run)

    def miss(self, count: int) -> None:
        """Record that `count` records are damaged on disk.

        The next batch shows whether the city lacks them.
        """
        self.findings.damaged_events += count
        self._is_damaged = True

    def _begin_in_the_middle(self) -> None:
        """Continue as if retention had deleted everything before, because events are missing."""
        self.findings.open_rides -= len(self.life.rides)
        known = self.life.deadlines
        self.life, self.answers = Life(self.findings), Answers(self.findings)
        self.life.deadlines.limits, self.life.deadlines.time = known.limits, known.time
        self.life.knows_all = self.at_birth = False
        self.last, self._head_cut, self._is_clock_lost = None, True, True

    async def judge(self, closed: Closed, inputs: InputRanges) -> None:
        """Check a batch against the rules and fold its events."""
        last = closed.last
        self.findings.events += len(closed.events)
        self.findings.batches += 1
        is_in_the_middle = self.last is None and not self.at_birth  # where its input begins is not known
        if is_in_the_middle:
            self.answers.knows_since_ms = last["at_ms"]
        asked, commands_read = await inputs.commands(closed.commands)
        if self._is_clock_lost or _skips_positions(closed.events):
            inputs.clock.begin_in_the_middle((self.last or last).get("shift_ms", 0))
            self._is_clock_lost = False
        before_ms, is_known = inputs.clock.shift_ms, inputs.clock.is_known
        heard = await inputs.locations(closed.locations)
        self._set_backs(closed, before_ms, inputs.clock, whole=heard.whole and is_known)
        shift_ms = inputs.clock.shift_ms
        if not is_known and shift_ms != before_ms:
            heard = heard._replace(whole=False)  # the times of its positions were taken without this shift
        asked = [one._replace(append_ms=min(one.append_ms + shift_ms, last["at_ms"])) for one in asked]
        self._time(last, commands_read, heard, (before_ms, shift_ms))
        for event in closed.events:
            if event["type"] == "EpochStarted" and event.get("reason") == "events_lost":
                self.answers.forget_all()
            if event["type"] in FIELDS:
                self.life.take(event)
            else:
                self.findings.unknown_events += 1
        self.answers.close(closed.events, asked if commands_read.whole and not is_in_the_middle else None)
        self.life.close(last)
        self.last = last

    # --- structure ----------------------------------------------------------------------------------

    def _close(self, run: list[dict[str, Any]]) -> Closed | None:
        closed = run[-1]
        mine = [event for event in run if event["batch"] == closed["batch"]]
        if self._is_damaged:
            self._is_damaged = False
            before = self.last["batch"] if self.last is not None else 0
            if len(mine) != closed["count"] or closed["batch"] != before + 1:
                self._begin_in_the_middle()
                run = mine  # the others belong to batches whose end is damaged
        if self._head_cut:  # retention may delete a part of a batch, so the first one may lack its beginning
            self._head_cut = False
            if len(mine) < closed["count"]:
                self.last = closed
                self.answers.knows_since_ms = closed["at_ms"]
                return None
        self._whole(run, mine, closed)
        self._number(mine, closed)
        return Closed(mine, self._stretch("commands", mine), self._stretch("locations", mine))

    def _whole(self, run: list[dict[str, Any]], mine: list[dict[str, Any]], closed: dict[str, Any]) -> None:
        if len(mine) != len(run):
            others = [event for event in run if event["batch"] != closed["batch"]]
            self.findings.blame("batch_not_whole", f"{len(others)} events of none, as", others[0])
        if len(mine) != closed["count"]:
            text = f"batch {closed['batch']} has {len(mine)} events, and says {closed['count']}"
            self.findings.blame("batch_not_whole", text)
        if any(event["at_ms"] != closed["at_ms"] for event in mine):
            self.findings.blame("log_time", f"batch {closed['batch']} bears more than one time")
        seen: set[str] = set()
        for event in mine:
            text = json.dumps(event, sort_keys=True)
            if text in seen:
                self.findings.blame("event_twice", text)
            seen.add(text)

    def _number(self, mine: list[dict[str, Any]], closed: dict[str, Any]) -> None:
        lost = any(e["type"] == "EpochStarted" and e.get("reason") == "events_lost" for e in mine)
        before = self.last["batch"] if self.last is not None else 0
        if self.last is None and not self.at_birth:
            return
        if closed["batch"] <= before:
            self.findings.blame("event_twice", f"batch {closed['batch']} after batch {before}")
        elif closed["batch"] != before + 1 and not lost:
            self.findings.blame("batch_number", f"{closed['batch']} after {before}")

    def _stretch(self, name: str, mine: list[dict[str, Any]]) -> InputRange:
        """The range of an input that the batch read, according to its events."""
        reasons = {event.get("reason") for event in mine if event["type"] == "EpochStarted"}
        is_new = bool(reasons & RECREATED[name])
        first = self.last[f"{name}_offset"] if self.last is not None and not is_new else 0
        if self.last is None and not self.at_birth:
            first = mine[-1][f"{name}_offset"]  # its beginning is not known
        for event in mine:
            if event["type"] == "InputSkipped" and event["topic"] == f"taxi.{name}":
                first = max(first, event["next"])
        after = mine[-1][f"{name}_offset"]
        if after < first:
            self.findings.blame("input_went_back", name, f"from {first} to {after}", f"in {mine[-1]}")
        return InputRange(first, after, is_new)

    def _set_backs(self, closed: Closed, shift_ms: int, clock: LocationsClock, *, whole: bool) -> None:
        """`ClockSetBack` comes where the positions show that the clock was set back, and nowhere else."""
        said = [
            ShiftStart(event["locations_from"], event["shift_ms"])
            for event in closed.events
            if event["type"] == "ClockSetBack" and event["shift_ms"] != shift_ms
        ]
        found = clock.take_set_backs()
        if whole and self.last is not None and found != said:
            text = f"batch {closed.last['batch']} says {said}, its positions {found}"
            self.findings.blame("clock_set_back", text)
        clock.believe(closed.last.get("shift_ms", 0))

    def _time(
        self, last: dict[str, Any], commands_read: Heard, heard: Heard, shifts_ms: tuple[int, int]
    ) -> None:
        """Check that log time is what the input says, neither earlier nor later.

        `shifts_ms`: what was added to append times before the batch, and what is after it. A batch that finds
        the clock set back does not take the times of its commands.
        """
        before_ms = self.last["at_ms"] if self.last is not None else 0
        known_ms, shift_ms = shifts_ms
        commands_ms = (
            commands_read.greatest_ms + shift_ms if commands_read.greatest_ms and known_ms == shift_ms else 0
        )
        is_alone = not heard.greatest_ms or last.get("commands_alone")
        if not is_alone and commands_ms > heard.greatest_ms + _BEYOND_MS:
            commands_ms = 0
        wanted_ms = max(before_ms, commands_ms, heard.greatest_ms)
        if last["at_ms"] < wanted_ms and heard.whole:
            text = f"batch {last['batch']} says {last['at_ms']}, its input {wanted_ms}"
            self.findings.blame("log_time", text)
        elif commands_read.whole and heard.whole and last["at_ms"] > wanted_ms and self.last is not None:
            text = f"batch {last['batch']} says {last['at_ms']}, and nothing after {wanted_ms} was read"
            self.findings.blame("log_time", text)


def _skips_positions(events: list[dict[str, Any]]) -> bool:
    """Whether the batch's dispatcher may not have read the positions before those that it read."""
    return any(event["type"] == "InputSkipped" and event["topic"] == "taxi.locations" for event in events)
