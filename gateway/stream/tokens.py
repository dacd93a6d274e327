# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: who may do what, until when (docs/security.md). JSON Web Tokens, HS256.

Time is handed in, because a session outlives the moment at which its token was read.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

ALGORITHM: Final = "HS256"
SECRET_BYTES_MIN: Final = 32
_TOKEN_CHARS_MAX: Final = 2048


class Role(IntEnum):
    """Each may do what the one before it may."""

    VIEWER = 1
    """See the stream, and read over HTTP."""
    RIDER = 2
    """Ask for rides, and cancel them."""
    OPERATOR = 3
    """Kill parts of a local demo, and read metrics."""


class BadTokenError(ValueError):
    """It is missing, not ours, or expired. The text may be told to whoever sent it."""


@dataclass(frozen=True)
class Grant:
    """What a token allows."""

    role: Role
    expires_ms: int | None
    """Wall clock; None: never, because no tokens are asked for."""
    city: str | None = None
    """None: any."""


EVERYTHING: Final = Grant(Role.OPERATOR, None)
"""Where no secret is set there are no tokens: everyone may do everything."""


class Keys:
    """The secrets that tokens may be signed with; the first one signs."""

    def __init__(self, secrets: str = "") -> None:
        """Comma-separated, so that an old one goes on to count while a new one is brought in.

        Raises ValueError, without naming a secret.
        """
        self._secrets = tuple(secret.strip().encode() for secret in secrets.split(",") if secret.strip())
        if any(len(secret) < SECRET_BYTES_MIN for secret in self._secrets):
            message = f"a token secret has at least {SECRET_BYTES_MIN} bytes"
            raise ValueError(message)

    @property
    def are_needed(self) -> bool:
        """Whether tokens are asked for at all."""
        return bool(self._secrets)

    def read(self, token: str | None, now_ms: int) -> Grant:
        """What it allows. Raises BadTokenError."""
        if not self._secrets:
            return EVERYTHING
        if not token:
            message = "a token is needed"
            raise BadTokenError(message)
        if len(token) > _TOKEN_CHARS_MAX:
            message = "the token is too long"
            raise BadTokenError(message)
        grant = _grant(self._claims(token), now_ms)
        assert grant.expires_ms is not None
        if grant.expires_ms <= now_ms:
            message = "the token has expired"
            raise BadTokenError(message)
        return grant

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt  # noqa: PLC0415 - most gateways ask for no tokens, and boot without it

        # Times are compared with the clock that was handed in, not with PyJWT's own.
        options: Any = {"require": ["exp", "role"], "verify_exp": False, "verify_nbf": False}
        options |= {"verify_iat": False, "verify_aud": False}
        for secret in self._secrets:
            try:
                return jwt.decode(token, secret, [ALGORITHM], options)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, ValueError) as error:
                message = f"the token can't be read: {error}"
                raise BadTokenError(message) from None
        message = "the token was not signed here"
        raise BadTokenError(message)

    def mint(self, grant: Grant, now_ms: int) -> str:
        """A token signed with the first secret."""
        import jwt  # noqa: PLC0415 - as above

        assert grant.expires_ms is not None
        claims: dict[str, Any] = {"role": grant.role.name.lower(), "iat": now_ms // 1000}
        claims["exp"] = grant.expires_ms // 1000
        if grant.city is not None:
            claims["city"] = grant.city
        return jwt.encode(claims, self._secrets[0], ALGORITHM)


def _grant(claims: dict[str, Any], now_ms: int) -> Grant:
    """Raises BadTokenError."""
    role, exp, nbf, city = (claims.get(name) for name in ("role", "exp", "nbf", "city"))
    roles = {role.name.lower(): role for role in Role}
    if not isinstance(role, str) or role not in roles:
        message = f"the token's role is none of {', '.join(roles)}"
        raise BadTokenError(message)
    if not _is_time(exp) or not _is_time(nbf or 0):
        message = "the token's times are seconds since 1970"
        raise BadTokenError(message)
    if not (city is None or isinstance(city, str)):
        message = "the token's city is a name"
        raise BadTokenError(message)
    if (nbf or 0) * 1000 > now_ms:
        message = "the token is not valid yet"
        raise BadTokenError(message)
    return Grant(roles[role], int((exp or 0) * 1000), city)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11
