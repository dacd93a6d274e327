# SPDX-License-Identifier: Apache-2.0
"""What a stranger gets from the repository: locks, licences, a complete wheel, files that agree."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import install
from scripts.front_end import FrontEnd, FrontEndError

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SOURCE_SUFFIXES = {".py", ".ts", ".tsx", ".css", ".sh", ".mjs", ".js"}


def tracked_files() -> list[Path]:
    """Return what git knows, so that a file left lying about does not count."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: only there is it known which files belong to the project")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def skip_but_in_ci(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def pins(lock: Path) -> dict[str, str]:
    lines = re.findall(r"^[A-Za-z0-9][^\\\n]*", lock.read_text(), re.MULTILINE)
    requirements = [Requirement(line.strip()) for line in lines]
    return {canonicalize_name(each.name): str(each.specifier) for each in requirements}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_every_package_by_version_and_hash(lock: Path) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"\S+==\S+", entry)
        assert "--hash=sha256:" in entry


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_address(lock: Path) -> None:
    assert not re.search(r"://|--(index|extra-index|find-links|trusted)", lock.read_text())


def test_the_front_ends_lock_names_no_address() -> None:
    lock = ROOT / "web" / "frontend" / "package-lock.json"
    assert '"resolved"' not in lock.read_text()
    assert "omit-lockfile-registry-resolved=true" in (ROOT / "web" / "frontend" / ".npmrc").read_text()


