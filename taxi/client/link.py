# SPDX-License-Identifier: Apache-2.0
"""The life of the line to a gateway, as a table: state × what happened → what to do and where that leads.

                     ┌────────────────────── next lost, retry ──┐
                     ▼                                          │
WAITING ► CONNECTING ► GREETING ► LIVE ──drain──► LEAVING ──► SEEKING
   ▲           │           │        ▲ ▲             │ next opened
   └───lost, closed, silent┴────────┘ └─next ready─ MOVING

Pure: sockets, timers and chance are `city.py`'s. The fault scripts in tests/golden/scripts hold it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

FIRST_RETRY_MS: Final = 100.0
PROMPT_MS: Final = (100.0, 200.0)
BACKOFF_MS: Final = 200.0
BACKOFF_MS_MAX: Final = 30_000.0
PROMPT_RETRIES: Final = 100
"""So many are made before the pauses grow: a gateway that starts within ten seconds has everyone at once."""
OPENED_COUNTS: Final = 5
"""A line that had opened counts as so many of them: it costs a gateway more than a refusal does."""
SILENCE_MS: Final = 3_000.0
"""A gateway beats once a second: this long without a word is a fault, whatever TCP thinks."""
TOKEN: Final = 4401
_TOLD: Final = (4001, 4029)
"""Codes whose reason says how many milliseconds to stay away."""
_JITTER: Final = (4002, 4008, 4010)
"""Codes after which even the first retry is not at once."""
_WRONG: Final = (4008, 4010)
"""Codes that say that this client is wrong: it comes back with nothing in hand."""


class State(Enum):
    """Where the line is in its life."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    GREETING = "greeting"
    LIVE = "live"
    LEAVING = "leaving"
    """The gateway goes away; the old line still serves while another one is being opened."""
    MOVING = "moving"
    """Hello was said on the other line: what the old one brings is kept, and applied only if that fails."""
    SEEKING = "seeking"
    """The old line still serves; another one is to be tried in a moment."""
    LAST = "last"
    """The old line serves to its end: no gateway wants this client any more."""
    REFUSED = "refused"


SERVED: Final = frozenset({State.LIVE, State.LEAVING, State.MOVING, State.SEEKING, State.LAST})
"""States in which a line serves."""


class What(Enum):
    """What may happen. `NEXT_*`: to the line opened beside the present one."""

    RETRY = "retry"
    OPENED = "opened"
    READY = "ready"
    VERIFIED = "verified"
    """A cut was applied, and the picture is right."""
    DRAIN = "drain"
    BROKEN = "broken"
    """A cut is missing, bytes make no sense, or nothing came for three seconds."""
    CLOSED = "closed"
    NEXT_OPENED = "next opened"
    NEXT_READY = "next ready"
    NEXT_LOST = "next lost"


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    what: What
    forget: bool = False
    """Of BROKEN: what is held can't be gone on from."""
    wrong: bool = False
    """Of BROKEN: even an image was wrong, so hurrying back won't help."""
    code: int = 1006
    """Of CLOSED and NEXT_LOST."""
    reason: str = ""
    renewed: bool = False
    """Of CLOSED with 4401: there is another token now."""


class Do(Enum):
    """What the shell has to do."""

    OPEN = "open"
    HELLO = "hello"
    CLOSE = "close"
    """Every line."""
    FORGET = "forget"
    RETRY = "retry"
    """`RETRY` is to happen after `in_ms`; it replaces one that is due."""
    OPEN_NEXT = "open next"
    """Another line beside the present one."""
    HELLO_NEXT = "hello next"
    CLOSE_NEXT = "close next"
    ADOPT = "adopt"
    """The next line is the present one from now on; the old one is closed, with what was kept of it."""
    CATCH_UP = "catch up"
    """Apply what was kept of the old line."""


@dataclass(frozen=True)
class Effect:
    """One thing to do."""

    do: Do
    in_ms: float = 0.0


@dataclass(frozen=True)
class Link:
    """The line."""

    state: State = State.WAITING
    failures: int = 0
    """Since the last verified cut, weighed."""


Outcome: TypeAlias = tuple[Link, tuple[Effect, ...]]
Step: TypeAlias = Callable[[Link, Event, float], Outcome]


def backoff_ms(failures: int, chance: float) -> float:
    """Soon the first time, spread so that a thousand don't come together; then steadily; late doubling."""
    if failures == 0:
        return chance * FIRST_RETRY_MS
    if failures < PROMPT_RETRIES:
        shortest_ms, longest_ms = PROMPT_MS
        return shortest_ms + chance * (longest_ms - shortest_ms)
    return chance * min(BACKOFF_MS * 2.0 ** min(failures - PROMPT_RETRIES, 30), BACKOFF_MS_MAX)


