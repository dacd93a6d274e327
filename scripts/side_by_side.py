# SPDX-License-Identifier: Apache-2.0
"""Runs several commands in parallel, with their names in their output: `side_by_side NAME=COMMAND …`.

Commands that wait (for brokers, for simulated cities) run in parallel with commands that compute. All run to
their end, also if one fails. Exit code 1 if any of them failed.
"""

import asyncio
import sys
import time


async def main(arguments: list[str]) -> int:
    """Run each `NAME=COMMAND` in a shell. Every line of its output begins with the name."""
    commands = dict(argument.split("=", maxsplit=1) for argument in arguments)
    width = max(map(len, commands), default=0)
    codes = await asyncio.gather(*(_run(name.ljust(width), command) for name, command in commands.items()))
    return 1 if any(codes) else 0


async def _run(name: str, command: str) -> int:
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        print(f"{name} │ {line.decode(errors='replace').rstrip()}", flush=True)
    code = await process.wait()
    how = "passed" if code == 0 else f"FAILED (exit code {code})"
    print(f"{name} │ {how} after {time.monotonic() - began_s:.0f} s: {command}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
