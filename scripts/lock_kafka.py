# SPDX-License-Identifier: Apache-2.0
"""Resolves Kafka's coordinates again and writes taxistream/local/kafka_jars.sha256. For a new version."""

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from taxistream.local.jars import COORDINATES, LIST

TARGET = Path(__file__).parents[1] / "taxistream" / "local" / LIST


def main() -> None:
    """Download every jar of the whole dependency tree and note its digest."""
    with tempfile.TemporaryDirectory() as cache:
        maven = MavenContext(repo_cache=Path(cache), local_repos=[])
        given = [maven.create_dependency(coordinate) for coordinate in COORDINATES]
        inputs, transitive = maven.resolver.resolve(given)
        wanted = [d for d in (*inputs, *transitive) if d.scope in {None, "compile", "runtime"}]
        paths = sorted({dependency.artifact.resolve() for dependency in wanted if not dependency.optional})
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(cache).as_posix()}\n"
            for path in paths
        ]
        TARGET.write_text("".join(lines))
        print(f"{len(lines)} jars, {sum(path.stat().st_size for path in paths):,} bytes → {TARGET}")


if __name__ == "__main__":
    main()
