"""Real log records and spans, made by the SDK, and events for the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_vendor_exporters.mparticle_analytics import AnalyticsEvent

TIME_UNIX_NS = 1_700_000_000_123_456_789
TIME_UNIX_MS = 1_700_000_000_123


def log_records(
    *emitted: Mapping[str, Any], resource: Mapping[str, str] | None = None
) -> Sequence[ReadableLogRecord]:
    """The records for these keywords of `Logger.emit`."""
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # untyped in OpenTelemetry
    provider = LoggerProvider(resource=Resource.create(resource or {}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    logger = provider.get_logger("shop.cart", "1.2")
    for keywords in emitted:
        logger.emit(**{"timestamp": TIME_UNIX_NS, **keywords})
    return memory.get_finished_logs()


def log_record(event_name: str | None = "Registration", /, **keywords: Any) -> Sequence[ReadableLogRecord]:
    """One record; keywords that `Logger.emit` does not know are attributes."""
    known: dict[str, Any] = {
        name: keywords.pop(name) for name in ("timestamp", "body", "severity_text") if name in keywords
    }
    attributes = {"user.id": "user47", **keywords.pop("attributes", {}), **keywords}
    return log_records({"event_name": event_name, "attributes": attributes, **known})


def span_with(*events: tuple[str, Mapping[str, Any]], **attributes: Any) -> Sequence[ReadableSpan]:
    """One finished span with these events."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with provider.get_tracer("shop.cart", "1.2").start_as_current_span(
        "GET /cart", attributes=attributes
    ) as span:
        for name, of_event in events:
            span.add_event(name, of_event, TIME_UNIX_NS)
    return memory.get_finished_spans()


def events(count: int, users: int = 7) -> list[AnalyticsEvent]:
    return [AnalyticsEvent(f"e{number}", f"u{number % users}") for number in range(count)]
