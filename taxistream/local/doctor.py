# SPDX-License-Identifier: Apache-2.0
"""Looks at this machine: whether a demo can run, and what it will download first.

It asks the code that a start asks, so that it cannot say yes to what a start refuses.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec
import psutil

from taxi.runtime import parts
from taxi.runtime.machine_errors import LocalError, in_words
from taxi.runtime.parts import Parts, is_broker
from taxistream.local import jars, java, limits, ports
from taxistream.local.broker import PORT as KAFKA_PORT
from taxistream.local.broker_cluster import nodes, shared_id, size_found
from taxistream.local.data_dir import DataDir
from taxistream.local.disk import bound_mb
from taxistream.local.paths import check_name, check_parent, check_writable
from taxistream.local.room import free_space, shortage

MEMORY_MB: Final = 1000
"""The broker (300 MB) and six Python processes (2,000 taxis, measured)."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "problem"]
    text: str


def examine(data_dir: Path, port: int, host: str = ports.LOOPBACK) -> list[Finding]:
    """Everything a demo in `data_dir` needs, in the order in which it needs it."""
    running = _running(data_dir)
    checks: dict[str, Callable[[], Finding]] = {
        "Java": _java,
        "Kafka": _jars,
        "data": lambda: _data(data_dir),
        "page port": lambda: _port(port, host, running),
        "Kafka port": lambda: _kafka_port(running, port),
        "disk": lambda: _disk(data_dir),
        "limits": _limits,
        "cores": _cores,
        "memory": _memory,
        "demo": lambda: _demo(data_dir, running),
    }
    return [_run(name, check) for name, check in checks.items()]


def _run(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        with in_words():
            return check()
    except LocalError as error:
        return Finding(name, "problem", str(error))


def _java() -> Finding:
    found = java.find()
    return Finding("Java", "ok", f"{found.version} at {found.path} (from {found.origin})")


def _jars() -> Finding:
    folder = jars.directory()
    check_name(folder, do=jars.ANOTHER_CACHE)
    missing = jars.missing(folder)
    if not missing:
        return Finding("Kafka", "ok", f"{jars.KAFKA}, each jar checked, in {folder}")
    if folder.exists():
        check_writable(folder, do=jars.ANOTHER_CACHE)
    else:
        check_parent(folder, do=jars.ANOTHER_CACHE)
    altered = ", ".join(jar.name for jar in missing if (folder / jar.name).exists())
    return Finding(
        "Kafka",
        "note",
        f"{jars.KAFKA} is not all here: the next start downloads up to {jars.MEGABYTES} MB "
        f"({len(jars.pinned()) - len(missing)} of {len(jars.pinned())} jars are in {folder}"
        f"{f'; not the pinned files: {altered}' if altered else ''})",
    )


def _data(data_dir: Path) -> Finding:
    """What a start would say of the folder and of what is in it."""
    home = DataDir(data_dir)
    home.check()
    home.check_content()
    if home.kafka.exists():
        shared_id(nodes(home.kafka, size_found(home.kafka) or 1))
    return Finding("data", "ok", f"{data_dir} can be used")


def _port(port: int, host: str, running: Parts | None) -> Finding:
    if running is not None and any(part.port == port for part in running.parts):
        return Finding("page port", "ok", f"{port} is the running demo's")
    with ports.Holds() as holds:
        holds.take(port, purpose="the page", option="--port", host=host)
    return Finding("page port", "ok", f"{port} is free")


def _kafka_port(running: Parts | None, page_port: int) -> Finding:
    if servers := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return Finding("Kafka port", "note", f"not needed: KAFKA_BOOTSTRAP_SERVERS names {servers}")
    of_demo = [part.port for part in running.parts if is_broker(part.name)] if running else []
    if of_demo:
        return Finding("Kafka port", "ok", f"{of_demo[0]} is the running demo's")
    with ports.Holds() as holds:
        free = holds.first(KAFKA_PORT, taken=frozenset({page_port}))
    if free == KAFKA_PORT:
        return Finding("Kafka port", "ok", f"{KAFKA_PORT} is free")
    return Finding("Kafka port", "note", f"{KAFKA_PORT} is taken; a demo would use {free}")


def _disk(data_dir: Path) -> Finding:
    place = next(p for p in (data_dir.absolute(), *data_dir.absolute().parents) if p.exists())
    if (short := shortage(free_space(place), data_dir, is_short=True)) is not None:
        return Finding("disk", "problem", short)
    free_mb = shutil.disk_usage(place).free // 1_000_000
    bound = bound_mb(size_found(DataDir(data_dir).kafka) or 1)
    text = f"{free_mb} MB free at {place}; {data_dir} grows to {bound} MB at most"
    return Finding("disk", "ok" if free_mb > bound else "problem", text)


def _limits() -> Finding:
    limits.check_limits()
    return Finding("limits", "ok", "open files and file sizes may be as many and as large as needed")


def _cores() -> Finding:
    cores = psutil.cpu_count() or 1
    return Finding("cores", "ok" if cores >= 2 else "note", f"{cores} (2 are enough for 2,000 taxis)")


def _memory() -> Finding:
    free_mb = psutil.virtual_memory().available // 1_000_000
    state: Literal["ok", "note"] = "ok" if free_mb >= 1.5 * MEMORY_MB else "note"
    return Finding("memory", state, f"{free_mb} MB available (a demo takes about {MEMORY_MB} MB)")


def _running(data_dir: Path) -> Parts | None:
    """The demo that runs in the folder, if any."""
    try:
        known = parts.read(data_dir)
    except LocalError:
        return None  # the folder's own finding says so
    return known if known and parts.is_alive(known.demo.pid, known.demo.created) else None


def _demo(data_dir: Path, running: Parts | None) -> Finding:
    if running is None:
        return Finding("demo", "ok", f"none runs in {data_dir}")
    where = running.demo.url or running.demo.bootstrap_servers
    return Finding("demo", "ok", f"runs in {data_dir}: {where}")
