# SPDX-License-Identifier: Apache-2.0
"""A demo's folder: whose it is, who holds it, what starting over deletes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from taxi.runtime import parts
from taxi.runtime.machine_errors import WRONG_USE, LocalError
from taxi.runtime.parts import Demo, Parts
from taxistream.local.data_dir import DataDir
from taxistream.local.doctor import examine
from tests.local.conftest import Taxi


def test_a_second_holder_sees_the_address_and_pid_of_the_first(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "taxi")
    with home.held():
        demo = Demo(pid=4711, created=1.0, started_ms=1, url="http://127.0.0.1:8000", bootstrap_servers="")
        parts.write(home.path, Parts(demo=demo, parts=[]))
        with pytest.raises(LocalError, match=r"http://127\.0\.0\.1:8000, pid 4711") as caught, home.held():
            pytest.fail("both hold it")
    assert caught.value.code == WRONG_USE
    with home.held():
        pass


def test_a_folder_with_files_of_others_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LocalError, match="files that are not taxistream's"), DataDir(tmp_path).held():
        pytest.fail("it was taken")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_starting_over_deletes_what_a_demo_made_and_nothing_else(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "taxi")
    with home.held():
        (home.kafka / "data").mkdir(parents=True)
        (home.kafka / "data" / "segment").write_text("log")
        home.make_ready()
        home.log("gateway-1").write_text("log")
        (home.path / "my-notes.txt").write_text("mine")
        home.start_over()
        assert sorted(path.name for path in home.path.iterdir()) == ["lock", "my-notes.txt", "taxistream"]


def test_a_partition_of_the_log_never_gets_another_city(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "taxi")
    with home.held():
        home.keep_cities(["helsinki"])
        home.keep_cities(["manhattan"])  # no broker ever ran here
        home.kafka.mkdir()
        home.keep_cities(["manhattan", "helsinki"])
        home.keep_cities(["manhattan"])
        home.keep_cities(["helsinki"], "another.")  # other topics
        for names in (["helsinki"], ["helsinki", "manhattan"], ["manhattan", "oslo"]):
            with pytest.raises(LocalError, match="is that of manhattan, helsinki, in this order") as caught:
                home.keep_cities(names)
            assert "--cities manhattan,helsinki" in str(caught.value.do)
        home.keep_cities(["manhattan", "helsinki", "oslo"])
        home.start_over()
        home.keep_cities(["oslo"])


def test_a_demo_of_other_cities_than_those_of_the_log_is_refused(tmp_path: Path, taxi: Taxi) -> None:
    home = DataDir(tmp_path / ".taxi")
    with home.held():
        home.keep_cities(["manhattan"])
        home.kafka.mkdir()
    for cities in ({"TAXI_CITIES": "helsinki,manhattan"}, {"TAXI_CITY": "helsinki"}):
        done = taxi("demo", "--no-browser", **cities)
        assert done.returncode == WRONG_USE
        assert "is that of manhattan" in done.stderr


def test_a_damaged_note_of_the_cities_ends_nothing(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "taxi")
    with home.held():
        home.kafka.mkdir()
        (home.path / "cities.json").write_bytes(b"[")
        home.keep_cities(["oslo"])


def test_a_path_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file" / "taxi", "file is a file, so .* cannot be made")


def take(path: Path) -> None:
    home = DataDir(path)
    with home.held():
        home.make_ready()


def refused(path: Path, match: str) -> LocalError:
    """What a start says of this folder. `taxi doctor` must say the same, and neither may write."""
    before = sorted(path.parent.rglob("*")) if path.parent.is_dir() else []
    with pytest.raises(LocalError, match=match) as caught:
        take(path)
    [finding] = [found for found in examine(path, 1) if found.name == "data"]
    assert (finding.state, finding.text) == ("problem", str(caught.value))
    if not os.path.exists(path / "taxistream"):  # noqa: PTH110 - Path.exists raises for a name too long
        assert (sorted(path.parent.rglob("*")) if path.parent.is_dir() else []) == before
    return caught.value


def made(path: Path) -> DataDir:
    """A folder that a demo has used."""
    home = DataDir(path)
    with home.held():
        home.make_ready()
        home.kafka.mkdir()
        home.log("kafka").write_text("log")
        parts.path(path).write_text("{}")
        home.keep_cities(["manhattan"])
    return home


@pytest.mark.parametrize(
    ("name", "is_folder"),
    [("kafka", False), ("logs", False), ("parts.json", True), ("cities.json", True)],
    ids=str,
)
def test_what_is_not_what_it_should_be_is_named_and_fresh_mends_it(
    tmp_path: Path, name: str, is_folder: bool
) -> None:
    home = made(tmp_path / "taxi")
    home.start_over()
    place = home.path / name
    if is_folder:
        (place / "deep").mkdir(parents=True)
    else:
        place.write_text("")
    wanted = (
        f"{name} is a folder, but must be a file" if is_folder else f"{name} is a file, but must be a folder"
    )
    assert "--fresh" in refused(home.path, wanted).do
    with home.held():
        home.start_over()
        home.make_ready()
    assert home.logs.is_dir()
    assert not (home.path / "parts.json").exists()
    assert not (home.path / "cities.json").exists()


def test_a_lock_that_is_a_folder_is_named(tmp_path: Path) -> None:
    home = made(tmp_path / "taxi")
    (home.path / "lock").unlink()
    (home.path / "lock").mkdir()
    with pytest.raises(LocalError, match="lock: Is a directory") as caught, home.held():
        pytest.fail("it was taken")
    assert "Delete it" in caught.value.do


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "taxi").symlink_to(tmp_path / "gone")
    refused(tmp_path / "taxi", "taxi is a link to .*gone, which does not exist")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taxi").write_text("")
    refused(tmp_path / "taxi", "taxi is a file, not a folder")


def test_a_name_that_is_not_utf_8_is_refused_with_its_byte(tmp_path: Path) -> None:
    refused(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")), "holds the byte 0xE9, which is not UTF-8")


@pytest.mark.parametrize("sign", ["\n", "\t", "\x7f", "\x1b"])
def test_a_name_with_a_control_character_is_refused_with_it(tmp_path: Path, sign: str) -> None:
    refused(tmp_path / f"a{sign}b", f"holds the control character {re.escape(repr(sign))}")


def test_a_path_that_is_too_long_is_refused_with_its_length(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["x" * 200] * 20)
    refused(deep, f"has {len(os.fsencode(deep))} bytes; at most 3800 work")


def test_a_name_that_the_file_system_refuses_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path / ("x" * 300), "File name too long")
    assert "shorter" in said.do


@pytest.mark.parametrize(
    "name",
    ["a,b", "café", "Дом", "back\\slash", "two words", "%41", "$HOME", "a:b", "end ", "*"],
)
def test_any_name_in_utf_8_will_do(tmp_path: Path, name: str) -> None:
    home = made(tmp_path / name)
    assert home.logs.is_dir()
    assert [found.state for found in examine(home.path, 1) if found.name == "data"] == ["ok"]


def test_starting_over_empties_a_log_that_is_linked_to_another_disk(tmp_path: Path) -> None:
    home = made(tmp_path / "taxi")
    elsewhere = tmp_path / "big-disk"
    (elsewhere / "data").mkdir(parents=True)
    (elsewhere / "data" / "segment").write_text("log")
    home.kafka.rmdir()
    home.kafka.symlink_to(elsewhere)
    with home.held():
        home.start_over()
    assert home.kafka.is_symlink()
    assert list(elsewhere.iterdir()) == []


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user, or mount")
AS_UNPRIVILEGED = """
import os, sys
from pathlib import Path
from taxistream.local.data_dir import DataDir
from taxi.runtime.machine_errors import LocalError
os.setgid(65534); os.setuid(65534)
try:
    with DataDir(Path(sys.argv[1])).held():
        DataDir(Path(sys.argv[1])).make_ready()
