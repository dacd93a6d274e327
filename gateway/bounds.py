# SPDX-License-Identifier: Apache-2.0
"""The limits of a gateway's connections, derived from its settings (docs/security.md)."""

import ipaddress
from collections.abc import Callable

from gateway.access.limits import GcraPerKey, Rate, rate_limit_key
from gateway.settings import Settings
from gateway.stream.transport import Bounds
from gateway.stream.websocket import SocketTerms
from taxi.runtime import descriptors
from taxi.runtime.admission import Admission, ConnectionLimits
from taxi.runtime.checks import plain_address
from taxi.runtime.env import Env

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def of(env: Env[Settings]) -> Bounds:
    """The limits of one gateway. It first raises the process's limit of descriptors."""
    settings, metrics = env.settings, env.metrics
    limit = descriptors.raise_limit(env.log)
    if settings.clients_max > limit - descriptors.RESERVE:
        env.log.warning(
            "fewer descriptors than clients may come",
            limit=limit,
            TAXI_CLIENTS_MAX=settings.clients_max,
            do="raise `ulimit -n`, or lower TAXI_CLIENTS_MAX",
        )
    # A page opens six connections besides its WebSocket, and all clients of an address may reconnect at once.
    connects = GcraPerKey(Rate(per_s=100.0, burst=max(1_000, 8 * settings.address_clients_max)))

    def failed(reason: str) -> None:
        if reason.isdecimal():
            metrics.count("gateway_refused_total", status=reason)
        else:
            metrics.count("gateway_accept_failures_total", reason=reason)

    admission = Admission(
        ConnectionLimits(per_address=max(1_000, 2 * settings.address_clients_max)),
        address_of=addresses(settings.trusted_proxies, loopback=settings.limit_loopback),
        may_connect=lambda address, now_s: connects.take(address, now_s) == 0.0,
        failed=failed,
        log=env.log,
        faults=env.faults,
    )
    terms = SocketTerms(closed=lambda code: metrics.count("gateway_closed_total", code=str(int(code))))
    return Bounds(socket=terms, admission=admission)


def addresses(trusted_proxies: str, *, loopback: bool) -> Callable[[str], str | None]:
    """A function from a peer's address to the key of its limits, or None for a trusted proxy.

    Connections of a proxy can't be counted per client, because the client's address is known only from the
    request.

    Args:
        trusted_proxies: The setting: addresses and networks, comma-separated, or `*`.
        loopback: Whether this machine's own addresses are limited, too.
    """
    listed = [name.strip() for name in trusted_proxies.split(",") if name.strip()]
    if "*" in listed:
        return lambda _: None
    proxies = [network for name in listed if (network := _network(name)) is not None]

    def address_of(peer: str) -> str | None:
        own = _network(plain_address(peer))
        if own is not None and any(_contains(proxy, own) for proxy in proxies):
            return None
        return rate_limit_key(peer, loopback=loopback)

    return address_of


def _network(name: str) -> _Network | None:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None


def _contains(proxy: _Network, peer: _Network) -> bool:
    return peer.version == proxy.version and peer.network_address in proxy
