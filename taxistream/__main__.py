# SPDX-License-Identifier: Apache-2.0
"""The `taxi` program, also `python -m taxistream`. No heavy import before Ctrl-C is taken care of."""

import signal
import sys

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended: 128 + SIGINT."""


def main() -> None:
    """Run the command line. Exits; a Ctrl-C at any moment ends it without a traceback."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        # Nothing has been started yet, so the signal may simply end the process while modules load.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from taxistream.cli import app  # noqa: PLC0415

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter's own end prints nothing either


if __name__ == "__main__":
    main()