except LocalError as error:
    print(error)
"""


@needs_root
@pytest.mark.parametrize("what", [".", "lock", "kafka", "logs", "parts.json", "cities.json"])
def test_what_belongs_to_another_user_is_named_with_its_owner(tmp_path: Path, what: str) -> None:
    home = made(tmp_path / "taxi")
    for place in (home.path, *home.path.rglob("*")):
        os.chown(place, 65534, 65534)
    for parent in (tmp_path, *tmp_path.parents):
        parent.chmod(parent.stat().st_mode | 0o011)
    os.chown(home.path / what, 0, 0)
    (home.path / what).chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", AS_UNPRIVILEGED, home.path], capture_output=True, text=True, check=True
    )
    assert f"{home.path / what}: Permission denied (it belongs to root, you are " in done.stdout


@needs_root
def test_a_folder_on_a_disk_that_became_read_only_is_named(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        home = made(disk / "taxi")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        said = refused(home.path, "taxi: Read-only file system")
        assert "Mount it for writing".lower() in said.do.lower()
        refused(disk / "new", "disk: Read-only file system")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_deleted_current_folder_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os, sys; from pathlib import Path; from taxistream.local.paths import check_name\n"
        "from taxi.runtime.machine_errors import LocalError\n"
        f"os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        "try: check_name(Path('.taxi'))\n"
        "except LocalError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Go to a folder that exists" in done.stdout


def test_a_second_start_is_refused_also_where_a_power_cut_emptied_the_parts_file(
    tmp_path: Path,
) -> None:
    home = made(tmp_path / "taxi")
    with home.held():
        parts.path(home.path).write_bytes(b"")
        with pytest.raises(LocalError, match=r"A demo already runs in .*taxi\."), home.held():
            pytest.fail("both hold it")
