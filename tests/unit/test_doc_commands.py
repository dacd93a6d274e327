# SPDX-License-Identifier: Apache-2.0
"""Every command in the documentation can be entered as it is shown."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
import typer.core
import typer.main

from taxistream.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *ROOT.glob("docs/*.md")]
BIN = ROOT / ".venv" / "bin"
CITY_BIN = "build/city-venv/bin/"
"""An environment that docs/city-data.md says how to make."""
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SHELL = {"cd", "export", "git", "&&"}
MAKE_VARIABLES = {"ARGS", "BENCH", "MINUTES", "PYTHON", "SEEDS", "UPGRADE"}

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(
    r"((?:[A-Z_]+=\S+ )*(?:\.venv/bin/\S+|build/city-venv/bin/\S+|make|taxi|python|pytest|pre-commit"
    r"|pip|docker|git|cd|export)(?: .*)?)"
)


def commands_of(page: Path) -> Iterator[str]:
    """The commands in its code blocks, a line each, and between its backticks."""
    text = page.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language in {"", "sh"}:
            for line in block.splitlines():
                shown = re.split(r"\s#\s|\s{3,}", line.strip())[0]
                if COMMAND.fullmatch(shown):
                    yield shown
    for code in INLINE.findall(FENCE.sub("", text)):
        if COMMAND.fullmatch(code) and (" " in code or code == "make"):
            yield code


SHOWN = sorted({(page.name, command) for page in PAGES for command in commands_of(page)})
assert len(SHOWN) > 80, "the documentation shows commands"


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=[f"{page}: {command}" for page, command in SHOWN])
def test_a_command_in_the_documentation_can_be_typed(page: str, command: str) -> None:
    for part in re.split(r" && | & | &$", command):
        words = shlex.split(part)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words:
            check(words)


def check(words: list[str]) -> None:
    """Fails if the program, its subcommand, an option or a file is not there."""
    program, arguments = words[0].removeprefix(CITY_BIN), words[1:]
    if program.startswith(".venv/bin/"):
        assert (ROOT / program).exists(), f"{program} is not installed by `make setup`"
        program = program.removeprefix(".venv/bin/")
    match program:
        case "make":
            check_make(arguments)
        case "taxi":
            check_taxi(arguments)
        case "python":
            check_python(arguments)
        case "pytest":
            assert arguments
            assert (ROOT / arguments[0]).exists(), arguments[0]
        case "docker":
            assert arguments[0] == "compose"
            assert (ROOT / "docker-compose.yml").exists()
        case "pip":
            assert arguments[0] in {"install", "download"}
            for name in arguments[arguments.index("-r") + 1 :] if "-r" in arguments else []:
                assert (ROOT / name).exists(), name
        case "pre-commit":
            assert (ROOT / ".pre-commit-config.yaml").exists()
        case _:
            assert program in SHELL, f"{program} is not known"


def check_make(arguments: list[str]) -> None:
    for argument in arguments:
        name, _, value = argument.partition("=")
        assert name in TARGETS or (value and name in MAKE_VARIABLES), argument
        if name == "BENCH":
            assert (ROOT / "bench" / f"{value}.py").exists(), argument
        if name == "ARGS" and "demo" in arguments:
            check_taxi(["demo", *shlex.split(value)])


def check_taxi(arguments: list[str]) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    if arguments and arguments[0].startswith("-"):
        group.make_context("taxi", arguments, resilient_parsing=True)
        return
    name, *options = arguments
    command = group.commands[name]
    if options and options != ["--help"]:
        command.make_context(name, options)


def check_python(arguments: list[str]) -> None:
    if arguments[0] == "-P":  # Python's own: leaves the current directory out of the module search path
        arguments = arguments[1:]
    if arguments[0] != "-m":
        assert (ROOT / arguments[0]).exists(), arguments[0]
    elif arguments[1] != "NAME":  # any of the services
        assert find_spec(arguments[1]) is not None, arguments[1]


def test_a_test_that_contributing_shows_how_to_run_is_found() -> None:
    [command] = [c for page, c in SHOWN if page == "CONTRIBUTING.md" and ".venv/bin/pytest" in c]
    done = subprocess.run(
        [*shlex.split(command), "--collect-only", "-q", "-n", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_make_alone_lists_every_target_that_the_documentation_names() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    named = {words[0] for _, c in SHOWN if c.startswith("make ") and (words := c.split()[1:])}
    assert {name for name in named if name in TARGETS} <= set(re.findall(r"make ([a-z-]+)", listed))
