# SPDX-License-Identifier: Apache-2.0
"""Becomes another program that the kernel kills when its parent is gone. Linux; run by path, not imported.

    python leash.py PARENT_PID PROGRAM [ARGUMENT …]

It imports nothing of ours, so that it costs a few milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(sys.argv[1]):  # else it died before we asked
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the point of this file
