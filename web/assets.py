# SPDX-License-Identifier: Apache-2.0
"""Files read once, when first asked for, then served from memory: compressed, with an ETag and 304."""

import asyncio
import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from starlette.requests import Request
from starlette.responses import Response

COMPRESSED = {".js", ".mjs", ".css", ".json", ".geojson", ".svg", ".html"}
"""What gzip makes smaller."""
FOR_EVER = "public, max-age=31536000, immutable"
"""For names that carry a hash of their content."""
ASK_AGAIN = "no-cache"
"""Keep it, but ask each time whether it still holds."""
MEDIA_TYPES = {".geojson": "application/geo+json", ".mjs": "text/javascript", ".js": "text/javascript"}


@dataclass(frozen=True)
class Asset:
    """One file, as it goes out."""

    body: bytes
    compressed: bytes | None
    media_type: str
    etag: str
    cache_control: str

    @classmethod
    def read(cls, path: Path, cache_control: str) -> Self:
        """Read and compress a file."""
        body = path.read_bytes()
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return cls(
            body=body,
            compressed=gzip.compress(body, 6, mtime=0) if path.suffix in COMPRESSED else None,
            media_type=MEDIA_TYPES.get(path.suffix, guessed),
            etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            cache_control=cache_control,
        )

    def response(self, request: Request) -> Response:
        """Answer with the file, or with 304 if the browser has it."""
        headers = {"ETag": self.etag, "Cache-Control": self.cache_control, "Vary": "Accept-Encoding"}
        if self.etag in _etags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        body = self.body
        if self.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = self.compressed
        return Response(body, media_type=self.media_type, headers=headers)


class Assets:
    """Files by the path they are served under: which there are is settled here, and nothing else is read.

    Compressing a city's map takes a tenth of a second: a gateway that starts has clients who wait for cuts,
    not for files.
    """

    def __init__(self, files: Mapping[str, Path], cache_control: str) -> None:
        self._files = dict(files)
        self._cache_control = cache_control
        self._read: dict[str, Asset] = {}

    async def get(self, name: str) -> Asset | None:
        """The file, read in a thread the first time; None where there is none of that name."""
        path, known = self._files.get(name), self._read.get(name)
        if path is None or known is not None:
            return known
        self._read[name] = read = await asyncio.to_thread(Asset.read, path, self._cache_control)
        return read


def folder_files(folder: Path) -> dict[str, Path]:
    """All files below a folder by their path in it; hidden ones stay hidden."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path for path in files}


def _etags(header: str) -> set[str]:
    """The tags of If-None-Match; a proxy may have weakened ours."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
