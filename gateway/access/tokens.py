# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: JSON Web Tokens (RFC 7519) with HS256 that contain a role and an expiry (docs/security.md).

Callers pass the time, because a session lasts longer than the request that contained its token.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

ALGORITHM: Final = "HS256"
SECRET_BYTES_MIN: Final = 32
_TOKEN_CHARS_MAX: Final = 2048


class Role(IntEnum):
    """The rights of a token. Each role includes the rights of the lower ones."""

    VIEWER = 1
    """May connect to the stream and read over HTTP."""
    RIDER = 2
    """May request and cancel rides."""
    OPERATOR = 3
    """May kill parts of a local demo and read metrics."""


class BadTokenError(ValueError):
    """A token is missing, malformed, has a wrong signature or is not valid now. The text may be sent back."""


@dataclass(frozen=True)
class Grant:
    """The content of a valid token."""

    role: Role
    expires_ms: int | None
    """Wall clock in epoch milliseconds; None if no tokens are required."""
    city: str | None = None
    """The only city that it is valid for; None for any."""

    def is_for(self, city: str) -> bool:
        """Whether it is valid for this city."""
        return self.city in {None, city}


EVERYTHING: Final = Grant(Role.OPERATOR, None)
"""The rights of every request if no secret is configured."""


class Keys:
    """The secrets for tokens: any of them verifies, the first one signs."""

    def __init__(self, secrets: str = "") -> None:
        """Use these secrets; several, comma-separated, while a new one replaces an old one.

        Raises:
            ValueError: A secret is too short. The text does not contain it.
        """
        self._secrets = tuple(secret.strip().encode() for secret in secrets.split(",")) if secrets else ()
        if any(len(secret) < SECRET_BYTES_MIN for secret in self._secrets):
            message = f"a secret of at least {SECRET_BYTES_MIN} bytes is wanted, or several, comma-separated"
            raise ValueError(message)

    @property
    def are_needed(self) -> bool:
        """Whether tokens are required: whether there is a secret."""
        return bool(self._secrets)

    def read(self, token: str | None, now_ms: int) -> Grant:
        """Verify a token.

        Args:
            token: As received; None if there was none.
            now_ms: Wall clock, epoch milliseconds.

        Returns:
            Its content; `EVERYTHING` if no tokens are required.

        Raises:
            BadTokenError: It is missing or not valid.
        """
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
        import jwt  # noqa: PLC0415 - most gateways require no tokens and start without it

        # Times are compared with `now_ms`, not with PyJWT's own clock.
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
        """Make a token, signed with the first secret. `grant` must have an expiry.

        `now_ms`: wall clock, epoch milliseconds.
        """
        import jwt  # noqa: PLC0415 - as above

        assert grant.expires_ms is not None
        claims: dict[str, Any] = {"role": grant.role.name.lower(), "iat": now_ms // 1000}
        claims["exp"] = grant.expires_ms // 1000
        if grant.city is not None:
            claims["city"] = grant.city
        return jwt.encode(claims, self._secrets[0], ALGORITHM)


def _grant(claims: dict[str, Any], now_ms: int) -> Grant:
    """Check the types and times of a token's claims. Raises BadTokenError."""
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
