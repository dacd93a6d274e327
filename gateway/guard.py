# SPDX-License-Identifier: Apache-2.0
"""Who may do what over HTTP, and how often (docs/security.md)."""

import asyncio
import math
from typing import Final

from starlette.requests import Request

from gateway.problems import Problem, forbidden, too_many, unauthorized
from gateway.settings import Settings
from gateway.stream.limits import Meters, Rate, counted
from gateway.stream.tokens import BadTokenError, Grant, Keys, Role
from taxi.runtime.env import Env

_SCHEME: Final = "bearer "


class Guard:
    """Asked by each endpoint before it does anything."""

    def __init__(self, env: Env[Settings], keys: Keys) -> None:
        self._env = env
        self._keys = keys
        per_minute = env.settings.address_rides_per_minute
        self._rides = Meters(Rate(per_s=per_minute / 60, burst=per_minute))

    def check(self, request: Request, role: Role) -> None:
        """Whether its token allows this. Raises Problem."""
        try:
            self._check(self._grant(request), role)
        except Problem as problem:
            self._refused(problem)
            raise

    def check_rate(self, request: Request) -> None:
        """Whether this address may ask for another ride now. Raises Problem."""
        peer = request.client.host if request.client else "?"
        address = counted(peer, loopback=self._env.settings.limit_loopback)
        if address is None:
            return
        wait_s = self._rides.take(address, asyncio.get_running_loop().time())
        if wait_s:
            problem = too_many("too many rides were asked for from this address", math.ceil(wait_s))
            self._refused(problem)
            raise problem

    def _grant(self, request: Request) -> Grant:
        told = request.headers.get("authorization", "")
        token = told[len(_SCHEME) :].strip() if told[: len(_SCHEME)].lower() == _SCHEME else None
        try:
            return self._keys.read(token, self._env.now_ms())
        except BadTokenError as error:
            raise unauthorized(str(error)) from None

    def _check(self, grant: Grant, role: Role) -> None:
        if grant.city not in {None, self._env.settings.city}:
            raise forbidden("the token is for another city")
        if grant.role < role:
            raise forbidden(f"this takes the role {role.name.lower()}")

    def _refused(self, problem: Problem) -> None:
        self._env.metrics.count("gateway_refused_total", status=str(problem.status))
