# SPDX-License-Identifier: Apache-2.0
"""One city's log, batch after batch: each is whole, follows the one before, and says what it read."""

import json
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from audit.answers import Answers, Asked
from audit.findings import Findings
from audit.life import Life

_WHEN: Final = frozenset({"type", "batch", "at_ms"})
_RIDE: Final = frozenset({"ride"})
_DRIVER: Final = frozenset({"driver"})
_BOTH: Final = _RIDE | _DRIVER
_ATTEMPT: Final = _BOTH | {"attempt"}
FIELDS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("EpochStarted", "CommandRejected"), frozenset()),
    "PolicyActivated": frozenset({"parameters"}),
    "InputSkipped": frozenset({"topic", "next"}),
    "BatchClosed": frozenset({"count", "commands_offset", "locations_offset"}),
    **dict.fromkeys(("DriverCameOnline", "DriverWentOffline", "DriverLost", "DriverFound"), _DRIVER),
    "DriverRepositioned": _DRIVER,
    **dict.fromkeys(("RideRequested", "RideCancelled", "RideExpired"), _RIDE),
    "RideNoShow": _BOTH,
    "RideOffered": _ATTEMPT | {"expires_ms"},
    **dict.fromkeys(("OfferDeclined", "OfferExpired", "RideAssigned", "RideReassigned"), _ATTEMPT),
    **dict.fromkeys(("RideReleased", "DriverArrived", "TripStarted", "TripCompleted"), _ATTEMPT),
}
"""Types of events that this version knows → what the rules look at in each, beside when it was."""
_KINDS: Final[dict[str, type]] = {
    **dict.fromkeys(("type", "ride", "reason", "topic", "command_id"), str),
    **dict.fromkeys(("batch", "at_ms", "driver", "attempt", "expires_ms", "next", "count"), int),
    **dict.fromkeys(("from_driver", "chain", "moves", "commands_offset", "locations_offset"), int),
    "parameters": dict,
}
"""Field → what it is."""
RECREATED: Final = {
    "commands": frozenset({"commands_recreated", "inputs_recreated"}),
    "locations": frozenset({"locations_recreated", "inputs_recreated"}),
}
"""Input → why an epoch starts in which its offsets begin anew."""


class Found(NamedTuple):
    """A record among the events."""

    offset: int
    body: dict[str, Any] | None
    """None: it is no event."""


class Stretch(NamedTuple):
    """What a batch read of one input: offsets first … next − 1."""

    first: int
    next: int
    is_new: bool
    """The topic was made anew since the batch before."""


class Heard(NamedTuple):
    """What the log still holds of a stretch."""

    whole: bool
    greatest_ms: int
    """The greatest append time in it."""


@dataclass(frozen=True)
class Closed:
    """A whole batch, and the input that it says it read."""

    events: list[dict[str, Any]]
    commands: Stretch
    locations: Stretch

    @property
    def last(self) -> dict[str, Any]:
        """Its `BatchClosed`."""
        return self.events[-1]


class Inputs(Protocol):
    """Where the input of a batch is looked up."""

    async def commands(self, stretch: Stretch) -> tuple[list[Asked], Heard]: ...
    async def locations(self, stretch: Stretch) -> Heard: ...


def parse(offset: int, value: bytes | None) -> Found:
    """An event's JSON, as any tool would read it."""
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return Found(offset, None)
    return Found(offset, body if isinstance(body, dict) and _says_all(body) else None)


def _says_all(body: dict[str, Any]) -> bool:
    """Whether what the rules look at is there. Of a type that came after this version: only when it was."""
    needed = _WHEN | FIELDS.get(str(body.get("type")), frozenset())
    looked_at = _KINDS if str(body.get("type")) in FIELDS else needed
    return all(
        type(body.get(name)) is _KINDS[name] or (name not in needed and body.get(name) is None)
        for name in looked_at
    )


@dataclass
class Journal:
    """Where a city's log stands."""

    findings: Findings
    at_birth: bool
    """Whether the log is read from its very beginning."""
    life: Life = field(init=False)
    answers: Answers = field(init=False)
    last: dict[str, Any] | None = None
    _run: list[dict[str, Any]] = field(default_factory=list)
    _head_cut: bool = False

    def __post_init__(self) -> None:
        """Nothing is known yet."""
        self.life, self.answers = Life(self.findings), Answers(self.findings)
        self.life.knows_all = self.at_birth
        self._head_cut = not self.at_birth

    def feed(self, found: Found) -> Closed | None:
        """One record more; the batch that it closes, if that is one."""
        body = found.body
        if body is None:
            self.findings.blame("unreadable_event", f"at offset {found.offset}")
            return None
        self._run.append(body)
        if body["type"] != "BatchClosed":
            return None
        run, self._run = self._run, []
        return self._close(run)

    async def judge(self, closed: Closed, inputs: Inputs) -> None:
        """Hold a batch to the rules, and fold it."""
        last = closed.last
        self.findings.events += len(closed.events)
        self.findings.batches += 1
        if self.last is None and not self.at_birth:
            self.answers.knows_since_ms = last["at_ms"]
        asked, told = await inputs.commands(closed.commands)
        heard = await inputs.locations(closed.locations)
        self._time(last, told, heard)
        for event in closed.events:
            if event["type"] == "EpochStarted" and event.get("reason") == "events_lost":
                self.answers.forget_all()
            if event["type"] in FIELDS:
                self.life.take(event)
            else:
                self.findings.unknown_events += 1
        self.answers.close(closed.events, asked if told.whole else None)
        self.life.close(last)
        self.last = last

    # --- structure ----------------------------------------------------------------------------------

    def _close(self, run: list[dict[str, Any]]) -> Closed | None:
        closed = run[-1]
        mine = [event for event in run if event["batch"] == closed["batch"]]
        if self._head_cut:  # retention ends where it likes: the first batch may lack its beginning
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

    def _stretch(self, name: str, mine: list[dict[str, Any]]) -> Stretch:
        """What the batch read of an input, by its own words."""
        reasons = {event.get("reason") for event in mine if event["type"] == "EpochStarted"}
        is_new = bool(reasons & RECREATED[name])
        first = self.last[f"{name}_offset"] if self.last is not None and not is_new else 0
        if self.last is None and not self.at_birth:
            first = mine[-1][f"{name}_offset"]  # where it began is not known
        for event in mine:
            if event["type"] == "InputSkipped" and event["topic"] == f"taxi.{name}":
                first = max(first, event["next"])
        after = mine[-1][f"{name}_offset"]
        if after < first:
            self.findings.blame("input_went_back", name, f"from {first} to {after}", f"in {mine[-1]}")
        return Stretch(first, after, is_new)

    def _time(self, last: dict[str, Any], told: Heard, heard: Heard) -> None:
        """Log time is what the input says, neither earlier nor later."""
        before_ms = self.last["at_ms"] if self.last is not None else 0
        wanted_ms = max(before_ms, told.greatest_ms, heard.greatest_ms)
        if last["at_ms"] < wanted_ms:
            text = f"batch {last['batch']} says {last['at_ms']}, its input {wanted_ms}"
            self.findings.blame("log_time", text)
        elif told.whole and heard.whole and last["at_ms"] > wanted_ms and self.last is not None:
            text = f"batch {last['batch']} says {last['at_ms']}, and nothing after {wanted_ms} was read"
            self.findings.blame("log_time", text)
