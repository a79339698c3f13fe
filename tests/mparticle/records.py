"""Real records of the SDK for the mapping's tests, and the mapping with time and ids that stand still."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import repeat
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind

from otel_vendor_exporters.mparticle.batching import seal
from otel_vendor_exporters.mparticle.mapping import EventMapping, Mapped
from otel_vendor_exporters.mparticle.settings import MParticleSettings

NANOSECONDS = 1700000000123456789
MS = 1700000000123
MESSAGE_ID = "e8335d31-2031-4bff-afec-17ffc1784697"
SHOP = {"service.name": "shop", "service.version": "1.4.2", "deployment.environment.name": "production"}
USER = {"user.id": "u-1", "user.email": "a@example.com"}


def user_and(**attributes: Any) -> dict[str, Any]:
    """The user's attributes and others; two underscores stand for a dot."""
    return {**USER, **{name.replace("__", "."): value for name, value in attributes.items()}}


def mapping(**settings: Any) -> EventMapping:
    """The mapping with these settings, at a fixed time and with one id."""
    needed = {"api_key": "key", "api_secret": "secret", "environment": "development"}
    read = MParticleSettings.read(**{**needed, **settings})
    return EventMapping(read, repeat(MESSAGE_ID).__next__, lambda: MS)


def log(
    event_name: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    *,
    resource: Resource | Mapping[str, Any] = SHOP,
    body: Any = None,
    severity: int | None = None,
    scope: str | None = None,
    timestamp: int | None = NANOSECONDS,
    **others: Any,
) -> ReadableLogRecord:
    """A log record as exporters get it."""
    record = LogRecord(
        timestamp=timestamp,
        event_name=event_name,
        body=body,
        severity_number=None if severity is None else SeverityNumber(severity),
        attributes=BoundedAttributes(attributes=dict(USER if attributes is None else attributes)),
        **others,
    )
    of = resource if isinstance(resource, Resource) else Resource(resource)
    return ReadableLogRecord(record, of, InstrumentationScope(scope) if scope else None)


def span(
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str = "GET",
    kind: SpanKind = SpanKind.CLIENT,
    start: int = NANOSECONDS,
    end: int = NANOSECONDS + 1_000_000,
    events: tuple[tuple[str, Mapping[str, Any]], ...] = (),
    trace_id: int = 0x4BF92F3577B34DA6A3CE929D0E0E4736,
    span_id: int = 0x00F067AA0BA902B7,
) -> ReadableSpan:
    """A span as exporters get it; its events happened when it began."""
    return ReadableSpan(
        name,
        SpanContext(trace_id, span_id, is_remote=False),
        resource=Resource(SHOP),
        attributes=BoundedAttributes(attributes=dict(USER if attributes is None else attributes)),
        events=[SpanEvent(one, BoundedAttributes(attributes=dict(of)), start) for one, of in events],
        kind=kind,
        start_time=start,
        end_time=end,
    )


def batches(mapped: Mapped) -> list[dict[str, Any]]:
    """What is sent for it, without request ids."""
    sent = [json.loads(batch.body) for batch in seal(mapped.events, repeat("id").__next__).batches]
    return [{key: value for key, value in batch.items() if key != "source_request_id"} for batch in sent]


def data_of(mapped: Mapped) -> list[tuple[str, dict[str, Any]]]:
    """Types and data of its events."""
    return [(event.form["event_type"], event.form["data"]) for event in mapped.events]
