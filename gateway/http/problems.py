# SPDX-License-Identifier: Apache-2.0
"""Errors of HTTP requests as problem documents (RFC 9457)."""

from typing import Any


class HttpProblem(Exception):  # noqa: N818 - the RFC's own word
    """An error that ends a request.

    Args:
        status: The HTTP status.
        title: Its reason phrase.
        detail: A text for the client's user. It must not contain internals.
        retry_after_s: When to try again, as `Retry-After`.
        challenge: The value of `WWW-Authenticate` (RFC 6750).
    """

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

    def document(self) -> dict[str, Any]:
        """The JSON body."""
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}

    def headers(self) -> dict[str, str]:
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return headers if self.challenge is None else headers | {"WWW-Authenticate": self.challenge}


def bad_request(detail: str) -> HttpProblem:
    """400: the request can't be parsed."""
    return HttpProblem(400, "Bad Request", detail)


def not_found(detail: str) -> HttpProblem:
    """404: there is no such thing, or not yet."""
    return HttpProblem(404, "Not Found", detail)


def unauthorized(detail: str) -> HttpProblem:
    """401: the token is missing or not valid."""
    return HttpProblem(401, "Unauthorized", detail, challenge='Bearer realm="taxistream"')


def too_many(detail: str, retry_after_s: int) -> HttpProblem:
    """429: the rate limit is exceeded."""
    return HttpProblem(429, "Too Many Requests", detail, retry_after_s=retry_after_s)


def forbidden(detail: str) -> HttpProblem:
    """403: the token's role or the request's origin does not permit this."""
    return HttpProblem(403, "Forbidden", detail)


def unprocessable(detail: str) -> HttpProblem:
    """422: the request can be parsed but has invalid values."""
    return HttpProblem(422, "Unprocessable Content", detail)


def unavailable(detail: str, retry_after_s: int) -> HttpProblem:
    """503: not now; the same request may be sent again after `retry_after_s`."""
    return HttpProblem(503, "Service Unavailable", detail, retry_after_s=retry_after_s)
