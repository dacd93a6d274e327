# SPDX-License-Identifier: Apache-2.0
"""What Kafka's jars say of their licences."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

# Jars that carry no licence in a form a program can read: from their projects' pages.
KNOWN = {
    "argparse4j": "MIT",
    "hash4j": "Apache-2.0",
    "metrics-core": "Apache-2.0",
    "pcollections": "MIT",
    "re2j": "BSD-3-Clause",
    "slf4j-api": "MIT",
    "slf4j-reload4j": "MIT",
}
# Words in a manifest's or a licence file's text, and the licence they stand for. The order matters.
MARKS = (
    (r"creativecommons\.org/publicdomain/zero", "CC0-1.0 OR BSD-2-Clause"),
    (r"BSD-2-Clause|licenses/BSD-2", "BSD-2-Clause"),
    (r"mit-license|MIT License", "MIT"),
    (r"Apache(-| Licen[cs]e)|apache\.org/licenses/LICENSE-2\.0", "Apache-2.0"),
)
TEXT_FILE = re.compile(r"(META-INF/)?(LICEN[CS]E|NOTICE)(-2\.0)?(\.txt)?", re.IGNORECASE)


def jar_section(heading: str, folder: Path) -> str:
    """Return the page's section: every jar with its licence, then the notices, each text once."""
    jars = sorted(folder.glob("*.jar"))
    if not jars:
        raise FileNotFoundError(f"no jars in {folder}")
    rows = "".join(f"| {jar.name} | {licence(jar)} |\n" for jar in jars)
    notices: dict[str, list[str]] = {}
    for jar in jars:
        if text := notice(jar):
            notices.setdefault(text, []).append(jar.name)
    texts = "\n".join(f"#### {', '.join(names)}\n\n```\n{text}\n```\n" for text, names in notices.items())
    return f"{heading}\n\n| jar | licence |\n| --- | --- |\n{rows}\n### Their notices\n\n{texts}\n"


def licence(jar: Path) -> str:
    """Return a jar's licence: from its manifest, else its licence file, else the table above."""
    known = KNOWN.get(re.sub(r"-\d.*", "", jar.name))
    licence = known or _marked(_manifest_licence(jar)) or _marked(_text(jar, "LICEN"))
    if licence is None:
        raise LookupError(f"{jar.name} names no licence: look it up and add it to KNOWN")
    return licence


def notice(jar: Path) -> str:
    """Return a jar's NOTICE; empty if it has none."""
    return _text(jar, "NOTICE")


def _marked(text: str) -> str | None:
    return next((name for pattern, name in MARKS if re.search(pattern, text, re.IGNORECASE)), None)


def _manifest_licence(jar: Path) -> str:
    with ZipFile(jar) as archive:
        lines = archive.read("META-INF/MANIFEST.MF").decode().replace("\r\n", "\n").replace("\n ", "")
    found = re.search(r"^Bundle-License: (.*)$", lines, re.MULTILINE)
    return found[1] if found else ""


def _text(jar: Path, kind: str) -> str:
    with ZipFile(jar) as archive:
        names = sorted(n for n in archive.namelist() if TEXT_FILE.fullmatch(n) and kind in n.upper())
        texts = [archive.read(name).decode(errors="replace").strip() for name in names]
    return "\n\n".join("\n".join(line.rstrip() for line in text.splitlines()) for text in texts)