@pytest.mark.parametrize(("lock", "declared"), [("run", "run"), ("dev", "dev"), ("build", "build")])
def test_a_lock_holds_what_the_project_declares(lock: str, declared: str) -> None:
    groups = PROJECT["dependency-groups"]
    assert {"include-group": "city"} in groups["dev"]
    development = groups["city"] + [each for each in groups["dev"] if isinstance(each, str)]
    run = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["services"]
    wanted = {
        "run": run,
        "dev": run + development,
        "build": PROJECT["build-system"]["requires"],
    }[declared]
    locked = pins(ROOT / "requirements" / f"{lock}.txt")
    for requirement in map(Requirement, wanted):
        version = locked[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_the_group_of_the_city_builder_has_its_pins() -> None:
    exact = set((ROOT / "requirements" / "city.in").read_text().split())
    assert set(PROJECT["dependency-groups"]["city"]) <= exact


def test_the_locks_agree_where_they_overlap() -> None:
    development = pins(ROOT / "requirements" / "dev.txt")
    for name in ("run", "build"):
        lock = pins(ROOT / "requirements" / f"{name}.txt")
        assert lock.items() <= development.items()


def test_the_build_is_pinned() -> None:
    assert all("==" in requirement for requirement in PROJECT["build-system"]["requires"])


def test_no_registry_would_take_the_package() -> None:
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_every_source_file_names_its_licence() -> None:
    sources = [path for path in tracked_files() if path.suffix in SOURCE_SUFFIXES]
    assert sources
    untagged = [
        path.relative_to(ROOT).as_posix()
        for path in sources
        if "SPDX-License-Identifier: Apache-2.0"
        not in "".join(path.read_text().splitlines(keepends=True)[:2])
    ]
    assert not untagged


def test_the_front_ends_build_fails_clearly_where_there_is_nothing_to_build(tmp_path: Path) -> None:
    with pytest.raises(FrontEndError, match="TAXI_SKIP_WEB=1"):
        FrontEnd(tmp_path).build()


def test_a_page_that_is_built_already_needs_no_sources(tmp_path: Path) -> None:
    (tmp_path / "web" / "static").mkdir(parents=True)
    FrontEnd(tmp_path).build()


def test_a_changed_or_new_source_means_a_new_build(tmp_path: Path) -> None:
    sources = tmp_path / "web" / "frontend"
    (sources / "src").mkdir(parents=True)
    (sources / "package.json").write_text("{}")
    first = FrontEnd(tmp_path).digest()
    (sources / "node_modules").mkdir()
    (sources / "node_modules" / "left.js").write_text("fetched, not written")
    assert FrontEnd(tmp_path).digest() == first
    (sources / "src" / "main.ts").write_text("export {}")
    assert FrontEnd(tmp_path).digest() != first


def test_the_third_party_page_is_what_the_locks_say() -> None:
    if not (ROOT / "web" / "frontend" / "node_modules").is_dir():
        skip_but_in_ci("the front end's packages are not installed: run `make setup`")
    command = [sys.executable, "-m", "scripts.third_party", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_third_party_page_names_every_jar_that_kafka_runs_on() -> None:
    jars = re.findall(
        r"\S+\.jar$", (ROOT / "taxistream" / "local" / "kafka_jars.sha256").read_text(), re.MULTILINE
    )
    named = set(re.findall(r"^\| (\S+\.jar) \|", (ROOT / "THIRD_PARTY.md").read_text(), re.MULTILINE))
    assert {Path(jar).name for jar in jars} == named


def test_hosted_ci_only_calls_what_anyone_can_run() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert runs == [".ci/run"]


def test_ci_ends_in_make_test() -> None:
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nexec make test")


def test_bare_make_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make (\S+)", listed, re.MULTILINE) == targets[1].split()


def test_a_moved_folder_is_set_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "taxistream.json"
    monkeypatch.setattr(install, "STATE", record)
    install.State(project="installed").write()
    assert install.State.read().project == "installed"
    install.State(root="/elsewhere", project="installed").write()
    assert install.State.read() == install.State()


def test_a_changed_lock_is_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find_java", lambda: "/usr/bin/java")
    fresh = install.State(locks={name: install.digest_of_lock(name) for name in ("run", "build", "dev")})
    assert install.missing_locks("dev", fresh) == []
    assert install.missing_locks("run", fresh) == []
    fresh.locks["build"] = "another"
    assert install.missing_locks("dev", fresh) == ["dev"]
    assert install.missing_locks("run", fresh) == ["build"]


def test_the_locks_can_be_written_when_a_new_dependency_is_in_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip check` would miss the new one, and the locks that could bring it are not written yet."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "pip", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(install, "make_venv", lambda: None)
    monkeypatch.setattr(install, "STATE", tmp_path / "taxistream.json")
    monkeypatch.setattr(install, "project_digest", lambda: "another pyproject.toml")
    install.install("lock")
    assert [call[0] for call in calls] == ["install"]
    assert calls[0][-1] == "requirements/lock.txt"
    calls.clear()
    install.install("lock")
    assert calls == []


def test_a_java_is_installed_only_where_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find_java", lambda: None)
    assert "java" in install.missing_locks("run", install.State())
    monkeypatch.setattr(install, "find_java", lambda: "/usr/bin/java")
    assert "java" not in install.missing_locks("run", install.State())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the wheel as a stranger would, and return the names of what is in it."""
    if not FrontEnd(ROOT).is_built():
        skip_but_in_ci("the page is not built: run `make setup`")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (built,) = folder.glob("taxistream-*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_package_with_its_city_page_and_jars(wheel: list[str]) -> None:
    for wanted in (
        r"taxi/py\.typed",
        r"taxistream/local/kafka_jars\.sha256",
        r"(simulator|dispatcher|gateway)/__main__\.py",
        r"taxi/cities/manhattan/LICENSE",
        r"taxi/cities/manhattan/.*\.npz",
        r"taxi/cities/helsinki/LICENSE",
        r"taxi/cities/helsinki/.*\.npz",
        r"web/templates/.*\.html.*",
        r"web/static/manifest\.json",
        r"web/static/assets/.*\.js",
        r"taxistream-.*\.dist-info/licenses/LICENSE",
        r"taxistream-.*\.dist-info/licenses/THIRD_PARTY\.md",
    ):
        assert any(re.fullmatch(wanted, name) for name in wheel), wanted


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    assert not [
        name for name in wheel if "node_modules" in name or name.startswith(("web/frontend/", "tests/"))
    ]
