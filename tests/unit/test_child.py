# SPDX-License-Identifier: Apache-2.0
"""A child that ended before asyncio noticed keeps its exit code, whichever process signals it."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from taxistream.local.child import send_signal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_a_child_that_has_ended_leaves_its_exit_code(number: signal.Signals) -> None:
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its code was not taken
    send_signal(cast("Any", SimpleNamespace(pid=child.pid, returncode=None)), number)
    assert child.wait() == 3


def test_a_child_that_was_waited_for_is_not_signalled() -> None:
    send_signal(cast("Any", SimpleNamespace(pid=os.getpid(), returncode=0)), signal.SIGKILL)
