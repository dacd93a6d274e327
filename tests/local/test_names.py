# SPDX-License-Identifier: Apache-2.0
"""A real broker in folders with names that lists, class paths, properties, URLs and shells would split."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from taxi.runtime.machine_errors import LocalError
from taxistream.local import jars
from taxistream.local.broker import LocalBroker, prepare
from taxistream.local.broker_files import BrokerFiles
from taxistream.local.ports import PortPool
from tests.local.test_broker import read_all, write

# Every character that some format on the way gives a meaning to: lists, properties, class paths, URLs,
# wildcards, shells, blanks at the end.
EVERYTHING = "Дом é,b:c;d=e\\f %41 $HOME ~ #g !h 'i' \"j\" `k` * & l "


def files_made(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir()}


async def lives_in(home: Path, port: int) -> None:
    """A broker there keeps what it was given, from one start to the next."""
    plan = prepare(home, port=port)
    for value in (b"first", b"second"):
        broker = LocalBroker(plan, home.parent / "kafka.log")
        await broker.start()
        try:
            await write(broker, value)
            values = await read_all(broker)
        finally:
            await broker.stop()
    assert values == [b"first", b"second"]


@pytest.mark.parametrize("name", [EVERYTHING, "x" * 200], ids=["every character", "long"])
@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
async def test_a_broker_lives_in_a_folder_of_any_name_and_writes_nowhere_else(
    name: str, tmp_path: Path, ports: PortPool
) -> None:
    outer = tmp_path / name
    for _ in range(16 if len(name) == 200 else 0):
        outer /= name  # close to what a system takes
    await lives_in(outer / "kafka", ports.take())
    assert files_made(tmp_path) == {name}
    assert files_made(outer) == {"kafka", "kafka.log"}


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
async def test_a_broker_lives_behind_a_relative_path_and_a_link(
    tmp_path: Path, ports: PortPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    await lives_in(Path("link/./kafka"), ports.take())
    assert files_made(tmp_path / "real") == {"kafka", "kafka.log"}


LOCALES = [
    {"LC_ALL": "C"},
    {"LANG": "C", "LC_ALL": ""},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
]


@pytest.mark.parametrize("locale", LOCALES, ids=lambda found: " ".join(f"{k}={v}" for k, v in found.items()))
@pytest.mark.kafka
@pytest.mark.usefixtures("kafka_is_here")
def test_a_broker_lives_in_any_folder_whatever_the_locale_is(
    locale: dict[str, str], tmp_path: Path, ports: PortPool
) -> None:
    """Java takes the encoding of file names from the locale, and so does Python if it is set to."""
    code = (
        "import asyncio, sys; from pathlib import Path; from taxistream.local.broker import local_broker\n"
        "async def main():\n"
        "    async with local_broker(Path(sys.argv[1]), int(sys.argv[2])): pass\n"
        "asyncio.run(main())"
    )
    home = tmp_path / "Дом é" / "kafka"
    done = subprocess.run(
        [sys.executable, "-c", code, home, str(ports.take())],
        env={**os.environ, **locale},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert files_made(tmp_path) == {"Дом é"}
    assert files_made(home.parent) == {"kafka"}
    assert {"__cluster_metadata-0", "meta.properties"} <= files_made(home / "data")


@pytest.mark.kafka
async def test_the_jars_may_lie_in_a_folder_of_any_name(
    kafka_is_here: Path, tmp_path: Path, ports: PortPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / EVERYTHING
    monkeypatch.setenv("TAXI_CACHE_DIR", str(cache))
    jars.directory().parent.mkdir()
    shutil.copytree(kafka_is_here, jars.directory())
    assert jars.missing(jars.directory()) == []
    await lives_in(tmp_path / "kafka", ports.take())


def test_the_class_path_names_each_jar_by_a_url_with_short_lines(tmp_path: Path) -> None:
    folder = tmp_path / EVERYTHING
    wanted = [folder / "one.jar", folder / f"{'x' * 200}.jar"]
    BrokerFiles(tmp_path / "kafka").write(1, 2, wanted)
    with zipfile.ZipFile(tmp_path / "kafka" / "classpath.jar") as archive:
        manifest = archive.read("META-INF/MANIFEST.MF")
    lines = manifest.split(b"\r\n")
    assert max(map(len, lines)) <= 72
    joined = manifest.replace(b"\r\n ", b"").decode("ascii").splitlines()
    [urls] = [line.removeprefix("Class-Path: ") for line in joined if line.startswith("Class-Path: ")]
    found = [os.fsdecode(unquote_to_bytes(urlsplit(url).path)) for url in urls.split()]
    assert found == [str(path) for path in wanted]


def test_properties_are_ascii_and_hold_no_path_but_of_the_folder_itself(tmp_path: Path) -> None:
    files = BrokerFiles(tmp_path / EVERYTHING / "kafka")
    files.write(1, 2, [])
    text = files.properties.read_bytes().decode("ascii")
    assert "log.dirs=data\n" in text
    assert "/" not in text.replace("://", "")


def test_a_name_that_java_cannot_open_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff/kafka"))
    with pytest.raises(LocalError, match="0xFF"):
        prepare(home)
    assert files_made(tmp_path) == set()


def test_a_cache_whose_name_is_not_utf_8_is_named_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_CACHE_DIR", os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    with pytest.raises(LocalError, match="0xFF") as caught:
        jars.ensure(jars.directory(), console=None)  # type: ignore[arg-type]
    assert "TAXI_CACHE_DIR" in caught.value.do


def test_a_cache_of_an_unknown_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_CACHE_DIR", "~nobody-here/cache")
    with pytest.raises(LocalError, match="no such user"):
        jars.directory()
