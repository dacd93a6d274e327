# SPDX-License-Identifier: Apache-2.0
"""In which folders a checkout works: what `make setup` refuses is held against what really happens."""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import install
from scripts.install import PATH_LINE, unfit

LONG = "x" * 150
# What is refused is named by its character.
NAMES = {
    "plain": None,
    "two words": None,
    "café Дом": None,
    "a,b;c=d%41&e!f@g(h)[i]{j}*k~l+m^n|o<p>q": None,
    "end ": None,
    "it's": None,
    "it's two": None,
    "a$HOME": None,
    'say"hi"': None,
    LONG: None,
    f"{LONG} é": None,
    "a:b": "':'",
    "line\nend": "'\\n'",
    "tab\tin": "'\\t'",
    "a $HOME": "'$'",
    "a `id`": "'`'",
    'a "b"': "'\"'",
    f"{LONG}$HOME": "'$'",
    f"{LONG};id": "';'",
    f"{LONG}'": '"\'"',
}
SCRIPT = """
from pip._vendor.distlib.scripts import ScriptMaker
maker = ScriptMaker(None, ".venv/bin", add_launchers=False)
maker.variants, maker.set_mode, maker.clobber = {""}, True, True
maker.make("where = os:getcwd")
"""


def works(root: Path) -> bool:
    """Whether an environment there has a Python, programs that start, and finds an editable package."""
    try:
        venv.create(root / ".venv", with_pip=False)
    except ValueError:
        return False
    python = root / ".venv" / "bin" / "python"
    pip = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path)}
    subprocess.run([python, "-c", SCRIPT], cwd=root, env=pip, check=True)
    (root / "editable.py").write_text("")
    [packages] = (root / ".venv" / "lib").glob("*/site-packages")
    (packages / "editable.pth").write_text(PATH_LINE)
    try:
        started = subprocess.run(
            [root / ".venv/bin/where"], cwd="/", capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [str(python), "-c", "import editable"]
    found = subprocess.run(command, cwd="/", env=plain, capture_output=True, check=False)
    return "/" in started.stderr.splitlines()[-1:] and found.returncode == 0


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A long path has rules of its own, and pytest's own folders may be long."""
    with tempfile.TemporaryDirectory(prefix="c") as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_works_is_taken_and_what_does_not_is_refused_with_its_character(
    name: str, short_path: Path
) -> None:
    root = short_path / name
    root.mkdir()
    refused = unfit(root, wants_web=False)
    wanted = NAMES[name]
    assert (refused is None) == (wanted is None), refused
    assert wanted is None or wanted in str(refused)
    assert works(root) == (refused is None)


@pytest.mark.parametrize("sign", ["#", "?", "\\"])
def test_what_the_pages_bundler_cannot_be_given_is_refused_where_the_page_is_built(sign: str) -> None:
    """Vite 8 on a path with each of them: no output, or a module that is not found."""
    root = Path(f"/home/me/c{sign}")
    assert unfit(root, wants_web=False) is None
    assert f"{sign!r}" in str(unfit(root, wants_web=True))
    assert "TAXI_SKIP_WEB=1" in str(unfit(root, wants_web=True))


def test_a_path_that_is_not_utf_8_is_refused_with_its_byte() -> None:
    assert "0xE9" in str(unfit(Path(os.fsdecode(b"/home/caf\xe9")), wants_web=False))


def test_an_editable_install_names_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "Дом"
    packages = root / ".venv" / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(install, "ROOT", root)
    monkeypatch.setattr(install, "VENV", root / ".venv")
    (packages / "_taxistream.pth").write_bytes(os.fsencode(root))
    (packages / "another.pth").write_text("/elsewhere\n")
    install.name_no_path()
    install.name_no_path()
    assert (packages / "_taxistream.pth").read_text() == PATH_LINE
    assert (packages / "another.pth").read_text() == "/elsewhere\n"


def test_make_setup_says_it_before_it_makes_anything(tmp_path: Path) -> None:
    root = tmp_path / "a:b"
    (root / "scripts").mkdir(parents=True)
    for name in ("install.py", "front_end.py", "find_python.sh"):
        (root / "scripts" / name).write_bytes((Path("scripts") / name).read_bytes())
    (root / "scripts" / "__init__.py").touch()
    (root / "Makefile").write_bytes(Path("Makefile").read_bytes())
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "VIRTUAL_ENV"))}
    done = subprocess.run(["make", "setup"], cwd=root, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds the character ':'" in done.stderr
    assert "Move this folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / ".venv").exists()
