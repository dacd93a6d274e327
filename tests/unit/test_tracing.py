# SPDX-License-Identifier: Apache-2.0
"""Trace context survives the log, and reaches a collector only where one is asked for."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taxi.runtime.otlp import OtlpTracer, tracer
from taxi.runtime.tracing import NoTracer, parse, root


def test_a_trace_comes_back_from_its_headers() -> None:
    trace = root("r-000001:request")
    assert parse(trace.headers()) == trace


def test_the_same_name_gives_the_same_ids_and_another_gives_others() -> None:
    assert root("a") == root("a") != root("b")
    assert root("a").child(1) == root("a").child(1) != root("a").child(2)
    assert root("a").child(1).trace_id == root("a").trace_id


@pytest.mark.parametrize(
    "text", ["", "00-0-0-00", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "01-" + "a" * 32 + "-" + "b" * 16]
)
def test_a_malformed_header_is_no_trace(text: str) -> None:
    assert parse((("traceparent", text.encode()),)) is None
    assert parse({"traceparent": text}) is None


def test_no_collector_is_spoken_to_unless_the_environment_asks() -> None:
    assert isinstance(tracer("gateway", {}), NoTracer)
    assert isinstance(tracer("gateway", {"OTEL_SERVICE_NAME": "x"}), NoTracer)


def test_a_collector_without_an_address_is_named() -> None:
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_ENDPOINT='collector:4318'"):
        tracer("gateway", {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})


def test_a_span_is_exported_with_the_ids_that_stand_on_the_log() -> None:
    exporter = InMemorySpanExporter()
    otlp = OtlpTracer("dispatcher", exporter)
    command = root("r-1:request")
    event = command.child("RideRequested")
    otlp.record("RideRequested", event, command, 1_000, 1_250, ride="r-1")
    otlp.close()
    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == command.trace_id
    assert f"{span.context.span_id:016x}" == event.span_id
    assert f"{span.parent.span_id:016x}" == command.span_id
    assert (span.start_time, span.end_time) == (1_000_000_000, 1_250_000_000)
