# SPDX-License-Identifier: Apache-2.0
"""All-pairs travel times and next arcs, computed once and cached on disk.

Both tables are indexed [to, from]. A row is about driving *to* one node; a route (one destination, many
steps) and a pickup (one rider, many drivers) read one row. Both are in one file, which all processes map
read-only, so a machine holds them in memory once.
"""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import platformdirs

Table: TypeAlias = npt.NDArray[np.uint16]

NO_ARC = np.uint16(65_535)
"""The next arc from a node to itself."""
VERSION = 1
"""Part of the cache's key. Increase it if the code computes other tables for the same graph."""
_DESTINATIONS_AT_ONCE = 256
_DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


class Tables(NamedTuple):
    """Two (n, n) tables, indexed [to, from]."""

    time_s: Table
    """Seconds, rounded to the nearest."""
    next_arc: Table
    """The first arc of the fastest route; NO_ARC on the diagonal."""


class Links(NamedTuple):
    """The arcs of a graph with m arcs, as shortest paths need them."""

    n_nodes: int
    tail: npt.NDArray[np.int32]
    """(m,) the node where the arc begins."""
    head: npt.NDArray[np.int32]
    """(m,) the node where it ends."""
    time_s: npt.NDArray[np.float64]
    """(m,) driving time."""

    def key(self) -> str:
        """A digest of the arcs and of VERSION. The same key means the same tables."""
        digest = hashlib.blake2b(f"{VERSION} {self.n_nodes}".encode(), digest_size=12)
        for array in (self.tail, self.head, self.time_s):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def default_cache_dir() -> Path:
    """The folder in TAXI_CACHE_DIR if set, otherwise the user's cache folder."""
    chosen = os.environ.get("TAXI_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("taxistream")


def load_tables(links: Links, name: str, cache_dir: Path) -> Tables:
    """Map the cached tables, or compute and cache them (about 2 s of CPU for 4,000 nodes).

    A damaged file is replaced. If the folder can't be written, the tables are kept in this process only.

    Args:
        links: The arcs.
        name: The city's name, a part of the file's name.
        cache_dir: The folder of the files.

    Raises:
        ValueError: As `compute_tables`.
    """
    path = cache_dir / f"roads-{name}.{links.key()}.npy"
    if (cached := _mapped(path, links.n_nodes)) is not None:
        return cached
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _only_one(cache_dir / f"roads-{name}.lock"):  # other processes wait instead of computing, too
            if (cached := _mapped(path, links.n_nodes)) is not None:
                return cached
            _write(path, compute_tables(links))
            _delete_others(path, name)
    except OSError as error:
        _log.warning("travel tables are not cached in %s: %s", cache_dir, error)
        return compute_tables(links)
    return _mapped(path, links.n_nodes) or compute_tables(links)


def compute_tables(links: Links) -> Tables:
    """Compute the fastest routes between all pairs of nodes (Dijkstra's algorithm from each destination).

    Raises:
        ValueError: A node can't be reached from another one, or an index or time does not fit into 16 bits.
    """
    from scipy.sparse import csr_array  # noqa: PLC0415 - a gateway starts without it
    from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415

    n = links.n_nodes
    if n >= NO_ARC or len(links.tail) >= NO_ARC:
        message = f"{n} nodes, {len(links.tail)} arcs: the tables have 16 bits"
        raise ValueError(message)
    best = _fastest_of_parallel(links)
    tail, head = links.tail[best], links.head[best]
    arc_between = np.full((n, n), NO_ARC, np.uint16)
    arc_between[tail, head] = best
    backwards = csr_array((links.time_s[best], (head, tail)), shape=(n, n))
    tables = Tables(np.empty((n, n), np.uint16), np.empty((n, n), np.uint16))
    for first in range(0, n, _DESTINATIONS_AT_ONCE):
        to = np.arange(first, min(n, first + _DESTINATIONS_AT_ONCE))
        # In the reversed graph, a node's predecessor on the route from `to` is its successor on the route to
        # `to`.
        seconds, towards = dijkstra(backwards, indices=to, return_predecessors=True)
        tables.time_s[to] = _as_uint16(seconds)
        towards[np.arange(len(to)), to] = to  # the diagonal; no arc leads from a node to itself
        tables.next_arc[to] = arc_between[np.arange(n), towards]
    return tables


def _fastest_of_parallel(links: Links) -> npt.NDArray[np.int64]:
    """The fastest arc of each ordered pair of different neighbours; the first one if times are equal."""
    pair = links.tail.astype(np.int64) * links.n_nodes + links.head
    order = np.lexsort((np.arange(len(pair)), links.time_s, pair))
    first = np.ones(len(order), bool)
    first[1:] = pair[order][1:] != pair[order][:-1]
    best: npt.NDArray[np.int64] = order[first]
    no_loop: npt.NDArray[np.bool_] = links.tail[best] != links.head[best]
    return best[no_loop]


def _as_uint16(seconds: npt.NDArray[np.float64]) -> Table:
    longest = seconds.max()
    if not longest < NO_ARC:
        message = f"the longest way takes {longest} s: not strongly connected, or too large for 16 bits"
        raise ValueError(message)
    return np.rint(seconds).astype(np.uint16)


def _write(path: Path, tables: Tables) -> None:
    """Write a temporary file and rename it, so that readers never see a partial one.

    A digest ends the file.
    """
    stacked = np.stack(tables)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        temporary = Path(file.name)
        try:
            np.lib.format.write_array(file, stacked, version=(1, 0))
            file.write(_digest(stacked))
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _mapped(path: Path, n: int) -> Tables | None:
    """The tables of a file, mapped read-only; None if it is missing or damaged."""
    try:
        stacked = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-_DIGEST_BYTES, os.SEEK_END)
            digest = file.read()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        _log.warning("travel tables are computed again: %s: %s", path, error)
        return None
    if stacked.shape != (2, n, n) or stacked.dtype != np.uint16 or _digest(stacked) != digest:
        _log.warning("travel tables are computed again: %s is damaged", path)
        return None
    return Tables(stacked[0], stacked[1])


def _digest(stacked: Table) -> bytes:
    return hashlib.blake2b(stacked.data.cast("B"), digest_size=_DIGEST_BYTES).digest()


def _delete_others(path: Path, name: str) -> None:
    """Delete the tables of this city's earlier graphs. Processes that map them keep their data."""
    for other in path.parent.glob(f"roads-{name}.*.npy"):
        if other != path:
            other.unlink(missing_ok=True)


@contextmanager
def _only_one(lock_path: Path) -> Iterator[None]:
    """Hold a lock file within the block. The kernel releases it if the process dies."""
    file: IO[bytes]
    with lock_path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
