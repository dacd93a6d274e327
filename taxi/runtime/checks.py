# SPDX-License-Identifier: Apache-2.0
"""Checks of a setting's value beyond its type. Each returns a text that says what is wrong, or None."""

import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import Final

_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")
_NAME_CHARS_MAX: Final = 100
_HOST_CHARS_MAX: Final = 253
_PORT_MAX: Final = 65535


def text(value: str) -> str | None:
    """Any value: it must be UTF-8 without control characters."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        return "it is not UTF-8"
    if any(char < " " or char == "\x7f" for char in value):
        return "it holds a line break or another control character"
    return None


def host(value: str) -> str | None:
    """An address or a host name to listen on, without a port."""
    if is_address(value) or _is_name(value):
        return None
    if value == "*":
        return "write 0.0.0.0 for all IPv4 addresses of this machine, :: for all"
    return "an IP address or a host name without a port is wanted"


def servers(value: str) -> str | None:
    """A list of bootstrap servers, `host:port,host:port`. The default port is 9092."""
    wanted = "host:port, comma-separated, is wanted, as in broker-1:9092,broker-2:9092"
    for entry in value.split(","):
        address = entry.strip()
        if address.startswith("["):
            name, closed, port = address[1:].partition("]")
            is_host = bool(closed) and ":" in name and is_address(name) and port[:1] in {"", ":"}
            port = port.removeprefix(":") if port else "9092"
        else:
            name, colon, port = address.partition(":")
            is_host, port = is_address(name) or _is_name(name), port if colon else "9092"
        if not is_host or not is_port(port):
            return wanted if entry == value else f"{entry!r} is no address; {wanted}"
    return None


def networks(value: str) -> str | None:
    """IP addresses and networks, comma-separated, perhaps none."""
    for entry in value.split(",") if value else ():
        try:
            ipaddress.ip_network(entry.strip())
        except ValueError as error:
            if entry.strip() == "*":
                return "write 0.0.0.0/0,::/0 to believe everyone, who may then give any address as theirs"
            hint = str(error) if "host bits" in str(error) else f"{entry!r} is none"
            return (
                f"IP addresses and networks, comma-separated, are wanted, as in 10.0.0.7,10.1.0.0/16 ({hint})"
            )
    return None


def file(value: str) -> str | None:
    """The path of a file that this process may read, or empty."""
    if not value:
        return None
    try:
        is_directory = stat.S_ISDIR(Path(value).stat().st_mode)
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    if is_directory:
        return "it is a directory, and a file is wanted"
    return None if os.access(value, os.R_OK) else "this user may not read it"


def directory(value: str) -> str | None:
    """The path of an existing directory, or empty."""
    try:
        found = not value or stat.S_ISDIR(Path(value).stat().st_mode)
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    return None if found else "it is no directory"


def prefix(value: str) -> str | None:
    """A prefix of topic names."""
    return None if _PREFIX.fullmatch(value) else "up to 100 of A-Z a-z 0-9 . _ - are wanted"


def name(value: str) -> str | None:
    """The name of a process."""
    return None if len(value) <= _NAME_CHARS_MAX else f"at most {_NAME_CHARS_MAX} characters are wanted"


def is_port(value: str) -> bool:
    """Whether this is a port number from 1 to 65535."""
    return value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= _PORT_MAX


def is_address(value: str) -> bool:
    """Whether this is an IP address, without brackets."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def plain_address(text: str) -> str:
    """Convert an IPv4-mapped IPv6 address (::ffff:192.0.2.1) to IPv4; other text is returned unchanged."""
    if not text.startswith("::ffff:") or not is_address(text):
        return text
    mapped = ipaddress.IPv6Address(text).ipv4_mapped
    return text if mapped is None else str(mapped)


def is_loopback(host: str) -> bool:
    """Whether an address or a name can only be reached from this machine: 127.0.0.0/8, ::1, *.localhost."""
    if is_address(host):
        return ipaddress.ip_address(plain_address(host)).is_loopback
    return f".{host.lower().removesuffix('.')}".endswith(".localhost")


def _is_name(value: str) -> bool:
    """Whether this is a host name.

    If the last label is a number, it is an address (WHATWG URL, host parsing).
    """
    labels = value.removesuffix(".").split(".")
    is_number = labels[-1].isdigit() or re.fullmatch(r"0[xX][0-9A-Fa-f]*", labels[-1])
    well_formed = all(_LABEL.fullmatch(label) for label in labels)
    return len(value) <= _HOST_CHARS_MAX and well_formed and not is_number
