# SPDX-License-Identifier: Apache-2.0
"""Sends updates to clients: shared ones to clients in sync, individual ones to the others.

A client is in sync if it has been sent the last cut. All clients in sync with the same viewport and the same
encoding form a group and get the same bytes. Every other client (it reads slowly, changes its viewport, or
has just joined) is catching up: it gets an update from its own cursor and is in sync afterwards.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.stream.delta_source import Area, DeltaSource, Periods, ScenarioNotice
from gateway.stream.frames import Parcel
from gateway.stream.session import Session, SessionPhase
from taxi.cursor import Cursor
from taxi.runtime.env import Connection, Metrics

_UPDATES_KEPT_MAX: Final = 64


@dataclass(eq=False, slots=True)
class Client:
    """A connection and the session on it."""

    session: Session
    connection: Connection
    address: str | None
    """The key of its limits per address; None if it has none."""
    group: "ViewportGroup | None" = None
    """The group that it is in while it is in sync, or None. While it is set, the client's cursor is
    `Fanout.cursor`; `session.cursor` is out of date."""
    periods: Periods = ()
    """The last ones that it was sent after `ready`."""
    scenarios: tuple[ScenarioNotice, ...] = ()
    """The last ones that it was sent after `ready`."""

    @property
    def is_closed(self) -> bool:
        """Whether its session has ended; the connection may take a moment longer."""
        return self.session.phase is SessionPhase.CLOSED


@dataclass(eq=False, slots=True)
class ViewportGroup:
    """Clients in sync with the same viewport and the same encoding. It is never empty."""

    area: Area
    form: str
    """The encoding: `Connection.form` of all members."""
    members: dict[Client, Connection] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """Counts of one `publish`, for the metrics."""

    updates: int = 0
    """Updates sent."""
    bytes: int = 0
    """Their bytes, as sent."""
    skipped: int = 0
    """Clients that got no update because they have not read the one before."""


class UpdateCache:
    """A cache of the updates that lead to the last cut, so that each is encoded once."""

    def __init__(
        self, source: DeltaSource, *, stale: bool, metrics: Metrics, now_s: Callable[[], float]
    ) -> None:
        self.source = source
        self._stale = stale
        self._metrics = metrics
        self._now_s = now_s
        self._steps: dict[Area, Parcel] = {}
        self._diffs: dict[tuple[Cursor | None, Area, Area, int], Parcel] = {}

    def step(self, area: Area) -> Parcel:
        """The update from the previous cut to the last one, for clients with this viewport."""
        parcel = self._steps.get(area)
        if parcel is None:
            began_s = self._now_s()
            parcel = self._steps[area] = Parcel(self.source.step(area, stale=self._stale))
            self._note("step", parcel, began_s)
        return parcel

    def since(self, cursor: Cursor | None, old: Area, new: Area, generation: int = 0) -> Parcel:
        """The update from (`cursor`, `old`) to (last cut, `new`); the image of `new` if `cursor` is None.

        `cursor` must be served by the source. At most `_UPDATES_KEPT_MAX` of them are cached.
        """
        key = cursor, old, new, generation
        parcel = self._diffs.get(key)
        if parcel is None:
            if len(self._diffs) >= _UPDATES_KEPT_MAX:
                self._diffs.clear()
            began_s = self._now_s()
            update = self.source.diff(cursor, old, new, stale=self._stale, generation=generation)
            parcel = self._diffs[key] = Parcel(update, is_large=cursor is None)
            self._note(self._kind(cursor, generation), parcel, began_s)
        return parcel

    def _note(self, kind: str, parcel: Parcel, began_s: float) -> None:
        self._metrics.observe("gateway_encode_seconds", self._now_s() - began_s, kind=kind)
        self._metrics.observe("gateway_frame_bytes", len(parcel.message), kind=kind)

    def _kind(self, cursor: Cursor | None, generation: int) -> str:
        if cursor is None:
            return "image"
        if generation:
            return "viewport"
        return "beat" if cursor == self.source.cursor else "diff"


class Fanout:
    """All live clients. Each is either in one group (in sync) or in `apart` (catching up)."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        """The cursor of all clients in groups: the last cut that was published."""
        self.apart: dict[Client, None] = {}
        """Live clients that need an update of their own, in the order in which they came."""
        self._groups: dict[tuple[Area, str], ViewportGroup] = {}

    # --- groups -----------------------------------------------------------------------------------

    def join(self, client: Client) -> None:
        """Add a client to its group: it was sent the last cut, so it is in sync."""
        self.apart.pop(client, None)
        assert client.session.cursor == self.cursor
        key = client.session.area, client.connection.form
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = ViewportGroup(*key)
        group.members[client] = client.connection
        client.group = group

    def set_apart(self, client: Client) -> None:
        """Take a client out of its group: its next update is for it alone. Sets `session.cursor`."""
        self._part(client)
        self.apart[client] = None

    def set_all_apart(self) -> None:
        """The next update of every live client is for it alone."""
        for client in list(self.everyone()):
            self.set_apart(client)

    def leave(self, client: Client) -> None:
        """Remove a client: it gets no more updates. Sets `session.cursor` if it was in sync."""
        self._part(client)
        self.apart.pop(client, None)

    def _part(self, client: Client) -> None:
        group, client.group = client.group, None
        if group is None:
            return
        client.session.cursor = self.cursor
        group.members.pop(client, None)
        if not group.members:
            del self._groups[group.area, group.form]

    def everyone(self) -> Iterator[Client]:
        """All live clients, in no particular order."""
        for group in self._groups.values():
            yield from group.members
        yield from self.apart

    # --- sending ----------------------------------------------------------------------------------

    def send_to_groups(self, updates: UpdateCache, now_s: float, *, beat: bool) -> Tally:
        """Send the last cut to all clients in groups. Those that read slowly are set apart instead.

        Args:
            updates: The updates to the last cut.
            now_s: Loop time.
            beat: Send an empty update if the cut has not changed.
        """
        tally, source = Tally(), updates.source
        if source.cursor == self.cursor and not beat:
            return tally
        steps = source.cursor != self.cursor == source.previous
        if not steps and self._groups and not (self.cursor and source.serves(self.cursor)):
            self.set_all_apart()
        late: list[Client] = []
        for group in self._groups.values():
            area = group.area
            parcel = updates.step(area) if steps else updates.since(self.cursor, area, area)
            late += _write(group, parcel, tally)
        for client in late:  # before `self.cursor` changes: they have the cut before
            self.set_blocked(client, now_s)
        self.cursor = source.cursor
        return tally

    def set_blocked(self, client: Client, now_s: float) -> None:
        """Set apart a client that has not read an earlier update."""
        self.set_apart(client)
        client.session.blocked(now_s)


def _write(group: ViewportGroup, parcel: Parcel, tally: Tally) -> list[Client]:
    """Write an update to all members that have read the one before, and return the other members.

    This is the innermost loop of the fan-out, so it does nothing else for each client.
    """
    late: list[Client] = []
    wire = parcel.wire(group.form, len(group.members))
    for client, connection in group.members.items():
        if connection.backlog():
            late.append(client)
        else:
            connection.write(wire)
    sent = len(group.members) - len(late)
    tally.updates += sent
    tally.bytes += sent * len(wire)
    tally.skipped += len(late)
    return late
