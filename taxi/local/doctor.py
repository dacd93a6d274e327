# SPDX-License-Identifier: Apache-2.0
"""Looks at this machine: whether a demo can run, and what it will download first."""

import os
import shutil
from pathlib import Path
from typing import Final, Literal

import msgspec
import psutil

from taxi.local import jars, java, parts, ports
from taxi.local.broker import PORT as KAFKA_PORT
from taxi.local.disk import bound_mb
from taxi.local.errors import LocalError

MEMORY_MB: Final = 1000
"""The broker (300 MB) and six Python processes (2,000 taxis, measured)."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "problem"]
    text: str


def examine(data_dir: Path, port: int) -> list[Finding]:
    """Everything a demo in `data_dir` needs, in the order in which it needs it."""
    return [
        _java(),
        _jars(),
        _port("page port", port, data_dir, "--port"),
        _kafka_port(data_dir),
        _disk(data_dir),
        _cores(),
        _memory(),
        _demo(data_dir),
    ]


def _java() -> Finding:
    try:
        found = java.find()
    except LocalError as error:
        return Finding("Java", "problem", str(error))
    return Finding("Java", "ok", f"{found.version} at {found.path} (from {found.origin})")


def _jars() -> Finding:
    folder = jars.directory()
    if jars.are_ready(folder):
        return Finding("Kafka", "ok", f"{jars.KAFKA}, checked, in {folder}")
    there = sum((folder / jar.name).is_file() for jar in jars.pinned())
    return Finding(
        "Kafka",
        "note",
        f"{jars.KAFKA} is not here yet: the first start downloads {jars.MEGABYTES} MB "
        f"({there} of {len(jars.pinned())} jars are in {folder})",
    )


def _port(name: str, port: int, data_dir: Path, option: str) -> Finding:
    if ports.is_free(port):
        return Finding(name, "ok", f"{port} is free")
    if any(part.port == port for part in parts.look(data_dir)):
        return Finding(name, "ok", f"{port} is the running demo's")
    who = ports.holder(port) or "another process"
    return Finding(name, "problem", f"{port} is taken by {who}; stop it or choose another with {option}")


def _kafka_port(data_dir: Path) -> Finding:
    if servers := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return Finding("Kafka port", "note", f"not needed: KAFKA_BOOTSTRAP_SERVERS names {servers}")
    if ours := next((part.port for part in parts.look(data_dir) if part.name == "kafka" and part.pid), None):
        return Finding("Kafka port", "ok", f"{ours} is the running demo's")
    if ports.is_free(KAFKA_PORT):
        return Finding("Kafka port", "ok", f"{KAFKA_PORT} is free")
    free = ports.first_free(KAFKA_PORT)
    return Finding("Kafka port", "note", f"{KAFKA_PORT} is taken; a demo would use {free}")


def _disk(data_dir: Path) -> Finding:
    place = next(p for p in (data_dir.absolute(), *data_dir.absolute().parents) if p.exists())
    free_mb = shutil.disk_usage(place).free // 1_000_000
    text = f"{free_mb} MB free at {place}; {data_dir} grows to {bound_mb()} MB at most"
    return Finding("disk", "ok" if free_mb > bound_mb() else "problem", text)


def _cores() -> Finding:
    cores = psutil.cpu_count() or 1
    return Finding("cores", "ok" if cores >= 2 else "note", f"{cores} (2 are enough for 2,000 taxis)")


def _memory() -> Finding:
    free_mb = psutil.virtual_memory().available // 1_000_000
    state: Literal["ok", "note"] = "ok" if free_mb >= 1.5 * MEMORY_MB else "note"
    return Finding("memory", state, f"{free_mb} MB available (a demo takes about {MEMORY_MB} MB)")


def _demo(data_dir: Path) -> Finding:
    known = parts.read(data_dir)
    if known is not None and parts.is_alive(known.demo.pid, known.demo.created):
        return Finding("demo", "ok", f"runs in {data_dir}: {known.demo.url or known.demo.bootstrap_servers}")
    return Finding("demo", "ok", f"none runs in {data_dir}")
