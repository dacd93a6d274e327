# SPDX-License-Identifier: Apache-2.0
"""The browser stream as constants. Made from protocol.toml by `python -m scripts.protocol`: edit that."""

import struct
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

VERSION: Final = 1
SUBPROTOCOL: Final = "taxi.v1"
GENERATION_MAX: Final = 65535
"""Generations of views count from 1 to this, then from 1 again."""
VIEW_PAUSE_MS: Final = 200
"""Between two `view` messages."""
QUIET_MS: Final = 1500
"""Without a message for so long, a client that is served opens another connection beside this one."""
SILENCE_MS: Final = 3000
"""Without a message for so long, a connection is given up."""
ANSWER_MS: Final = 1000
"""The first message may come so much later than the connection may open."""
OPEN_SOON_MS: Final = 1000
"""For a connection to open (TCP, TLS and upgrade), in the first attempts since the last verified update."""
OPEN_SOON_ATTEMPTS: Final = 2
"""So many attempts have that limit."""
OPEN_LATER_MS: Final = 1800
"""For a connection to open, in the attempts after those; and always beside a gateway that drains."""
OPEN_LATER_ATTEMPTS: Final = 10
"""Up to so many attempts have that limit."""
OPEN_MS_MAX: Final = 5000
"""For a connection to open, from then on."""
FIRST_RETRY_MS: Final = 100
"""The pause after the first loss is drawn from 0 to this."""
PROMPT_MS_MIN: Final = 100
"""The next pauses are drawn from this."""
PROMPT_MS_MAX: Final = 200
"""To this."""
PROMPT_RETRIES: Final = 100
"""So many failures have such pauses; the ones after them double."""
OPENED_COUNTS: Final = 5
"""A connection that had opened counts as so many failures."""
BACKOFF_MS: Final = 200
"""The first pause that doubles is drawn from 0 to this."""
BACKOFF_MS_MAX: Final = 30000
"""No pause is longer."""
REASON_MS_MAX: Final = 60000
"""Milliseconds in a close reason count up to this."""


class LinkState(Enum):
    """Where the connection to a gateway is in its life."""

    WAITING = "waiting"
    """No connection; the next attempt is due later."""
    ASKING = "asking"
    """Waits for the application's token."""
    CONNECTING = "connecting"
    """A connection is being opened."""
    GREETING = "greeting"
    """`hello` was sent; waits for `ready`."""
    LIVE = "live"
    """Updates arrive on this connection."""
    HANDOVER_WAITING = "handover_waiting"
    """This connection still serves; the next attempt to open another one is due later."""
    HANDOVER_CONNECTING = "handover_connecting"
    """This connection still serves; another one is being opened."""
    HANDOVER_GREETING = "handover_greeting"
    """`hello` was sent on the other connection: what arrives on this one is kept, and applied only if
    the other one fails."""
    ENDING = "ending"
    """This connection serves until it ends; no gateway accepts this client any more."""
    REFUSED = "refused"
    """A gateway said not to come back."""
    UNREACHABLE = "unreachable"
    """No image arrived within the application's time limit."""
    STOPPED = "stopped"
    """The application ended it."""


class EventType(Enum):
    """What may happen to it."""

    RETRY = "retry"
    """The pause before the next attempt is over, or the application starts the client."""
    TOKEN = "token"
    """The application answered with a token, which may be the old one."""
    NO_TOKEN = "no_token"
    """The application could not be asked."""
    OPENED = "opened"
    """The connection is open."""
    READY = "ready"
    """`ready` arrived."""
    VERIFIED = "verified"
    """An update was applied, and counts and hash match."""
    DRAIN = "drain"
    """`drain` arrived."""
    PENDING = "pending"
    """`pending` arrived."""
    QUIET = "quiet"
    """No message for 1.5 s."""
    BROKEN = "broken"
    """An update is missing, a message could not be read, or nothing came in time."""
    WRONG_IMAGE = "wrong_image"
    """An image was applied, and counts or hash differ."""
    CLOSED = "closed"
    """The connection was closed or lost, or did not open."""
    NEXT_OPENED = "next_opened"
    """The other connection is open."""
    NEXT_READY = "next_ready"
    """`ready` arrived on the other connection."""
    NEXT_BROKEN = "next_broken"
    """A message on the other connection could not be read, or nothing came in time."""
    NEXT_CLOSED = "next_closed"
    """The other connection was closed or lost, or did not open."""
    DIAGNOSED = "diagnosed"
    """The client found out why a connection does not open."""
    GIVE_UP = "give_up"
    """The application's time limit for a first image has passed."""
    STOP = "stop"
    """The application ends it."""


