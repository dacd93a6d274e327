# SPDX-License-Identifier: Apache-2.0
"""Authorization and rate limits of HTTP requests (docs/security.md)."""

import asyncio
import math
from typing import Final

from starlette.requests import Request

from gateway.access.limits import GcraPerKey, Rate, rate_limit_key
from gateway.access.tokens import BadTokenError, Grant, Keys, Role
from gateway.http.problems import HttpProblem, forbidden, too_many, unauthorized
from gateway.settings import Settings
from taxi.runtime.env import Env

RIDES: Final = "requests for rides"
CANCELS: Final = "cancellations"
ROUTES: Final = "requests for routes"
_ROUTES_PER_RIDE: Final = 10
"""A page that shows a taxi's way asks for it every few seconds."""
_SCHEME: Final = "bearer "


class Guard:
    """Checks of a request. Each endpoint calls them first."""

    def __init__(self, env: Env[Settings], keys: Keys) -> None:
        self._env = env
        self._keys = keys
        per_minute = env.settings.address_rides_per_minute
        per_kind = {RIDES: per_minute, CANCELS: per_minute, ROUTES: per_minute * _ROUTES_PER_RIDE}
        self._meters = {
            kind: GcraPerKey(Rate(per_s=limit / 60, burst=limit)) for kind, limit in per_kind.items()
        }

    def check(self, request: Request, role: Role) -> None:
        """Raise Problem (401, 403) unless the request's token has this role, or no tokens are required."""
        try:
            self._check(self._grant(request), role)
        except HttpProblem as problem:
            self._refused(problem)
            raise

    def check_rate(self, request: Request, kind: str) -> None:
        """Count a request of a kind (RIDES, CANCELS, ROUTES) for its address.

        Raises Problem (429) above the limit.
        """
        peer = request.client.host if request.client else "?"
        address = rate_limit_key(peer, loopback=self._env.settings.limit_loopback)
        if address is None:
            return
        wait_s = self._meters[kind].take(address, asyncio.get_running_loop().time())
        if wait_s:
            problem = too_many(f"too many {kind} came from this address", math.ceil(wait_s))
            self._refused(problem)
            raise problem

    def _grant(self, request: Request) -> Grant:
        header = request.headers.get("authorization", "")
        token = header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else None
        try:
            return self._keys.read(token, self._env.now_ms())
        except BadTokenError as error:
            raise unauthorized(str(error)) from None

    def _check(self, grant: Grant, role: Role) -> None:
        if not grant.is_for(self._env.settings.city):
            raise forbidden("the token is for another city")
        if grant.role < role:
            raise forbidden(f"this takes the role {role.name.lower()}")

    def _refused(self, problem: HttpProblem) -> None:
        self._env.metrics.count("gateway_refused_total", status=str(problem.status))
