# SPDX-License-Identifier: Apache-2.0
"""The folder of a demo: what is in it, who uses it, and what `--fresh` may delete.

.taxi/
  taxistream    the marker: this folder is ours
  lock          held while a demo runs
  parts.json    the demo and its parts (taxi.local.parts)
  kafka/        the broker's log
  logs/         one log for each part
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from taxi.local import parts as parts_file
from taxi.local.errors import WRONG_USE, LocalError

MARKER: Final = "taxistream"
_MARKER_TEXT: Final = (
    "Made by taxistream. `taxi demo --fresh` deletes kafka, logs and parts.json beside this file.\n"
)
_OURS: Final = ("kafka", "logs")


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
        """Make the folder where there is none, and hold it against others.

        Raises LocalError: another demo has it (named by address and pid), or it is somebody else's folder.
        """
        self._claim()
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._in_use() from None
            yield

    def start_over(self) -> None:
        """Delete the log and everything else that a demo made here. Only while held."""
        for name in _OURS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        parts_file.path(self.path).unlink(missing_ok=True)

    def _claim(self) -> None:
        marker = self.path / MARKER
        try:
            if not marker.is_file() and self.path.exists() and any(self.path.iterdir()):
                raise LocalError(
                    f"{self.path} holds files that are not taxistream's.",
                    do="Choose another --data-dir: an empty folder, or one that does not exist yet.",
                    code=WRONG_USE,
                )
            self.logs.mkdir(parents=True, exist_ok=True)
            marker.write_text(_MARKER_TEXT)
        except OSError as error:
            raise LocalError(
                f"{self.path} cannot be written: {error.strerror}.",
                do="Choose another --data-dir.",
                code=WRONG_USE,
            ) from error

    def _in_use(self) -> LocalError:
        running = parts_file.read(self.path)
        who = (
            f": {running.demo.url or running.demo.bootstrap_servers}, pid {running.demo.pid}"
            if running
            else ""
        )
        return LocalError(
            f"A demo already runs in {self.path}{who}.",
            do="Use that one, stop it first (Ctrl-C there), or choose another --data-dir.",
            code=WRONG_USE,
        )
