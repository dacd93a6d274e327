# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a request, as problem documents (RFC 9457)."""

from typing import Any


class Problem(Exception):  # noqa: N818 - the RFC's own word
    """Ends a request. `detail` is for a person; nothing of the inside is told."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        retry_after_s: int | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.challenge = challenge
        """What would be accepted instead (RFC 6750)."""

    def document(self) -> dict[str, Any]:
        """The JSON body."""
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}

    def headers(self) -> dict[str, str]:
        told = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return told if self.challenge is None else told | {"WWW-Authenticate": self.challenge}


def bad_request(detail: str) -> Problem:
    """The request can't be read."""
    return Problem(400, "Bad Request", detail)


def not_found(detail: str) -> Problem:
    """There is no such thing (yet)."""
    return Problem(404, "Not Found", detail)


def unauthorized(detail: str) -> Problem:
    """Not without a token that counts."""
    return Problem(401, "Unauthorized", detail, challenge='Bearer realm="taxistream"')


def too_many(detail: str, retry_after_s: int) -> Problem:
    """Not so often."""
    return Problem(429, "Too Many Requests", detail, retry_after_s=retry_after_s)


def forbidden(detail: str) -> Problem:
    """Not from there, or not by whoever that is."""
    return Problem(403, "Forbidden", detail)


def unprocessable(detail: str) -> Problem:
    """It can be read, but makes no sense."""
    return Problem(422, "Unprocessable Content", detail)


def unavailable(detail: str, retry_after_s: int) -> Problem:
    """Not now: the same request may be sent again."""
    return Problem(503, "Service Unavailable", detail, retry_after_s=retry_after_s)
