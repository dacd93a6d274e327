# SPDX-License-Identifier: Apache-2.0
"""Names and rights of files: what Java can open, what we may write, what `--fresh` deletes."""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from taxi.runtime.machine_errors import WRONG_USE, LocalError, in_words

PATH_BYTES_MAX: Final = 3800
"""Of a folder's own path. Systems take 4,096 bytes, and Kafka's files lie deep inside."""
_ANOTHER: Final = "Choose another --data-dir."


def check_name(path: Path, *, do: str = _ANOTHER) -> None:
    """Raise LocalError unless everything that a demo runs can open files below `path`.

    Its bytes must be UTF-8 for Java, and not too many; it must fit into one line, as every setting. Nothing
    else is asked of a name: Kafka gets paths relative to its own folder, and URLs.
    """
    with in_words(do="Go to a folder that exists."):  # a relative path, and the current folder was deleted
        name = os.fsencode(path.absolute())
    try:
        name.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"The path {path} holds the byte 0x{name[error.start]:02X}, which is not UTF-8."
        raise LocalError(what, do=do, code=WRONG_USE) from None
    if control := [byte for byte in name if byte < 0x20 or byte == 0x7F]:
        what = f"The path {os.fspath(path)!r} holds the control character {chr(control[0])!r}."
        raise LocalError(what, do=do, code=WRONG_USE)
    if len(name) > PATH_BYTES_MAX:
        what = f"The path {path} has {len(name)} bytes; at most {PATH_BYTES_MAX} work."
        raise LocalError(what, do=do, code=WRONG_USE)


def check_parent(path: Path, *, do: str = _ANOTHER) -> None:
    """Raise LocalError unless `path` could be made below the nearest folder that exists."""
    with in_words(path, do=do):
        place = next(parent for parent in path.absolute().parents if parent.exists())
        if not place.is_dir():
            raise LocalError(f"{place} is a file, so {path} cannot be made.", do=do, code=WRONG_USE)
    check_writable(place, do=do)


def check_writable(place: Path, *, do: str = _ANOTHER) -> None:
    """Raise LocalError if `place` exists and may not be written."""
    with in_words(place, do=do):
        if place.exists() and not os.access(place, os.W_OK | (os.X_OK if place.is_dir() else 0)):
            is_read_only = os.statvfs(place).f_flag & os.ST_RDONLY
            number = errno.EROFS if is_read_only else errno.EACCES
            raise OSError(number, os.strerror(number), os.fspath(place))


def delete(place: Path) -> None:
    """Delete a file or a folder. Of a link to a folder (the log on another disk) only the content goes.

    Raises OSError.
    """
    if place.is_symlink() and place.is_dir():
        for child in place.iterdir():
            delete(child)
    elif place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
