# SPDX-License-Identifier: Apache-2.0
"""Who gets which frame of a cut. Clients that stand where the last cut led, with one view, share a frame.

All others (slow ones, those who move on, those who just came) get a diff from where they stand alone, and
are abreast with the others after it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.stream.frames import Parcel
from gateway.stream.picture import Area, Picture
from gateway.stream.session import Phase, Session
from taxi.cursor import Cursor
from taxi.runtime.env import Connection, Metrics

_FRAMES_KEPT_MAX: Final = 64


@dataclass(eq=False, slots=True)
class Client:
    """A connection and the session on it."""

    session: Session
    connection: Connection
    address: str | None
    """What its limits are counted under."""
    group: "Group | None" = None
    """Where it is abreast; its session's cursor is not kept meanwhile, for the group's is it."""

    @property
    def is_closed(self) -> bool:
        """Whether its session has ended; the connection may take a moment longer."""
        return self.session.phase is Phase.CLOSED


@dataclass(eq=False, slots=True)
class Group:
    """Clients with one view and one form of frames, all at the last cut."""

    area: Area
    form: str
    members: dict[Client, Connection] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What a cut came to."""

    frames: int = 0
    bytes: int = 0
    skipped: int = 0
    """Clients that have not read the frame before."""


class Frames:
    """Frames that lead to the last cut, each encoded once."""

    def __init__(
        self, picture: Picture, *, stale: bool, metrics: Metrics, now_s: Callable[[], float]
    ) -> None:
        self.picture = picture
        self._stale = stale
        self._metrics = metrics
        self._now_s = now_s
        self._steps: dict[Area, Parcel] = {}
        self._diffs: dict[tuple[Cursor | None, Area, Area, int], Parcel] = {}

    def step(self, area: Area) -> Parcel:
        """From the cut before."""
        parcel = self._steps.get(area)
        if parcel is None:
            began_s = self._now_s()
            parcel = self._steps[area] = Parcel(self.picture.step(area, stale=self._stale))
            self._note("step", parcel, began_s)
        return parcel

    def since(self, cursor: Cursor | None, old: Area, new: Area, generation: int = 0) -> Parcel:
        """From any cursor that is served, and any view; from None the image."""
        key = cursor, old, new, generation
        parcel = self._diffs.get(key)
        if parcel is None:
            if len(self._diffs) >= _FRAMES_KEPT_MAX:
                self._diffs.clear()
            began_s = self._now_s()
            frame = self.picture.diff(cursor, old, new, stale=self._stale, generation=generation)
            parcel = self._diffs[key] = Parcel(frame, is_large=cursor is None)
            self._note(self._kind(cursor, generation), parcel, began_s)
        return parcel

    def _note(self, kind: str, parcel: Parcel, began_s: float) -> None:
        self._metrics.observe("gateway_encode_seconds", self._now_s() - began_s, kind=kind)
        self._metrics.observe("gateway_frame_bytes", len(parcel.message), kind=kind)

    def _kind(self, cursor: Cursor | None, generation: int) -> str:
        if cursor is None:
            return "image"
        if generation:
            return "view"
        return "beat" if cursor == self.picture.cursor else "diff"


class Fanout:
    """All live clients."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        """Where everyone in a group stands."""
        self.apart: dict[Client, None] = {}
        """Live, and due a diff of their own."""
        self._groups: dict[tuple[Area, str], Group] = {}

    # --- who stands where -------------------------------------------------------------------------

    def join(self, client: Client) -> None:
        """It was sent the last cut: it gets the next ones with the others."""
        self.apart.pop(client, None)
        assert client.session.cursor == self.cursor
        key = client.session.area, client.connection.form
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key)
        group.members[client] = client.connection
        client.group = group

    def set_apart(self, client: Client) -> None:
        """The next frame is for it alone."""
        self._part(client)
        self.apart[client] = None

    def leave(self, client: Client) -> None:
        """Nothing more for it."""
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
        """All live clients, in no order to lean on."""
        for group in self._groups.values():
            yield from group.members
        yield from self.apart

    # --- sending ----------------------------------------------------------------------------------

    def abreast(self, frames: Frames, now_s: float, *, beat: bool) -> Tally:
        """The last cut to everyone in a group; with `beat` also where it has not moved."""
        tally, picture = Tally(), frames.picture
        if picture.cursor == self.cursor and not beat:
            return tally
        steps = picture.cursor != self.cursor == picture.previous
        if not steps and self._groups and not (self.cursor and picture.serves(self.cursor)):
            for client in list(self.everyone()):
                self.set_apart(client)
        late: list[Client] = []
        for group in self._groups.values():
            area = group.area
            parcel = frames.step(area) if steps else frames.since(self.cursor, area, area)
            late += _write(group, parcel, tally)
        for client in late:  # they stand where everyone stood before
            self._blocked(client, now_s)
        self.cursor = picture.cursor
        return tally

    def _blocked(self, client: Client, now_s: float) -> None:
        self.set_apart(client)
        client.session.blocked(now_s)


def _write(group: Group, parcel: Parcel, tally: Tally) -> list[Client]:
    """To all that have read the frame before; the others. Nothing else may cost anything for each client."""
    late: list[Client] = []
    wire = parcel.wire(group.form, len(group.members))
    for client, connection in group.members.items():
        if connection.backlog():
            late.append(client)
        else:
            connection.write(wire)
    sent = len(group.members) - len(late)
    tally.frames += sent
    tally.bytes += sent * len(wire)
    tally.skipped += len(late)
    return late
