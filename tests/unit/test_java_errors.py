# SPDX-License-Identifier: Apache-2.0
"""What Java's and Kafka's words mean, and what a person is spared."""

import pytest

from taxistream.local.java_errors import Cause, explain, without_stack_traces

FULL = """\
[2026-01-02 03:04:05,678] ERROR Error while appending records to taxi.locations-0 in dir data (LogDirFailure)
java.io.IOException: No space left on device
\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)
\tat java.base/sun.nio.ch.FileDispatcherImpl.write(FileDispatcherImpl.java:62)
\tat kafka.log.UnifiedLog.$anonfun$append$2(UnifiedLog.scala:977) ~[kafka_2.13-4.3.1.jar:?]
Caused by: java.nio.file.FileSystemException: data: No space left on device
\t... 12 more
[2026-01-02 03:04:05,700] ERROR Shutdown broker because all log dirs have failed (LogManager)
"""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (FULL, Cause.DISK_FULL),
        ("java.lang.InternalError: a fault occurred in a recent unsafe memory access", Cause.DISK_FULL),
        ("a fault occurred in an unsafe memory access operation", Cause.DISK_FULL),
        ("java.io.IOException: Disk quota exceeded", Cause.QUOTA),
        ("java.io.IOException: File too large", Cause.FILE_SIZE),
        ("java.nio.file.FileSystemException: data/x: Read-only file system", Cause.READ_ONLY),
        ("java.nio.file.FileSystemException: x: Too many open files", Cause.OPEN_FILES),
        ("java.net.BindException: Address already in use", Cause.PORT_TAKEN),
        ("Failed to acquire lock on file .lock in data.", Cause.DATA_IN_USE),
        ("java.nio.file.AccessDeniedException: data/meta.properties", Cause.NOT_ALLOWED),
        ("Error occurred: Could not reserve enough space for 524288KB object heap", Cause.MEMORY),
        ("java.lang.OutOfMemoryError: unable to create native thread", Cause.THREADS),
        ("java.lang.OutOfMemoryError: Java heap space", Cause.MEMORY),
        ("everything is well", None),
        ("", None),
    ],
)
def test_a_known_cause_is_found(said: str, cause: Cause | None) -> None:
    assert explain(said) is cause


def test_each_cause_is_a_piece_of_a_sentence_and_a_thing_to_do() -> None:
    for cause in Cause:
        assert cause.what[0].islower()
        assert not cause.what.endswith(".")
        assert cause.do.endswith(".")


def test_frames_of_a_stack_trace_are_left_out_and_nothing_else() -> None:
    shown = without_stack_traces(FULL).splitlines()
    assert len(shown) == 4
    assert shown[1] == "java.io.IOException: No space left on device"
    assert shown[-1].endswith("(LogManager)")
    assert without_stack_traces("met at noon (sharp)") == "met at noon (sharp)"
