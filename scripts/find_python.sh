#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the first Python on PATH that the locked packages are for (3.11 to 3.14) and that can make a virtual
# environment. A newer one has no wheels in the locks, and compiling scipy is nobody's first minute.
set -u

unfit=""
for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14 python3 python; do
    found=$(command -v "$name" 2>/dev/null) || continue
    # A version manager's stand-in may be on PATH and still run nothing, hence the try.
    version=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$found" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
        unfit="$unfit $found ($version)"
    elif ! "$found" -c 'import ensurepip, venv' 2>/dev/null; then
        unfit="$unfit $found ($version, without venv: install python$version-venv)"
    else
        echo "$found"
        exit 0
    fi
done

echo "taxistream needs Python 3.11, 3.12, 3.13 or 3.14 with its venv module." >&2
echo "Found:${unfit:- no Python at all}" >&2
echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python)" >&2
echo "or name it: make PYTHON=/path/to/python3" >&2
exit 1
