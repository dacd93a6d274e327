# SPDX-License-Identifier: Apache-2.0
"""Whether the disk of the data directory has room for what must write.

Kafka ends at the first write that fails. So the parts that make it write are paused while there is still a
little room: then the broker lives on and can be read. If other programs fill the rest, it ends, and is
started again once there is room.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from taxi.runtime.machine_errors import NO_ROOM, LocalError

MB: Final = 1_000_000
PAUSE_BELOW_MB: Final = 64
GO_ON_ABOVE_MB: Final = 128
"""Also what a start needs. The distance between the two keeps parts from starting and pausing in turns."""
PAUSE_BELOW_FILES: Final = 200
GO_ON_ABOVE_FILES: Final = 400
"""Files that can still be made (inodes). Kafka makes about 150 at its first start."""
_PROBE_BYTES: Final = 1 << 20


class Space(NamedTuple):
    """What is free on a disk."""

    free_mb: int
    files: int | None
    """How many files can still be made, None where the file system sets no bound."""


def free_space(folder: Path) -> Space:
    """What a user may still write there. Raises OSError."""
    found = os.statvfs(folder)
    return Space(found.f_bavail * found.f_frsize // MB, found.f_favail if found.f_files else None)


def shortage(space: Space, folder: Path, *, is_short: bool) -> str | None:
    """What there is too little of, as a sentence, or None. `is_short`: whether it was too little before."""
    mb = GO_ON_ABOVE_MB if is_short else PAUSE_BELOW_MB
    if space.free_mb < mb:
        return f"Only {space.free_mb} MB are free on the disk of {folder}; {GO_ON_ABOVE_MB} MB are needed."
    files = GO_ON_ABOVE_FILES if is_short else PAUSE_BELOW_FILES
    if space.files is not None and space.files < files:
        return f"Only {space.files} more files can be made on the disk of {folder} (see `df -i`)."
    return None


def require_room(folder: Path) -> None:
    """Raise LocalError unless the disk has room for a start."""
    with suppress(OSError):
        if (text := shortage(free_space(folder), folder, is_short=True)) is not None:
            raise LocalError(text, do="Make room, or choose another --data-dir.")


def probe_write(folder: Path) -> None:
    """Write a file and delete it. Raises OSError."""
    place = folder / "room.probe"
    try:
        with place.open("wb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        place.unlink(missing_ok=True)


class Room:
    """Checks the disk repeatedly, and keeps what it found last."""

    def __init__(self, folder: Path) -> None:
        self.problem: str | None = None
        """Why nothing should be written now; None if there is room."""
        self._folder = folder
        self._failed = False
        """Whether a write failed, whatever the free space says (a quota, a disk that became read-only)."""

    def suspect(self, why: str) -> None:
        """A write failed for want of room. There is none until a write of our own has succeeded."""
        self._failed = True
        self.problem = self.problem or f"The disk of {self._folder} cannot be written: {why}."

    def refresh(self) -> None:
        """Check the disk again. It reads, and after a failed write also writes, so call it in a thread."""
        try:
            short = shortage(free_space(self._folder), self._folder, is_short=self.problem is not None)
            if short is None and self._failed:
                probe_write(self._folder)
                self._failed = False
            self.problem = short
        except OSError as error:
            # What is neither full nor read-only (a disk that is gone, say) keeps the words it has.
            if self._failed or error.errno in NO_ROOM | {errno.EROFS, errno.EIO}:
                self.problem = f"The disk of {self._folder} cannot be written: {error.strerror}."
