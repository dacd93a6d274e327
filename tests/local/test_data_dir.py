# SPDX-License-Identifier: Apache-2.0
"""A demo's folder: whose it is, who holds it, what starting over deletes."""

from pathlib import Path

import pytest

from taxi.local import parts
from taxi.local.data_dir import DataDir
from taxi.local.errors import WRONG_USE, LocalError
from taxi.local.parts import Demo, Parts


def test_a_second_holder_is_told_the_address_and_pid_of_the_first(tmp_path: Path) -> None:
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
        home.log("gateway-1").write_text("log")
        (home.path / "my-notes.txt").write_text("mine")
        home.start_over()
        assert sorted(path.name for path in home.path.iterdir()) == ["lock", "my-notes.txt", "taxistream"]


def test_a_path_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="cannot be written"), DataDir(tmp_path / "file" / "taxi").held():
        pytest.fail("it was taken")