def refuses(event: Event) -> bool:
    """Whether this close says: do not come back."""
    return 4400 <= event.code < 4500 and not (event.code == TOKEN and event.renewed)


def _stay(link: Link, _: Event, __: float) -> Outcome:
    return link, ()


def _to(state: State, *do: Do) -> Step:
    """Go there, do that."""

    def step(link: Link, _: Event, __: float) -> Outcome:
        return replace(link, state=state), tuple(Effect(each) for each in do)

    return step


def _settle(link: Link, _: Event, __: float) -> Outcome:
    """The picture was checked on this line: the next loss begins to count anew."""
    return replace(link, failures=0), ()


def _counted(link: Link) -> int:
    """The failures, with this loss."""
    if link.state is State.CONNECTING or link.failures >= PROMPT_RETRIES:
        return link.failures + 1
    return min(link.failures + OPENED_COUNTS, PROMPT_RETRIES)


def _away(link: Link, in_ms: float, *, forget: bool) -> Outcome:
    forgetting = (Effect(Do.FORGET),) if forget else ()
    return Link(State.WAITING, _counted(link)), (Effect(Do.CLOSE), *forgetting, Effect(Do.RETRY, in_ms))


def _lose(link: Link, event: Event, chance: float) -> Outcome:
    if event.wrong:
        link = replace(link, failures=max(link.failures, PROMPT_RETRIES))
    return _away(link, backoff_ms(link.failures, chance), forget=event.forget)


def _ended(link: Link, event: Event, chance: float) -> Outcome:
    """The other side closed: the code says whether, when and with what to come back."""
    if refuses(event):
        return replace(link, state=State.REFUSED), (Effect(Do.CLOSE),)
    told = event.code in _TOLD and event.reason.isdecimal()
    failures = max(link.failures, 1) if event.code in _JITTER else link.failures
    in_ms = float(event.reason) if told else backoff_ms(failures, chance)
    return _away(link, in_ms, forget=event.code in _WRONG)


def _adopt(state: State) -> Step:
    """The old line ended before the move did: the next one is all there is."""

    def step(link: Link, event: Event, _: float) -> Outcome:
        forgetting = (Effect(Do.FORGET),) if event.forget else ()
        return replace(link, state=state), (Effect(Do.ADOPT), *forgetting)

    return step


def _try_another(link: Link, event: Event, chance: float) -> Outcome:
    """The successor can't be had: the old line serves while it lasts."""
    left = (Effect(Do.CLOSE_NEXT), Effect(Do.CATCH_UP))
    if refuses(event):
        return replace(link, state=State.LAST), left
    retry = Effect(Do.RETRY, backoff_ms(link.failures, chance))
    return Link(State.SEEKING, link.failures + 1), (*left, retry)


TABLE: Final[Mapping[State, Mapping[What, Step]]] = {
    State.WAITING: {What.RETRY: _to(State.CONNECTING, Do.OPEN)},
    State.CONNECTING: {
        What.OPENED: _to(State.GREETING, Do.HELLO),
        What.CLOSED: _ended,
        What.BROKEN: _lose,
    },
    State.GREETING: {
        What.READY: _to(State.LIVE),
        What.DRAIN: _lose,
        What.CLOSED: _ended,
        What.BROKEN: _lose,
    },
    State.LIVE: {
        What.VERIFIED: _settle,
        What.DRAIN: _to(State.LEAVING, Do.OPEN_NEXT),
        What.CLOSED: _ended,
        What.BROKEN: _lose,
    },
    State.LEAVING: {
        What.NEXT_OPENED: _to(State.MOVING, Do.HELLO_NEXT),
        What.NEXT_LOST: _try_another,
        What.CLOSED: _adopt(State.CONNECTING),
        What.BROKEN: _adopt(State.CONNECTING),
    },
    State.MOVING: {
        What.NEXT_READY: _to(State.LIVE, Do.ADOPT),
        What.NEXT_LOST: _try_another,
        What.CLOSED: _adopt(State.GREETING),
        What.BROKEN: _adopt(State.GREETING),
    },
    State.SEEKING: {
        What.RETRY: _to(State.LEAVING, Do.OPEN_NEXT),
        What.CLOSED: _ended,
        What.BROKEN: _lose,
    },
    State.LAST: {
        What.CLOSED: _to(State.REFUSED, Do.CLOSE),
        What.BROKEN: _to(State.REFUSED, Do.CLOSE),
    },
    State.REFUSED: {},
}


def step(link: Link, event: Event, chance: float) -> Outcome:
    """What an event means in a state; one that means nothing there changes nothing. `chance` in [0, 1)."""
    return TABLE[link.state].get(event.what, _stay)(link, event, chance)
