# SPDX-License-Identifier: Apache-2.0
"""Exports spans to an OpenTelemetry collector, with the ids that are already on the log."""

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

from taxi.runtime.tracing import NoTracer, Trace, Tracer


class _GivenIds(IdGenerator):
    """An id generator that returns the ids of the span that is about to be started."""

    def __init__(self) -> None:
        self.next = Trace("0" * 31 + "1", "0" * 15 + "1")

    def generate_trace_id(self) -> int:
        return int(self.next.trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self.next.span_id, 16)


class OtlpTracer:
    """Exports spans in the background; `record` does not wait."""

    def __init__(self, service: str, exporter: SpanExporter | None = None) -> None:
        self._ids = _GivenIds()
        resource = Resource.create({SERVICE_NAME: service})
        self._provider = TracerProvider(id_generator=self._ids, resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("taxistream")

    def record(
        self, name: str, trace: Trace, parent: Trace | None, start_ms: int, end_ms: int, **attributes: Any
    ) -> None:
        """Export a finished span, with times in epoch milliseconds. `parent` None: it is its trace's root."""
        self._ids.next = trace
        context = api.set_span_in_context(api.NonRecordingSpan(_context(parent))) if parent else None
        span = self._tracer.start_span(
            name, context=context, start_time=start_ms * 1_000_000, attributes=attributes
        )
        span.end(end_time=end_ms * 1_000_000)

    def close(self) -> None:
        """Export the spans that are left, then stop."""
        self._provider.shutdown()


def _context(trace: Trace) -> api.SpanContext:
    sampled = api.TraceFlags(api.TraceFlags.SAMPLED)
    return api.SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), True, sampled)


def tracer(service: str, environ: Mapping[str, str]) -> Tracer:
    """An exporter if OpenTelemetry's own variables in `environ` ask for one, otherwise a `NoTracer`.

    Raises:
        ValueError: A variable has an unusable value; the text names it.
    """
    wanted = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NoTracer()
    if not wanted.lower().startswith(("http://", "https://")):
        message = f"OTEL_EXPORTER_OTLP_ENDPOINT={wanted!r}: http://host:port is wanted"
        raise ValueError(message)
    return OtlpTracer(service)