class EffectType(Enum):
    """What the client has to do then."""

    OPEN = "open"
    """Open a connection."""
    HELLO = "hello"
    """Send `hello` on it."""
    CLOSE = "close"
    """Close it, and the other one if there is one."""
    FORGET = "forget"
    """Forget rows and cursor."""
    ASK = "ask"
    """Ask the application for a token."""
    RETRY = "retry"
    """Let `retry` happen after a pause; it replaces one that is due."""
    OPEN_NEXT = "open_next"
    """Open another connection beside the present one."""
    HELLO_NEXT = "hello_next"
    """Send `hello` there, and keep what arrives on the present one from now on."""
    CLOSE_NEXT = "close_next"
    """Close the other connection."""
    APPLY_KEPT = "apply_kept"
    """Apply what was kept of the present connection."""
    ADOPT_NEXT = "adopt_next"
    """Close the present connection, and drop what was kept of it: the other one is the present one from
    now on."""


class Rule(Enum):
    """How an event changes the state, and what it makes the client do."""

    CONNECT = "connect"
    """Ask for a token if one is needed, else open a connection → `asking` or `connecting`."""
    USE_TOKEN = "use_token"
    """The first token, or a new one after a refusal → `connecting`, or `waiting` and retry; the refused
    one again → `refused`."""
    ASK_LATER = "ask_later"
    """Retry after a pause → `waiting`."""
    GREET = "greet"
    """Send `hello` → `greeting`."""
    SERVE = "serve"
    """→ `live`."""
    SETTLE = "settle"
    """Failures are counted from zero again."""
    RECONNECT = "reconnect"
    """Close, forget the cursor if the rows cannot be continued, retry after a pause → `waiting`."""
    RECONNECT_SLOWLY = "reconnect_slowly"
    """Close, forget the cursor, retry after a pause that begins to double at once → `waiting`."""
    RECONNECT_BY_CODE = "reconnect_by_code"
    """As the close code says → `waiting`, `asking` or `refused`."""
    HAND_OVER = "hand_over"
    """Open another connection → `handover_connecting`."""
    DOUBT = "doubt"
    """As after `drain`, but an update on the present connection ends it → `handover_connecting`."""
    REASSURE = "reassure"
    """If this connection was only doubted: close the other one → `live`."""
    CONFIRM = "confirm"
    """The gateway does leave: it is no longer only doubted."""
    CONNECT_NEXT = "connect_next"
    """Ask for a token if one is needed, else open another connection → `handover_connecting`."""
    USE_TOKEN_FOR_NEXT = "use_token_for_next"
    """A new token: open another connection → `handover_connecting`; the refused one again → `ending`."""
    ASK_LATER_FOR_NEXT = "ask_later_for_next"
    """Retry after a pause."""
    GREET_NEXT = "greet_next"
    """Send `hello` on the other connection → `handover_greeting`."""
    RETRY_NEXT = "retry_next"
    """Close the other connection, apply what was kept, retry after a pause → `handover_waiting`."""
    RETRY_NEXT_BY_CODE = "retry_next_by_code"
    """The same, as the close code says → `handover_waiting` or `ending`."""
    MOVE = "move"
    """The other connection is the present one → `live`."""
    ADOPT_CONNECTING = "adopt_connecting"
    """The other connection is all there is → `connecting`."""
    ADOPT_GREETING = "adopt_greeting"
    """The other connection is all there is → `greeting`."""
    REFUSE = "refuse"
    """Close → `refused`."""
    GIVE_UP = "give_up"
    """Close → `unreachable`."""
    STOP = "stop"
    """Close → `stopped`."""


class CloseAction(Enum):
    """What a client does after a close code."""

    AFTER_REASON = "after_reason"
    SLOWLY = "slowly"
    WITHOUT_CURSOR = "without_cursor"
    REFUSED = "refused"
    TOKEN = "token"
    LOST = "lost"


