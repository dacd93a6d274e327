# SPDX-License-Identifier: Apache-2.0
"""The `taxi` program, also `python -m taxistream`. No heavy import before Ctrl-C is taken care of."""

import signal  # and as little else as possible: until `main` runs, Ctrl-C is a traceback
import sys

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended: 128 + SIGINT."""

_OWN = frozenset({"taxi", "taxistream", "simulator", "dispatcher", "gateway", "verifier", "web"})


def main() -> None:
    """Run the command line. Exits; a Ctrl-C at any moment ends it without a traceback."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        # Nothing has been started yet, so the signal may simply end the process while modules load.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from taxistream.cli import app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.exit(_without_extra(error))

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter's own end prints nothing either


def _without_extra(error: ModuleNotFoundError) -> str:
    """What to do if a package of the extra is missing. Raises the error if it is none."""
    if (error.name or "").partition(".")[0] in _OWN:
        raise error
    return (
        f"The package {error.name} is not installed: this environment has the Python client (taxi.client) "
        "alone. Install the services and the command line with the extra: pip install 'taxistream[services]'"
    )


if __name__ == "__main__":
    main()
