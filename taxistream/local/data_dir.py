# SPDX-License-Identifier: Apache-2.0
"""The folder of a demo: what is in it, who uses it, and what `--fresh` may delete.

.taxi/
  taxistream    the marker: this folder is ours
  lock          held while a demo runs
  parts.json    the demo and its parts (taxi.runtime.parts)
  cities.json   the cities of the log, in the order of their partitions
  kafka/        the broker's log
  logs/         one log for each part
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from taxi.runtime import parts as parts_file
from taxi.runtime.machine_errors import WRONG_USE, LocalError, in_words
from taxistream.local.paths import check_name, check_parent, check_writable, delete

MARKER: Final = "taxistream"
_MARKER_TEXT: Final = (
    "Made by taxistream. `taxi demo --fresh` deletes kafka, logs, parts.json and cities.json in "
    "this folder.\n"
)
_ANOTHER: Final = "Choose another --data-dir."


class DataDir:
    """A demo's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def kafka(self) -> Path:
        return self.path / "kafka"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the folder if there is none, and lock it.

        Raises LocalError: another demo has it (named by address and pid), the folder is not taxistream's, or
        it cannot be written.
        """
        self.check()
        with in_words(self.path, do=_ANOTHER):
            self.path.mkdir(parents=True, exist_ok=True)
            if not self._marker.exists():
                self._marker.write_text(_MARKER_TEXT)
        with in_words(self._lock, do="Delete it, or choose another --data-dir."):
            lock = self._lock.open("a")
        with lock:
            try:
                with in_words(self._lock, do="Choose a --data-dir on a disk that supports file locks."):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except LocalError as error:
                raise (self._in_use() if isinstance(error.__cause__, BlockingIOError) else error) from None
            yield

    def check(self) -> None:
        """Raise LocalError if a demo cannot use this folder, as far as one can see without writing."""
        check_name(self.path)
        with in_words(self.path, do=_ANOTHER):
            if self.path.is_symlink() and not self.path.exists():
                raise _refused(f"{self.path} is a link to {self.path.readlink()}, which does not exist")
            if not self.path.exists():
                check_parent(self.path)
                return
            if not self.path.is_dir():
                raise _refused(f"{self.path} is a file, not a folder")
            if not self._marker.is_file() and any(self.path.iterdir()):
                raise LocalError(
                    f"{self.path} holds files that are not taxistream's.",
                    do="Choose another --data-dir: an empty folder, or one that does not exist yet.",
                    code=WRONG_USE,
                )
        for place in (self.path, self._lock):
            check_writable(place)

    def check_content(self) -> None:
        """Raise LocalError if an entry of the folder has the wrong kind. `start_over` repairs all."""
        for place, is_folder in (
            (self.kafka, True),
            (self.logs, True),
            (self._parts, False),
            (self._cities, False),
        ):
            with in_words(place, do=_ANOTHER):
                if place.exists() and place.is_dir() != is_folder:
                    kind, wanted = ("a file", "folder") if is_folder else ("a folder", "file")
                    raise LocalError(
                        f"{place} is {kind}, but must be a {wanted}.",
                        do="Start over with --fresh, which deletes it, or choose another --data-dir.",
                        code=WRONG_USE,
                    )
                check_writable(place)

    def make_ready(self) -> None:
        """Check what is in the folder, and make the rest. Only while held. Raises LocalError."""
        self.check_content()
        with in_words(self.logs, do=_ANOTHER):
            self.logs.mkdir(exist_ok=True)

    def start_over(self) -> None:
        """Delete the log and everything else that a demo made here. Only while held. Raises LocalError."""
        for place in (self.kafka, self.logs, self._parts, self._cities):
            with in_words(place, do=_ANOTHER):
                delete(place)

    def keep_cities(self, names: Sequence[str], prefix: str = "") -> None:
        """Note the cities of the log, or check them if there is a log: a partition never gets another city.

        Args:
            names: In the order of their partitions. There may be more or fewer than before.
            prefix: TAXI_PREFIX, because each prefix has topics of its own.

        Raises LocalError if a partition of the log is another city's. Only while held.
        """
        with in_words(self._cities, do=_ANOTHER):
            noted = _read_cities(self._cities) if self.kafka.exists() else {}
            before = noted.get(prefix, [])
            if any(name != other for name, other in zip(names, before, strict=False)):
                raise LocalError(
                    f"The log in {self.path} is that of {', '.join(before)}, in this order, and not of "
                    f"{', '.join(names)}.",
                    do=f"Start with --cities {','.join(before)} (more may follow), choose another "
                    "--data-dir, or start over with --fresh.",
                    code=WRONG_USE,
                )
            noted[prefix] = [*names, *before[len(names) :]]
            self._cities.write_bytes(msgspec.json.encode(noted))

    @property
    def _cities(self) -> Path:
        return self.path / "cities.json"

    @property
    def _marker(self) -> Path:
        return self.path / MARKER

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @property
    def _parts(self) -> Path:
        return parts_file.path(self.path)

    def _in_use(self) -> LocalError:
        try:
            running = parts_file.read(self.path)
        except LocalError:
            running = None
        who = (
            f": {running.demo.url or running.demo.bootstrap_servers}, pid {running.demo.pid}"
            if running
            else ""
        )
        return LocalError(
            f"A demo already runs in {self.path}{who}.",
            do="Use that demo, stop it first (Ctrl-C there), or choose another --data-dir.",
            code=WRONG_USE,
        )


def _read_cities(file: Path) -> dict[str, list[str]]:
    """TAXI_PREFIX → cities. Empty if the file is damaged or missing, as it is in older folders."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, list[str]])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _refused(what: str) -> LocalError:
    return LocalError(f"{what}.", do=_ANOTHER, code=WRONG_USE)
