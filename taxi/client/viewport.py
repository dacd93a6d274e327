# SPDX-License-Identifier: Apache-2.0
"""Which view the rows are of, which one the application wants, and when it may be requested. No clock."""

from typing import Final, TypeAlias

from taxi.client.protocol import GENERATION_MAX, VIEW_PAUSE_MS

BBox: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north, in degrees."""
View: TypeAlias = BBox | None
"""What a client wants to see; None is the whole city."""
_PAUSE_S: Final = VIEW_PAUSE_MS / 1000


class ViewportRequests:
    """Views that were requested, by generation, until the first update of one arrives.

    At most five requests a second are due; the last view that the application wanted always is.
    """

    def __init__(self, wanted: View) -> None:
        self.wanted = wanted
        self.shown = wanted
        """What the rows are of."""
        self.due_s: float | None = None
        """When the next request is to be sent."""
        self._generation = 0
        self._requested: dict[int, View] = {}
        self._last: View = wanted
        self._pause_until_s = 0.0

    def greet(self, *, has_rows: bool) -> View:
        """The view to name in `hello`: that of the rows, or the wanted one if there are no rows.

        Requests on another connection stay known: if this one fails, the other may still answer them.
        """
        self.due_s = None
        self._pause_until_s = 0.0
        if not has_rows:
            self.shown = self.wanted
        self._last = self.shown
        return self.shown

    def want(self, view: View, now_s: float, *, is_served: bool) -> None:
        """The application wants another view."""
        self.wanted = view
        if is_served:
            self.settle(now_s)

    def settle(self, now_s: float) -> None:
        """Set `due_s`, if the wanted view is not the last one that was requested."""
        self.due_s = None if self.wanted == self._last else max(now_s, self._pause_until_s)

    def next_request(self, now_s: float) -> tuple[int, View]:
        """The request that is due: its generation and the view."""
        self.due_s = None
        self._generation = self._generation % GENERATION_MAX + 1
        self._requested[self._generation] = self._last = self.wanted
        self._pause_until_s = now_s + _PAUSE_S
        return self._generation, self.wanted

    def is_requested(self, generation: int) -> bool:
        """Whether an update may bear this generation: 0, or that of a request without an answer."""
        return generation == 0 or generation in self._requested

    def applied(self, generation: int) -> None:
        """An update of this generation was applied: the rows are of its view, earlier requests are void."""
        if generation == 0:
            return
        self.shown = self._requested[generation]
        self._requested = {later: view for later, view in self._requested.items() if later > generation}
