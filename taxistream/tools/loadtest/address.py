# SPDX-License-Identifier: Apache-2.0
"""The WebSocket address of a gateway. No heavy import, because settings are checked with it."""

from urllib.parse import urlsplit


def socket_url(url: str) -> str:
    """The WebSocket URL of a gateway, from `http://host:port` or `ws://host:port/ws`. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "ws"} or parts.hostname is None:
        raise ValueError(url)
    return f"ws://{parts.hostname}:{parts.port or 80}{parts.path.rstrip('/') or '/ws'}"
