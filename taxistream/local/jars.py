# SPDX-License-Identifier: Apache-2.0
"""Kafka's jars: fetched once from Maven Central into the user's cache, each checked against a pinned SHA-256.

`kafka_jars.sha256` lists them by their path in a Maven repository (scripts/lock_kafka.py resolves the
coordinates again). A jar is downloaded to a temporary file, checked, then renamed into the cache. So jars
that an interrupted download had finished are kept, and the cache never contains a part of a jar.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taxi.runtime.machine_errors import OF_THE_MACHINE, WRONG_USE, LocalError, from_os, in_words
from taxistream.local.paths import check_name

if TYPE_CHECKING:
    from jgo.maven import MavenContext
    from rich.console import Console
    from rich.progress import Progress

KAFKA: Final = "4.3.1"
COORDINATES: Final = (f"org.apache.kafka:kafka_2.13:{KAFKA}", "org.slf4j:slf4j-reload4j:1.7.36")
BYTES: Final = 45_354_254
MEGABYTES: Final = BYTES // 1_000_000
LIST: Final = "kafka_jars.sha256"
_DOWNLOADS_AT_ONCE: Final = 4
ANOTHER_CACHE: Final = "Choose another place for downloads with TAXI_CACHE_DIR."


@dataclass(frozen=True)
class Jar:
    """One file of the list."""

    sha256: str
    path: str
    """Its path in a Maven repository: group/artifact/version/artifact-version.jar."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def pinned() -> tuple[Jar, ...]:
    """The jars that make a broker."""
    lines = resources.files("taxistream.local").joinpath(LIST).read_text("utf-8").splitlines()
    return tuple(Jar(*line.split()) for line in lines)


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept: TAXI_CACHE_DIR, else the system's place for a user's caches."""
    if given := environ.get("TAXI_CACHE_DIR"):
        try:
            return Path(given).expanduser()
        except RuntimeError:
            raise LocalError(
                f"TAXI_CACHE_DIR={given}: there is no such user.", do="Write the full path.", code=WRONG_USE
            ) from None
    import platformdirs  # noqa: PLC0415 - `taxi --help` does without

    return platformdirs.user_cache_path("taxistream")


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this version's jars are, or will be."""
    return cache_dir(environ) / f"kafka-{KAFKA}"


def missing(folder: Path) -> list[Jar]:
    """The jars that are not there, or are not the pinned ones. Reads every byte: 45 MB, 0.05 s of CPU.

    Raises LocalError: the folder cannot be read.
    """
    with in_words(folder, do=ANOTHER_CACHE):
        return [jar for jar in pinned() if not _is_good(folder / jar.name, jar)]


def ensure(folder: Path, console: "Console", *, repository: str | None = None) -> Path:
    """Return `folder` with all jars in it, downloading what is missing. `repository`: instead of Central.

    Raises LocalError: no network, no room, or a jar that is not what was pinned.
    """
    check_name(folder, do=ANOTHER_CACHE)
    if not missing(folder):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if wanted := missing(folder):
                _download(wanted, folder, console, repository)
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            raise from_os(error, folder, do=ANOTHER_CACHE) from error
        raise _unreachable(folder, error) from error
    return folder


def _download(wanted: list[Jar], folder: Path, console: "Console", repository: str | None) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415 - heavy, rare

    share = f" ({len(wanted)} of {len(pinned())} still missing)" if len(wanted) < len(pinned()) else ""
    console.print(
        f"Downloading Apache Kafka {KAFKA} from Maven Central, once: {len(pinned())} jars, {MEGABYTES} MB"
        f"{share}, into {folder}",
        highlight=False,
        soft_wrap=True,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with (
        Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress,
        tempfile.TemporaryDirectory(dir=folder, prefix=".downloading-") as temporary,
    ):
        there = sum(path.stat().st_size for path in folder.glob("*.jar"))
        meter = _Meter(progress, len(wanted), BYTES - there)
        maven = _maven(Path(temporary), meter, repository)
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            tasks = [pool.submit(_fetch, jar, maven, folder) for jar in wanted]
            try:
                for task in as_completed(tasks):
                    task.result()
                    meter.finished()
            except BaseException:
                meter.stop()
                pool.shutdown(cancel_futures=True)
                raise


def _fetch(jar: Jar, maven: "MavenContext", folder: Path) -> None:
    group, artifact, version = _coordinates(jar)
    try:
        downloaded = maven.project(group, artifact).at_version(version).artifact().resolve()
    except RuntimeError as error:  # jgo's word for "in none of the repositories"
        raise OSError(str(error)) from error
    if not _is_good(downloaded, jar):
        raise LocalError(
            f"{jar.name} is not the file that was pinned (its SHA-256 differs).",
            do="Try again. If it happens again, a proxy on the way to Maven Central alters downloads.",
        )
    downloaded.replace(folder / jar.name)


class _Meter:
    """Shows how far the downloads are; `stop` makes those under way give up at their next bytes."""

    def __init__(self, progress: "Progress", files: int, total: int) -> None:
        self._progress = progress
        self._files = files
        self._done = 0
        self._stopped = False
        self._task = progress.add_task(self._label(), total=total)

    @contextmanager
    def one(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """What jgo calls for each file; it is given a function that takes the bytes as they come."""
        yield self._advance

    def _advance(self, size: int) -> None:
        if self._stopped:
            raise OSError("interrupted")
        self._progress.advance(self._task, size)

    def finished(self) -> None:
        self._done += 1
        self._progress.update(self._task, description=self._label())

    def stop(self) -> None:
        self._stopped = True

    def _label(self) -> str:
        return f"jar {self._done} of {self._files}"


def _maven(cache: Path, meter: _Meter, repository: str | None) -> "MavenContext":
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - heavy, and needed once

    return MavenContext(
        resolver=PythonResolver(progress_callback=meter.one),
        repo_cache=cache,
        local_repos=[],
        remote_repos={"central": repository} if repository else None,
        timeout=20,
    )


def _coordinates(jar: Jar) -> tuple[str, str, str]:
    *group, artifact, version, _ = jar.path.split("/")
    return ".".join(group), artifact, version


def _is_good(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold off other processes that want the same jars: they wait, then find them."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unreachable(folder: Path, error: OSError) -> LocalError:
    return LocalError(
        f"Kafka's jars could not be fetched: {error}",
        do=f"They come from Maven Central, once ({MEGABYTES} MB). Check the network (HTTPS_PROXY works) and "
        f"start again: finished jars are kept. Or copy {folder} from a machine that has it.",
    )
