"""Stamping: the current visitor on spans and log records of libraries that know nothing of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from instrumentation import VisitorDetails, visitor
from otel_vendor_exporters.attributes import VISITOR, VisitorScope, visitor_fields
from otel_vendor_exporters.visitor import VisitorLogProcessor, VisitorSpanProcessor

EVERYTHING: VisitorDetails = {
    "user_id": "u-1",
    "anonymous_id": "a-1",
    "session_id": "s-1",
    "session_length": 2,
    "page_group": "Cart",
    "ab_test": "B",
    "dimensions": {"Plan": "gold"},
    "identities": {"email": "a@b.example"},
    "user_attributes": {"age": 7},
    "consent": {"gdpr.analytics": True},
    "client_address": "192.0.2.7",
}
DEFAULT = {
    "user.id": "u-1",
    "enduser.pseudo.id": "a-1",
    "session.id": "s-1",
    "mpulse.session.length": 2,
    "mpulse.page_group": "Cart",
    "mpulse.ab_test": "B",
    "mpulse.dimension.Plan": "gold",
}
ALL = {
    **DEFAULT,
    "user.email": "a@b.example",
    "mparticle.user_attributes.age": 7,
    "mparticle.consent.gdpr.analytics": True,
    "client.address": "192.0.2.7",
}
FIELDS = [
    ("default", DEFAULT),
    ("all", ALL),
    (("session",), {"session.id": "s-1", "mpulse.session.length": 2}),
]


def span_attributes(
    details: VisitorDetails, own: Mapping[str, str] | None = None, fields: str = "default", batch: bool = True
) -> Mapping[str, object]:
    """What an exporter sees on a span that a library started for this visitor."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(VisitorSpanProcessor(fields))
    provider.add_span_processor(BatchSpanProcessor(exporter) if batch else SimpleSpanProcessor(exporter))
    with visitor(**details):
        provider.get_tracer("library").start_span("GET", attributes=own).end()
    provider.shutdown()
    (span,) = exporter.get_finished_spans()
    return dict(span.attributes or {})


def log_attributes(
    details: VisitorDetails, own: Mapping[str, str] | None = None, fields: str = "default", batch: bool = True
) -> Mapping[str, object]:
    """What an exporter sees on a log record that a library emitted for this visitor."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(VisitorLogProcessor(fields))
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter) if batch else SimpleLogRecordProcessor(exporter)
    )
    with visitor(**details):
        provider.get_logger("library").emit(LogRecord(body="hello", attributes=own))
    provider.force_flush()
    (record,) = exporter.get_finished_logs()
    provider.shutdown()
    return dict(record.log_record.attributes or {})


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "simple"])
@pytest.mark.parametrize(("fields", "expected"), FIELDS, ids=["default", "all", "session"])
@pytest.mark.parametrize("attributes_of", [span_attributes, log_attributes], ids=["span", "log"])
def test_the_chosen_fields_are_stamped(attributes_of, fields, expected, batch) -> None:  # type: ignore[no-untyped-def]
    """By default ids, session and place; what is personal only when all is asked for."""
    assert attributes_of(EVERYTHING, fields=fields, batch=batch) == expected


@pytest.mark.parametrize("attributes_of", [span_attributes, log_attributes], ids=["span", "log"])
def test_without_a_visitor_nothing_is_stamped(attributes_of) -> None:  # type: ignore[no-untyped-def]
    """No visitor, no attribute."""
    assert attributes_of({}) == {}


OWN_GOES_FIRST = [
    ({"mpulse.page_group": "Own"}, {**ALL, "mpulse.page_group": "Own"}),
    ({"user.id": "u-1"}, {key: value for key, value in ALL.items() if key != "enduser.pseudo.id"}),
    (
        {"user.id": "u-2"},
        {
            "user.id": "u-2",
            "session.id": "s-1",
            "mpulse.session.length": 2,
            "mpulse.page_group": "Cart",
            "mpulse.ab_test": "B",
            "mpulse.dimension.Plan": "gold",
            "client.address": "192.0.2.7",
        },
    ),
    (
        {"session.id": "s-2"},
        {**{key: value for key, value in ALL.items() if "session" not in key}, "session.id": "s-2"},
    ),
    ({"other": "x"}, {**ALL, "other": "x"}),
]


@pytest.mark.parametrize(("own", "expected"), OWN_GOES_FIRST, ids=[str(each[0]) for each in OWN_GOES_FIRST])
@pytest.mark.parametrize("attributes_of", [span_attributes, log_attributes], ids=["span", "log"])
def test_what_a_record_says_itself_goes_first(attributes_of, own, expected) -> None:  # type: ignore[no-untyped-def]
    """A record's own word stands, and half a session or another user's e-mail never stands beside it."""
    assert attributes_of(EVERYTHING, own=own, fields="all") == expected


def test_a_span_that_is_not_sampled_is_left_alone() -> None:
    """Nothing is stamped, and nothing fails, where nothing is recorded."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(VisitorSpanProcessor())
    with visitor(user_id="u-1"):
        provider.get_tracer("library").start_span("GET").end()


def test_an_unknown_field_says_what_would_be_right() -> None:
    """The message names the fields."""
    with pytest.raises(ValueError, match=r"'email' is no field of a visitor.*identities"):
        VisitorSpanProcessor("email")
    assert visitor_fields(["session", "ids"]) == ("session", "ids")


def test_a_broken_visitor_fails_neither_spans_nor_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Spans start and records go on, whatever stands where the visitor should; it is said once."""

    class Broken(VisitorScope):
        def attributes(self, wanted: tuple[str, ...]) -> Mapping[str, object]:
            raise RuntimeError("user data")

    token = VISITOR.set(Broken({}))
    try:
        tracer_provider = TracerProvider(shutdown_on_exit=False)
        tracer_provider.add_span_processor(VisitorSpanProcessor())
        logger_provider = LoggerProvider(shutdown_on_exit=False)
        logger_provider.add_log_record_processor(VisitorLogProcessor())
        for _ in range(3):
            tracer_provider.get_tracer("a").start_span("b").end()
            logger_provider.get_logger("a").emit(LogRecord(body="b"))
    finally:
        VISITOR.reset(token)

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "user data" not in caplog.text


def test_the_log_processor_is_no_reason_to_make_a_record() -> None:
    """With no exporter behind it, a logger that is asked says that it is off."""
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(VisitorLogProcessor())
    enabled = getattr(provider.get_logger("a"), "enabled", None)
    if enabled is None:
        pytest.skip("the SDK before 1.45 does not ask")
    assert enabled(severity_number=SeverityNumber.INFO) is False
