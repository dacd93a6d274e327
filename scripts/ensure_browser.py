# SPDX-License-Identifier: Apache-2.0
"""Find the browser that the end-to-end tests drive, and fetch Playwright's own where there is none.

`python -m scripts.ensure_browser` prints its path. The order: CHROME_PATH, a Chromium or Chrome of this
machine, what Playwright has in its cache, what Playwright can fetch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
APPLICATIONS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)


def find_browser() -> Path | None:
    """Return a Chromium or Chrome to launch, or None."""
    named = os.environ.get("CHROME_PATH")
    candidates = [
        *([Path(named)] if named else []),
        *(Path(found) for name in NAMES if (found := shutil.which(name))),
        *APPLICATIONS,
        playwrights_own(),
    ]
    return next((path for path in candidates if path.is_file()), None)


def playwrights_own() -> Path:
    """Return where Playwright keeps its Chromium; it need not be there."""
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def fetch() -> None:
    """Let Playwright download its Chromium into its own cache."""
    print(
        "[browser] no Chromium or Chrome on this machine: Playwright fetches its own (about 180 MB)",
        flush=True,
    )
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> int:
    """Print the browser's path; 1 if there is none to be had."""
    found = find_browser()
    if found is None:
        fetch()
        found = find_browser()
    if found is None:
        print(
            "[browser] NONE FOUND: the tests in a browser will be skipped, and fail where CI=true.",
            file=sys.stderr,
        )
        print("[browser] Install Chromium or Chrome, or set CHROME_PATH to one.", file=sys.stderr)
        return 1
    print(f"[browser] {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