SERVING: Final = frozenset(
    {
        LinkState.LIVE,
        LinkState.HANDOVER_WAITING,
        LinkState.HANDOVER_CONNECTING,
        LinkState.HANDOVER_GREETING,
        LinkState.ENDING,
    }
)
"""States in which a connection serves."""
TRANSITIONS: Final[Mapping[LinkState, Mapping[EventType, Rule]]] = {
    LinkState.WAITING: {
        EventType.RETRY: Rule.CONNECT,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.ASKING: {
        EventType.TOKEN: Rule.USE_TOKEN,
        EventType.NO_TOKEN: Rule.ASK_LATER,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.CONNECTING: {
        EventType.OPENED: Rule.GREET,
        EventType.BROKEN: Rule.RECONNECT,
        EventType.CLOSED: Rule.RECONNECT_BY_CODE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.GREETING: {
        EventType.READY: Rule.SERVE,
        EventType.DRAIN: Rule.RECONNECT,
        EventType.BROKEN: Rule.RECONNECT,
        EventType.CLOSED: Rule.RECONNECT_BY_CODE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.LIVE: {
        EventType.VERIFIED: Rule.SETTLE,
        EventType.DRAIN: Rule.HAND_OVER,
        EventType.QUIET: Rule.DOUBT,
        EventType.BROKEN: Rule.RECONNECT,
        EventType.WRONG_IMAGE: Rule.RECONNECT_SLOWLY,
        EventType.CLOSED: Rule.RECONNECT_BY_CODE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.HANDOVER_WAITING: {
        EventType.RETRY: Rule.CONNECT_NEXT,
        EventType.TOKEN: Rule.USE_TOKEN_FOR_NEXT,
        EventType.NO_TOKEN: Rule.ASK_LATER_FOR_NEXT,
        EventType.VERIFIED: Rule.REASSURE,
        EventType.DRAIN: Rule.CONFIRM,
        EventType.BROKEN: Rule.RECONNECT,
        EventType.WRONG_IMAGE: Rule.RECONNECT_SLOWLY,
        EventType.CLOSED: Rule.RECONNECT_BY_CODE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.HANDOVER_CONNECTING: {
        EventType.VERIFIED: Rule.REASSURE,
        EventType.DRAIN: Rule.CONFIRM,
        EventType.BROKEN: Rule.ADOPT_CONNECTING,
        EventType.WRONG_IMAGE: Rule.ADOPT_CONNECTING,
        EventType.CLOSED: Rule.ADOPT_CONNECTING,
        EventType.NEXT_OPENED: Rule.GREET_NEXT,
        EventType.NEXT_BROKEN: Rule.RETRY_NEXT,
        EventType.NEXT_CLOSED: Rule.RETRY_NEXT_BY_CODE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.HANDOVER_GREETING: {
        EventType.DRAIN: Rule.CONFIRM,
        EventType.BROKEN: Rule.ADOPT_GREETING,
        EventType.CLOSED: Rule.ADOPT_GREETING,
        EventType.NEXT_READY: Rule.MOVE,
        EventType.NEXT_BROKEN: Rule.RETRY_NEXT,
        EventType.NEXT_CLOSED: Rule.RETRY_NEXT_BY_CODE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.ENDING: {
        EventType.BROKEN: Rule.REFUSE,
        EventType.WRONG_IMAGE: Rule.REFUSE,
        EventType.CLOSED: Rule.REFUSE,
        EventType.GIVE_UP: Rule.GIVE_UP,
        EventType.STOP: Rule.STOP,
    },
    LinkState.REFUSED: {
        EventType.STOP: Rule.STOP,
    },
    LinkState.UNREACHABLE: {
        EventType.RETRY: Rule.CONNECT,
        EventType.STOP: Rule.STOP,
    },
    LinkState.STOPPED: {
        EventType.STOP: Rule.STOP,
    },
}
"""An event that is not named in a state changes nothing there."""
CLOSE_ACTIONS: Final[Mapping[int, CloseAction]] = {
    4001: CloseAction.AFTER_REASON,
    4002: CloseAction.SLOWLY,
    4008: CloseAction.WITHOUT_CURSOR,
    4010: CloseAction.WITHOUT_CURSOR,
    4029: CloseAction.AFTER_REASON,
    4400: CloseAction.REFUSED,
    4401: CloseAction.TOKEN,
    4403: CloseAction.REFUSED,
    4404: CloseAction.REFUSED,
    4426: CloseAction.REFUSED,
    1000: CloseAction.LOST,
    1001: CloseAction.LOST,
    1002: CloseAction.WITHOUT_CURSOR,
    1003: CloseAction.LOST,
    1006: CloseAction.LOST,
    1007: CloseAction.WITHOUT_CURSOR,
    1008: CloseAction.LOST,
    1009: CloseAction.WITHOUT_CURSOR,
    1010: CloseAction.LOST,
    1011: CloseAction.WITHOUT_CURSOR,
    1012: CloseAction.LOST,
}


def close_action(code: int) -> CloseAction:
    """What a client does after this close code."""
    if 4400 <= code <= 4499:
        return CLOSE_ACTIONS.get(code, CloseAction.REFUSED)
    return CLOSE_ACTIONS.get(code, CloseAction.LOST)


IMAGE_FLAG: Final = 1
STALE_FLAG: Final = 2
HEADER: Final = struct.Struct("<BBHIIIQQQQQIIIIII")


class UpdateHeader(NamedTuple):
    """The header of an update."""

    version: int
    flags: int
    generation: int
    drivers_bytes: int
    rides_bytes: int
    feed_bytes: int
    loc_before: int
    ev_before: int
    loc: int
    ev: int
    at_ms: int
    epoch_check: int
    hash_a: int
    hash_b: int
    drivers_held: int
    rides_held: int
    zero: int


BLOCK_COUNTS: Final = struct.Struct("<IIIII")


class BlockCounts(NamedTuple):
    """How many rows of each kind a block of drivers has."""

    n_gone: int
    n_set: int
    n_status: int
    n_moved: int
    moved_bytes: int


RIDE: Final = struct.Struct("<BBHIiiiiIIIII")


class RideFields(NamedTuple):
    """The fixed part of a ride record."""

    id_bytes: int
    state: int
    attempt: int
    driver: int
    pickup_lng_e5: int
    pickup_lat_e5: int
    dropoff_lng_e5: int
    dropoff_lat_e5: int
    requested_ms: int
    assigned_ms: int
    arrived_ms: int
    started_ms: int
    ended_ms: int


SET_COLUMNS: Final = "IiiIBBB"
STATUS_COLUMNS: Final = "IB"
MOVED_AT_LESS_MS: Final = 1000
