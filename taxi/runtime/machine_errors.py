# SPDX-License-Identifier: Apache-2.0
"""Errors of the local machine, with texts that say what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FAILED: Final = 1
WRONG_USE: Final = 2
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a write that a full disk, a quota or a limit on file sizes causes."""

OF_THE_MACHINE: Final = NO_ROOM | {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE),
}
"""Errors that the machine or its disk causes; they are neither bugs nor network errors."""

_WHAT_TO_DO: Final = {
    errno.ENOSPC: "Make room on that disk (`df -h` and `df -i` show how full it is).",
    errno.EDQUOT: "Your quota on that disk is used up: make room, or ask its administrator for more.",
    errno.EFBIG: "A limit on file sizes was reached: see `ulimit -f`.",
    errno.EROFS: "That disk is mounted read-only: mount it for writing, or choose another folder.",
    errno.EIO: "The disk reports an error: read the system's log, or choose another folder.",
    errno.EMFILE: "Raise the limit on open files (`ulimit -n`), or close other programs.",
    errno.ENFILE: "Close other programs.",
    errno.ENOMEM: "Close other programs: the machine's memory is used up.",
    errno.EAGAIN: "Close other programs, or raise the limit on processes (`ulimit -u`).",
    errno.ENAMETOOLONG: "Choose a folder with a shorter name.",
}


class LocalError(Exception):
    """A condition of this machine prevents the work: `what` happened, what to `do`, and the exit code."""

    def __init__(self, what: str, *, do: str, code: int = FAILED, details: str = "") -> None:
        super().__init__(f"{what} {do}")
        self.what = what
        self.do = do
        self.code = code
        self.details = details
        """Further lines, such as the end of a log, that are printed between the two."""
        if details:
            self.add_note(details)  # shown with a traceback


def from_os(error: OSError, path: Path | None = None, *, do: str = "") -> LocalError:
    """A LocalError for an error of the operating system.

    Args:
        error: The system's error.
        path: The file it is about if the error names none.
        do: What to do if the kind of error does not say it.
    """
    where = Path(os.fsdecode(error.filename)) if error.filename else path
    reason = error.strerror or str(error)
    what = f"{where}: {reason}{_owner(error, where)}." if where else f"The system refused: {reason}."
    is_short = error.errno in {*NO_ROOM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO}
    return LocalError(what, do=_WHAT_TO_DO.get(error.errno or 0, do), code=FAILED if is_short else WRONG_USE)


@contextmanager
def in_words(path: Path | None = None, *, do: str = "") -> Iterator[None]:
    """Convert errors of the operating system within the block into LocalError (see `from_os`)."""
    try:
        yield
    except OSError as error:
        raise from_os(error, path, do=do) from error


def _owner(error: OSError, path: Path | None) -> str:
    """If permission was refused: a text about the owner of the nearest parent of `path` that is not ours."""
    if path is None or error.errno not in {errno.EACCES, errno.EPERM}:
        return ""
    for place in (path, *path.absolute().parents):
        try:
            owner = place.stat().st_uid
        except OSError:
            continue
        is_ours = owner == os.geteuid()
        return "" if is_ours else f" (it belongs to {_user(owner)}, you are {_user(os.geteuid())})"
    return ""


def _user(number: int) -> str:
    import pwd  # noqa: PLC0415 - only when something is in the way

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
