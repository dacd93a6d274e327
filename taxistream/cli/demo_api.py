# SPDX-License-Identifier: Apache-2.0
"""Requests to the HTTP API of a running demo."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from taxi.runtime.machine_errors import FAILED, WRONG_USE, LocalError


def ask_demo(data_dir: Path, path: str, *, city: str = "", method: str = "GET") -> dict[str, Any]:
    """The JSON that a gateway of the demo answers. Uses TAXI_TOKEN.

    Args:
        data_dir: The demo's folder.
        path: Of the API.
        city: A city that the demo shows; empty: the first.
        method: GET or POST.

    Raises:
        LocalError: No demo runs, it does not answer, or it answers with a problem.
    """
    from taxi.runtime import parts  # noqa: PLC0415 - `taxi --help` does without

    known = parts.read(data_dir)
    if known is None or not known.demo.url:
        raise LocalError(f"No demo runs in {data_dir}.", do="Start one with `taxi demo`.", code=WRONG_USE)
    url = f"{known.demo.url}{path}" + (f"?city={city}" if city else "")
    token = os.environ.get("TAXI_TOKEN")
    request = urllib.request.Request(  # noqa: S310 - an address of this demo
        url, method=method, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    # HTTP_PROXY is for other machines.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            body: dict[str, Any] = json.load(answer)
            return body
    except urllib.error.HTTPError as error:
        do = "Set TAXI_TOKEN; `taxi token` issues one." if error.code == 401 else "`taxi ps` shows its parts."
        why = _detail(error)
        if why:
            is_wrong_use = error.code in {404, 409, 422}
            raise LocalError(
                f"{why[0].upper()}{why[1:]}.",
                do=do if error.code == 401 else "",
                code=WRONG_USE if is_wrong_use else FAILED,
            ) from error
        raise LocalError(f"{url} answers {error.code} {error.reason}.", do=do) from error
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise LocalError(
            f"{url} does not answer: {reason}.", do="`taxi ps` shows the state of its parts."
        ) from error


def _detail(error: urllib.error.HTTPError) -> str:
    """What a problem document says; empty if it is none."""
    try:
        return str(json.load(error).get("detail", ""))
    except (ValueError, AttributeError):
        return ""
