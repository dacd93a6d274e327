# SPDX-License-Identifier: Apache-2.0
"""The state machine of the connection to a gateway: how each event changes it, and what the client then does.

                                      ┌──────── retry ─────────┐
                                      ▼                        │
 waiting ► connecting ► greeting ► live ─drain► handover_connecting ─lost► handover_waiting
    ▲          │           │         │ ▲             │ next_opened
    └──────────┴── lost ───┴─────────┘ └─next_ready─ handover_greeting

The table of states, events and rules is protocol.toml's (`TRANSITIONS`), the same as the TypeScript client's;
this module says what each rule does. In a handover there are two connections: the present one, which still
serves, and the next one. A connection is *doubted* if nothing came on it for half the time that means loss:
the client opens another one as if the gateway had sent `drain`, and an update on the old one ends the doubt.

Deterministic: sockets, timers and chance are stream.py's. The fault scripts in tests/golden/scripts play it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from taxi.client.protocol import (
    BACKOFF_MS,
    BACKOFF_MS_MAX,
    FIRST_RETRY_MS,
    OPEN_LATER_ATTEMPTS,
    OPEN_LATER_MS,
    OPEN_MS_MAX,
    OPEN_SOON_ATTEMPTS,
    OPEN_SOON_MS,
    OPENED_COUNTS,
    PROMPT_MS_MAX,
    PROMPT_MS_MIN,
    PROMPT_RETRIES,
    REASON_MS_MAX,
    TRANSITIONS,
    CloseAction,
    EffectType,
    EventType,
    LinkState,
    Rule,
    close_action,
)


@dataclass(frozen=True)
class LinkEvent:
    """Something that happened to the connection, or that the application did."""

    type: EventType
    forget: bool = False
    """Of BROKEN: the rows cannot be continued, so the client comes back without a cursor."""
    code: int = 1006
    """Of CLOSED and NEXT_CLOSED."""
    reason: str = ""
    is_new: bool = False
    """Of TOKEN: it is another one than the last that was used."""
    was_answered: bool = False
    """Of CLOSED while connecting: a server answered, but opened no WebSocket."""


@dataclass(frozen=True)
class Effect:
    """One thing that the client has to do."""

    type: EffectType
    in_ms: float = 0.0
    """Of RETRY."""


class Refusal(NamedTuple):
    """The close code and reason with which a gateway said not to come back."""

    code: int
    reason: str


@dataclass(frozen=True)
class Link:
    """The state of the connection to a gateway.

    Invariant: there are as many connections as the state says (none, one, or two in `handover_connecting` and
    `handover_greeting`), provided that all effects were carried out in order.
    """

    state: LinkState = LinkState.WAITING
    failures: int = 0
    """Since the last verified update; a connection that had opened counts as several."""
    wants_token: bool = False
    """The application has to be asked for a token before the next attempt."""
    has_asked: bool = False
    """Another token was asked for since the last verified update: it is not asked for twice."""
    is_doubted: bool = False
    """The other connection is opened only because this one was quiet."""
    refusal: Refusal | None = None
    """Why the last token, or this client, was refused."""


Outcome: TypeAlias = tuple[Link, tuple[Effect, ...]]
_Step: TypeAlias = Callable[[Link, LinkEvent, float], Outcome]


def step(link: Link, event: LinkEvent, chance: float) -> Outcome:
    """The state after an event, and what the client has to do, in this order.

    An event that the table does not name in the present state changes nothing.

    Args:
        link: the state before.
        event: what happened.
        chance: drawn evenly from [0, 1); it spreads the pauses of many clients.
    """
    rule = TRANSITIONS[link.state].get(event.type)
    return (link, ()) if rule is None else _RULES[rule](link, event, chance)


def backoff_ms(failures: int, chance: float) -> float:
    """The pause after a loss with so many failures before it: short at once, then steady, then doubling."""
    if failures <= 0:
        return chance * FIRST_RETRY_MS
    if failures < PROMPT_RETRIES:
        return PROMPT_MS_MIN + chance * (PROMPT_MS_MAX - PROMPT_MS_MIN)
    return chance * min(BACKOFF_MS * 2.0 ** min(failures - PROMPT_RETRIES, 30), BACKOFF_MS_MAX)


def open_ms(link: Link) -> float:
    """The time limit for opening a connection now."""
    limit_ms = OPEN_MS_MAX
    if link.failures < OPEN_SOON_ATTEMPTS:
        limit_ms = OPEN_SOON_MS
    elif link.failures < OPEN_LATER_ATTEMPTS:
        limit_ms = OPEN_LATER_MS
    is_handover = link.state is LinkState.HANDOVER_CONNECTING and not link.is_doubted
    return max(limit_ms, OPEN_LATER_MS) if is_handover else limit_ms


# --- the rules, in the order of protocol.toml ------------------------------------------------------


def _to(state: LinkState, *effects: EffectType) -> _Step:
    def go(link: Link, _: LinkEvent, __: float) -> Outcome:
        return replace(link, state=state), tuple(map(Effect, effects))

    return go


def _connect(link: Link, _: LinkEvent, __: float) -> Outcome:
    if link.wants_token:
        return replace(link, state=LinkState.ASKING), (Effect(EffectType.ASK),)
    return replace(link, state=LinkState.CONNECTING), (Effect(EffectType.OPEN),)


def _use_token(link: Link, event: LinkEvent, chance: float) -> Outcome:
    """The first token is for an attempt that is due; one in place of a refused one waits as after a loss."""
    has_token = replace(link, wants_token=False, refusal=None)
    if link.refusal is None:
        return replace(has_token, state=LinkState.CONNECTING), (Effect(EffectType.OPEN),)
    if not event.is_new:
        return replace(link, state=LinkState.REFUSED), ()
    return replace(has_token, state=LinkState.WAITING), (_retry(backoff_ms(link.failures - 1, chance)),)


def _ask_later(link: Link, _: LinkEvent, chance: float) -> Outcome:
    return _lost(link), (_retry(backoff_ms(link.failures, chance)),)


def _settle(link: Link, _: LinkEvent, __: float) -> Outcome:
    return replace(link, failures=0, has_asked=False), ()


def _reconnect(link: Link, event: LinkEvent, chance: float) -> Outcome:
    return _come_back(link, backoff_ms(link.failures, chance), forget=event.forget)


def _reconnect_slowly(link: Link, _: LinkEvent, chance: float) -> Outcome:
    """A gateway that sends wrong images should not be asked for another one in a hurry."""
    slow = replace(link, failures=max(link.failures, PROMPT_RETRIES))
    return _come_back(slow, backoff_ms(slow.failures, chance), forget=True)


def _reconnect_by_code(link: Link, event: LinkEvent, chance: float) -> Outcome:
    close = Effect(EffectType.CLOSE)
    if _asks_again(link, event):
        return replace(_asked(link, event), state=LinkState.ASKING), (close, Effect(EffectType.ASK))
    if _refuses(event):
        refusal = Refusal(event.code, event.reason)
        return replace(link, state=LinkState.REFUSED, refusal=refusal), (close,)
    action = close_action(event.code)
    is_slow = action in {CloseAction.SLOWLY, CloseAction.WITHOUT_CURSOR}
    in_ms = _reason_ms(event)
    if in_ms is None:
        in_ms = backoff_ms(max(link.failures, 1) if is_slow else link.failures, chance)
    forget = action is CloseAction.WITHOUT_CURSOR
    return _come_back(link, in_ms, forget=forget, was_answered=event.was_answered)


def _hand_over(link: Link, _: LinkEvent, __: float) -> Outcome:
    handover = replace(link, state=LinkState.HANDOVER_CONNECTING, is_doubted=False)
    return handover, (Effect(EffectType.OPEN_NEXT),)


def _doubt(link: Link, _: LinkEvent, __: float) -> Outcome:
    handover = replace(link, state=LinkState.HANDOVER_CONNECTING, is_doubted=True)
    return handover, (Effect(EffectType.OPEN_NEXT),)


def _reassure(link: Link, _: LinkEvent, __: float) -> Outcome:
    if not link.is_doubted:
        return link, ()
    live = replace(link, state=LinkState.LIVE, failures=0, has_asked=False, is_doubted=False)
    return live, (Effect(EffectType.CLOSE_NEXT),)


def _confirm(link: Link, _: LinkEvent, __: float) -> Outcome:
    return replace(link, is_doubted=False), ()


def _connect_next(link: Link, _: LinkEvent, __: float) -> Outcome:
    if link.wants_token:
        return link, (Effect(EffectType.ASK),)
    return replace(link, state=LinkState.HANDOVER_CONNECTING), (Effect(EffectType.OPEN_NEXT),)


def _use_token_for_next(link: Link, event: LinkEvent, __: float) -> Outcome:
    if not event.is_new:
        return replace(link, state=LinkState.ENDING), ()
    handover = replace(link, state=LinkState.HANDOVER_CONNECTING, wants_token=False, refusal=None)
    return handover, (Effect(EffectType.OPEN_NEXT),)


def _ask_later_for_next(link: Link, _: LinkEvent, chance: float) -> Outcome:
    return replace(link, failures=link.failures + 1), (_retry(backoff_ms(link.failures, chance)),)


def _retry_next(link: Link, event: LinkEvent, chance: float) -> Outcome:
    in_ms = _reason_ms(event)
    retry = _retry(backoff_ms(link.failures, chance) if in_ms is None else in_ms)
    waiting = replace(link, state=LinkState.HANDOVER_WAITING, failures=link.failures + 1)
    return waiting, (*_KEEP_PRESENT, retry)


def _retry_next_by_code(link: Link, event: LinkEvent, chance: float) -> Outcome:
    if _asks_again(link, event):
        waiting = replace(_asked(link, event), state=LinkState.HANDOVER_WAITING)
        return waiting, (*_KEEP_PRESENT, Effect(EffectType.ASK))
    if _refuses(event):
        refusal = Refusal(event.code, event.reason)
        return replace(link, state=LinkState.ENDING, refusal=refusal), _KEEP_PRESENT
    return _retry_next(link, event, chance)


def _move(link: Link, _: LinkEvent, __: float) -> Outcome:
    return replace(link, state=LinkState.LIVE, is_doubted=False), (Effect(EffectType.ADOPT_NEXT),)


def _adopt(state: LinkState) -> _Step:
    def adopt(link: Link, event: LinkEvent, _: float) -> Outcome:
        forget = event.forget or event.type is EventType.WRONG_IMAGE
        forgetting = (Effect(EffectType.FORGET),) if forget else ()
        return replace(link, state=state, is_doubted=False), (*forgetting, Effect(EffectType.ADOPT_NEXT))

    return adopt


def _give_up(link: Link, _: LinkEvent, __: float) -> Outcome:
    return replace(link, state=LinkState.UNREACHABLE, is_doubted=False), _CLOSE_ALL


_CLOSE_ALL: Final = (Effect(EffectType.CLOSE), Effect(EffectType.CLOSE_NEXT))
_KEEP_PRESENT: Final = (Effect(EffectType.CLOSE_NEXT), Effect(EffectType.APPLY_KEPT))

_RULES: Final[Mapping[Rule, _Step]] = {
    Rule.CONNECT: _connect,
    Rule.USE_TOKEN: _use_token,
    Rule.ASK_LATER: _ask_later,
    Rule.GREET: _to(LinkState.GREETING, EffectType.HELLO),
    Rule.SERVE: _to(LinkState.LIVE),
    Rule.SETTLE: _settle,
    Rule.RECONNECT: _reconnect,
    Rule.RECONNECT_SLOWLY: _reconnect_slowly,
    Rule.RECONNECT_BY_CODE: _reconnect_by_code,
    Rule.HAND_OVER: _hand_over,
    Rule.DOUBT: _doubt,
    Rule.REASSURE: _reassure,
    Rule.CONFIRM: _confirm,
    Rule.CONNECT_NEXT: _connect_next,
    Rule.USE_TOKEN_FOR_NEXT: _use_token_for_next,
    Rule.ASK_LATER_FOR_NEXT: _ask_later_for_next,
    Rule.GREET_NEXT: _to(LinkState.HANDOVER_GREETING, EffectType.HELLO_NEXT),
    Rule.RETRY_NEXT: _retry_next,
    Rule.RETRY_NEXT_BY_CODE: _retry_next_by_code,
    Rule.MOVE: _move,
    Rule.ADOPT_CONNECTING: _adopt(LinkState.CONNECTING),
    Rule.ADOPT_GREETING: _adopt(LinkState.GREETING),
    Rule.REFUSE: _to(LinkState.REFUSED, EffectType.CLOSE),
    Rule.GIVE_UP: _give_up,
    Rule.STOP: _to(LinkState.STOPPED, EffectType.CLOSE, EffectType.CLOSE_NEXT),
}


def _retry(in_ms: float) -> Effect:
    return Effect(EffectType.RETRY, in_ms)


def _come_back(link: Link, in_ms: float, *, forget: bool, was_answered: bool = False) -> Outcome:
    forgetting = (Effect(EffectType.FORGET),) if forget else ()
    lost = _lost(link, was_answered=was_answered)
    return lost, (Effect(EffectType.CLOSE), *forgetting, _retry(in_ms))


def _lost(link: Link, *, was_answered: bool = False) -> Link:
    """Waiting, with this loss counted. One that cost the gateway a handshake counts as several."""
    is_cheap = link.state is LinkState.CONNECTING and not was_answered
    if is_cheap or link.failures >= PROMPT_RETRIES:
        failures = link.failures + 1
    else:
        failures = min(link.failures + OPENED_COUNTS, PROMPT_RETRIES)
    return replace(link, state=LinkState.WAITING, failures=failures, is_doubted=False)


def _asks_again(link: Link, event: LinkEvent) -> bool:
    """Whether the close asks for another token, and the application was not asked for one since."""
    return close_action(event.code) is CloseAction.TOKEN and not link.has_asked


def _asked(link: Link, event: LinkEvent) -> Link:
    refusal = Refusal(event.code, event.reason)
    return replace(
        link, failures=link.failures + 1, wants_token=True, has_asked=True, is_doubted=False, refusal=refusal
    )


def _refuses(event: LinkEvent) -> bool:
    return close_action(event.code) in {CloseAction.REFUSED, CloseAction.TOKEN}


def _reason_ms(event: LinkEvent) -> float | None:
    """The milliseconds after which a gateway wants this client back; None if its close does not say."""
    says_when = close_action(event.code) is CloseAction.AFTER_REASON
    is_number = event.reason.isascii() and event.reason.isdecimal()
    return min(float(event.reason), REASON_MS_MAX) if says_when and is_number else None
