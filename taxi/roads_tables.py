# SPDX-License-Identifier: Apache-2.0
"""All-pairs travel times and next arcs, computed once and kept on disk.

Both tables are (to, from): one row is everything about driving *to* one node, which is what a route
(one destination, many steps) and a pickup (one rider, many drivers) read. They live in one file, which
every process maps read-only, so that a machine holds them once.
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
"""The next arc where one has arrived."""
VERSION = 1
"""Part of the cache's key: raise it when the tables of the same graph come out differently."""
_DESTINATIONS_AT_ONCE = 256
_DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


class Tables(NamedTuple):
    """Two (n, n) tables, indexed [to, from]."""

    time_s: Table
    """Seconds, rounded to the nearest."""
    next_arc: Table
    """The arc to take first; NO_ARC on the diagonal."""


class Links(NamedTuple):
    """A graph's arcs, as far as shortest paths need them."""

    n_nodes: int
    tail: npt.NDArray[np.int32]
    head: npt.NDArray[np.int32]
    time_s: npt.NDArray[np.float64]

    def key(self) -> str:
        """Names these arcs and this code's version: the same key, the same tables."""
        digest = hashlib.blake2b(f"{VERSION} {self.n_nodes}".encode(), digest_size=12)
        for array in (self.tail, self.head, self.time_s):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def default_cache_dir() -> Path:
    """TAXI_CACHE_DIR, else the user's cache folder."""
    chosen = os.environ.get("TAXI_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("taxistream")


def load_tables(links: Links, name: str, cache_dir: Path) -> Tables:
    """Map the cached tables, or compute and cache them (about 2 s of CPU for 4,000 nodes).

    A damaged file is computed anew. Where nothing can be written, the tables stay in this process.
    """
    path = cache_dir / f"roads-{name}.{links.key()}.npy"
    if (cached := _mapped(path, links.n_nodes)) is not None:
        return cached
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _only_one(cache_dir / f"roads-{name}.lock"):  # the others wait instead of computing the same
            if (cached := _mapped(path, links.n_nodes)) is not None:
                return cached
            _write(path, compute_tables(links))
            _forget_others(path, name)
    except OSError as error:
        _log.warning("travel tables are not cached in %s: %s", cache_dir, error)
        return compute_tables(links)
    return _mapped(path, links.n_nodes) or compute_tables(links)


def compute_tables(links: Links) -> Tables:
    """Shortest paths by time between all pairs.

    Raises ValueError if some node can't be reached from another, or the graph is too large for 16 bits.
    """
    from scipy.sparse import csr_array  # noqa: PLC0415 - a gateway boots without it
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
        # On the graph turned round, a node's predecessor on the way from `to` is the next one towards it.
        seconds, towards = dijkstra(backwards, indices=to, return_predecessors=True)
        tables.time_s[to] = _as_uint16(seconds)
        towards[np.arange(len(to)), to] = to  # there already: no arc leads from a node to itself
        tables.next_arc[to] = arc_between[np.arange(n), towards]
    return tables


def _fastest_of_parallel(links: Links) -> npt.NDArray[np.int64]:
    """One arc for each ordered pair of neighbours: the fastest, of equals the first."""
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
    """Write beside, then rename: a reader sees a whole file or none. The digest stands at the end."""
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
    """The tables of a whole, undamaged file; None for any other."""
    try:
        stacked = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-_DIGEST_BYTES, os.SEEK_END)
            digest = file.read()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        _log.warning("travel tables are computed anew: %s: %s", path, error)
        return None
    if stacked.shape != (2, n, n) or stacked.dtype != np.uint16 or _digest(stacked) != digest:
        _log.warning("travel tables are computed anew: %s is damaged", path)
        return None
    return Tables(stacked[0], stacked[1])


def _digest(stacked: Table) -> bytes:
    return hashlib.blake2b(stacked.data.cast("B"), digest_size=_DIGEST_BYTES).digest()


def _forget_others(path: Path, name: str) -> None:
    """Drop the tables of older graphs of this city; who still maps them keeps them."""
    for other in path.parent.glob(f"roads-{name}.*.npy"):
        if other != path:
            other.unlink(missing_ok=True)


@contextmanager
def _only_one(lock_path: Path) -> Iterator[None]:
    """Hold a lock among processes; the kernel lets go of it when its holder dies."""
    file: IO[bytes]
    with lock_path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
