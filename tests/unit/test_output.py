# SPDX-License-Identifier: Apache-2.0
"""What a person is shown when the terminal lacks our signs, is held, or goes away."""

import codecs
import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console

from taxistream.local.output import Output, lossy, when_lost

Pipe = tuple[io.FileIO, TextIO]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Its reading end and its writing end."""
    reading, writing = os.pipe()
    with io.FileIO(reading) as read_end, os.fdopen(writing, "w", encoding="utf-8") as write_end:
        yield read_end, write_end


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "koi8-r"])
def test_each_sign_has_a_stand_in_that_every_terminal_can_show(encoding: str) -> None:
    text = "✓ ✗ ↻ ≠ · … – → │ × é \udce9"
    shown = text.encode(encoding, "taxi.plain").decode(encoding)
    assert shown.startswith("+ x ~ != ")
    assert "\\udce9" in shown


def test_what_cannot_be_decoded_is_not_our_business() -> None:
    with pytest.raises(UnicodeDecodeError):
        codecs.decode(b"\xff", "ascii", "taxi.plain")


def test_text_reaches_the_reader_at_once_and_in_order(pipe: Pipe) -> None:
    reading, stream = pipe
    stream.write("first ")
    Console(file=lossy(stream)).print("then")
    assert reading.read(100) == b"first then\n"


def test_a_closed_pipe_is_reported_once_and_nothing_is_raised(pipe: Pipe) -> None:
    reading, stream = pipe
    console, calls = Console(file=lossy(stream)), []
    when_lost(console, lambda: calls.append("lost"))
    console.print("heard")
    assert calls == []
    reading.close()
    for _ in range(3):
        console.print("not heard")
    assert calls == ["lost"]


def test_a_write_after_the_pipe_was_closed_fails_at_once(pipe: Pipe) -> None:
    reading, stream = pipe
    reading.close()
    console, calls = Console(file=lossy(stream)), []
    console.print("not heard")
    when_lost(console, lambda: calls.append("lost"))
    assert calls == ["lost"]


def test_a_stream_that_was_closed_here_counts_as_lost(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        output = Output(stream)
    assert output.write("text") == 4
    assert output.is_lost
    assert not output.isatty()


def test_a_full_disk_loses_lines_and_not_the_stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with (tmp_path / "out").open("w") as stream:
        output = Output(stream)
        with monkeypatch.context() as patched:
            patched.setattr("taxistream.local.output.os.write", full)
            output.write("lost")
        assert not output.is_lost
        output.write("kept")
    assert (tmp_path / "out").read_text() == "kept"


def test_a_reader_that_does_not_read_holds_no_other_up(pipe: Pipe) -> None:
    _, stream = pipe
    output = Output(stream, wait_s=0.01)
    for _ in range(40):
        output.write("x" * 4095 + "\n")  # ten times what a pipe holds
    assert not output.is_lost


def test_a_stream_in_memory_is_written_as_it_is() -> None:
    memory = io.StringIO()
    Output(memory).write("✓")
    assert memory.getvalue() == "✓"


def test_a_program_without_a_stream_prints_nowhere() -> None:
    console = Console(file=lossy(None))
    console.print("nowhere")
    assert not console.is_terminal


def test_closed_descriptors_are_not_given_to_files(tmp_path: Path) -> None:
    code = (
        "import os; from taxistream.local.output import prepare_streams; prepare_streams();"
        "number = os.open('file', os.O_CREAT | os.O_RDWR); os.write(number, b'%d' % number)"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
    root = str(Path(__file__).parents[2])
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    assert int((tmp_path / "file").read_text()) > 2
