# SPDX-License-Identifier: Apache-2.0
"""Kafka's jars: fetched once, checked, resumed. A small Maven repository on loopback plays Maven Central."""

import gc
import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from taxi.runtime.machine_errors import LocalError
from taxistream.local import jars
from taxistream.local.jars import Jar


@dataclass
class Repository:
    """What it serves, and what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut_short: set[str] = field(default_factory=set)


# jgo leaves the connection of a failed download to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def repository() -> Iterator[Repository]:
    state = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            body = state.files.get(path)
            if body is None:
                self.send_error(404)
                return
            state.asked.append(path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if path in state.cut_short else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
    gc.collect()


@pytest.fixture
def three_jars(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> tuple[Jar, ...]:
    listed = []
    for name in ("one", "two", "three"):
        body = name.encode() * 10_000
        path = f"org/example/{name}/1.0/{name}-1.0.jar"
        repository.files[path] = body
        listed.append(Jar(hashlib.sha256(body).hexdigest(), path))
    monkeypatch.setattr(jars, "pinned", lambda: tuple(listed))
    return tuple(listed)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def said(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_the_pinned_list_names_the_versions_that_are_promised() -> None:
    names = {jar.name for jar in jars.pinned()}
    assert len(names) == len(jars.pinned()) == 47
    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "slf4j-reload4j-1.7.36.jar"} <= names


def test_all_jars_are_fetched_with_one_announcement(
    tmp_path: Path, repository: Repository, three_jars: tuple[Jar, ...]
) -> None:
    out = console()
    folder = jars.ensure(tmp_path / "kafka", out, repository=repository.url)
    assert {path.name for path in folder.glob("*.jar")} == {jar.name for jar in three_jars}
    assert "Downloading Apache Kafka 4.3.1 from Maven Central, once: 3 jars, 45 MB" in said(out)


def test_what_is_there_is_not_asked_for_again(
    tmp_path: Path, repository: Repository, three_jars: tuple[Jar, ...]
) -> None:
    jars.ensure(tmp_path / "kafka", console(), repository=repository.url)
    repository.files.clear()
    out = console()
    jars.ensure(tmp_path / "kafka", out, repository=repository.url)
    assert not said(out)


def test_an_interrupted_download_goes_on_where_it_was(
    tmp_path: Path, repository: Repository, three_jars: tuple[Jar, ...]
) -> None:
    last = three_jars[-1].path
    repository.cut_short.add(last)
    with pytest.raises(LocalError, match="could not be fetched") as caught:
        jars.ensure(tmp_path / "kafka", console(), repository=repository.url)
    assert "finished jars are kept" in caught.value.do
    assert jars.missing(tmp_path / "kafka")
    finished = {path.name for path in (tmp_path / "kafka").glob("*.jar")}
    assert three_jars[-1].name not in finished

    repository.cut_short.clear()
    repository.asked.clear()
    jars.ensure(tmp_path / "kafka", console(), repository=repository.url)
    assert set(repository.asked) == {jar.path for jar in three_jars if jar.name not in finished}
    assert not jars.missing(tmp_path / "kafka")
    assert not list((tmp_path / "kafka").glob(".downloading-*"))


def test_a_jar_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, repository: Repository, three_jars: tuple[Jar, ...]
) -> None:
    repository.files[three_jars[1].path] = b"something else entirely"
    with pytest.raises(LocalError, match=r"two-1\.0\.jar is not the file that was pinned"):
        jars.ensure(tmp_path / "kafka", console(), repository=repository.url)
    assert not (tmp_path / "kafka" / "two-1.0.jar").exists()


def test_a_jar_that_was_damaged_in_the_cache_is_fetched_again(
    tmp_path: Path, repository: Repository, three_jars: tuple[Jar, ...]
) -> None:
    folder = jars.ensure(tmp_path / "kafka", console(), repository=repository.url)
    (folder / three_jars[0].name).write_bytes(b"damaged")
    (folder / three_jars[1].name).unlink()
    jars.ensure(folder, console(), repository=repository.url)
    assert (folder / three_jars[0].name).read_bytes() == repository.files[three_jars[0].path]


def test_a_jar_that_the_repository_lacks_is_named(
    tmp_path: Path, repository: Repository, three_jars: tuple[Jar, ...]
) -> None:
    del repository.files[three_jars[2].path]
    with pytest.raises(LocalError, match="three"):
        jars.ensure(tmp_path / "kafka", console(), repository=repository.url)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path, three_jars: tuple[Jar, ...]) -> None:
    with pytest.raises(LocalError, match="could not be fetched") as caught:
        jars.ensure(tmp_path / "kafka", console(), repository="http://127.0.0.1:9")
    assert "Check the network" in caught.value.do
    assert str(tmp_path / "kafka") in caught.value.do


def test_the_cache_is_where_the_variable_says(tmp_path: Path) -> None:
    assert jars.directory({"TAXI_CACHE_DIR": str(tmp_path)}) == tmp_path / "kafka-4.3.1"
