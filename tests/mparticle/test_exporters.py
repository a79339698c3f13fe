"""The mParticle exporters over real HTTP: what an application sees of them, and what mParticle receives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.sandbox import MParticleApp, Sandbox

RESOURCE = Resource.create(
    {"service.name": "shop", "service.version": "1.2", "deployment.environment.name": "test"}
)
NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens


def provider_with(exporter: MParticleLogExporter, processor: Any = BatchLogRecordProcessor) -> LoggerProvider:
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(processor(exporter))
    return provider


@pytest.mark.parametrize("processor", [BatchLogRecordProcessor, SimpleLogRecordProcessor])
def test_events_arrive_with_their_users(sandbox: Sandbox, processor: Any) -> None:
    """Named log records are custom events of the user their attributes name, in order, once each."""
    provider = provider_with(MParticleLogExporter(**sandbox.mparticle_settings), processor)
    logger = provider.get_logger("shop")

    for number in range(3):
        for user in ("ann", "bob"):
            attributes = {"user.id": user, "sku": "lamp", "number": number}
            logger.emit(event_name="Added to cart", attributes=attributes, body="a lamp")
    provider.shutdown()

    received = sandbox.received
    for user in ("ann", "bob"):
        events = received.mparticle.user(customer_id=user).events
        assert [event.data["event_name"] for event in events] == ["Added to cart"] * 3
        details = [event.data["custom_attributes"] for event in events]
        assert [one["number"] for one in details] == ["0", "1", "2"]  # type: ignore[index]  # a map
    batch = received.mparticle.batches[0].content
    assert batch["environment"] == "development"
    assert batch["application_info"] == {"application_name": "shop", "application_version": "1.2"}
    assert received.findings == ()


def test_the_last_word_of_a_user_holds(sandbox: Sandbox) -> None:
    """Consent refused, given, withdrawn: the last is the last to arrive, as is a plan that was left."""
    provider = provider_with(MParticleLogExporter(**sandbox.mparticle_settings))
    logger = provider.get_logger("shop")
    now_ms = time.time_ns() // 1_000_000

    for at, (answer, plan) in enumerate([(False, "free"), (True, "pro"), (True, "pro"), (False, "free")]):
        attributes: dict[str, Any] = {
            "user.id": "ann",
            "mparticle.consent.gdpr.ads": answer,
            "mparticle.user_attributes.plan": plan,
        }
        logger.emit(timestamp=(now_ms + at) * 1_000_000, event_name="E", attributes=attributes)
    provider.shutdown()

    batches = [batch.content for batch in sandbox.received.mparticle.batches]
    assert [batch["consent_state"] for batch in batches] == [
        {"gdpr": {"ads": {"consented": answer, "timestamp_unixtime_ms": now_ms + at}}}
        for at, answer in ((0, False), (1, True), (3, False))
    ]
    assert sandbox.received.mparticle.user(customer_id="ann").attributes == {"plan": "free"}
    assert sandbox.received.findings == ()


def test_ordinary_logging_calls_arrive(sandbox: Sandbox) -> None:
    """Through Python's logging: calls with an event name or an exception arrive, the others do not."""
    exporter = MParticleLogExporter(**sandbox.mparticle_settings)
    provider = provider_with(exporter)
    logger = logging.getLogger("test.ordinary")
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    try:
        logger.warning("signed up", extra={"otel.event.name": "Signed up", "user.id": "ann"})
        logger.warning("just a line", extra={"user.id": "ann"})
        try:
            raise ValueError("card refused")
        except ValueError:
            logger.exception("payment failed", extra={"user.id": "ann"})
    finally:
        logger.removeHandler(handler)
        provider.shutdown()

    events = sandbox.received.mparticle.user(customer_id="ann").events
    assert [event.type for event in events] == ["custom_event", "crash_report"]
    assert events[1].data["class_name"] == "ValueError"
    assert events[1].data["message"] == "card refused"
    assert "Traceback" in str(events[1].data["stack_trace"])
    assert exporter.ledger().ignored == {"no_event_name": 1}
    assert sandbox.received.findings == ()


def test_sending_does_not_feed_itself(sandbox: Sandbox) -> None:
    """What urllib3 and we log of a delivery is not delivered, though everything is handled at DEBUG."""
    exporter = MParticleLogExporter(**sandbox.mparticle_settings, plain_logs="breadcrumb", anonymous="send")
    provider = provider_with(exporter)
    handler = LoggingHandler(logger_provider=provider)
    loggers = [logging.getLogger(name) for name in ("app", "urllib3", "otel_vendor_exporters")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    sandbox.answer_next(503)  # which is warned of
    try:
        loggers[0].info("hello")
        for _ in range(3):
            provider.force_flush()
            assert exporter.force_flush()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        provider.shutdown()

    events = sandbox.received.mparticle.events
    assert [event.data["label"] for event in events] == ["hello"]
    assert exporter.ledger().ignored["echo"] > 0


def test_span_events_and_calls_arrive(sandbox: Sandbox) -> None:
    exporter = MParticleSpanExporter(**sandbox.mparticle_settings, network_performance=True)
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")

    with tracer.start_as_current_span("checkout", attributes={"user.id": "ann"}) as span:
        span.add_event("Order placed", {"total": 12.5})
        span.record_exception(ValueError("card refused"))
        call: dict[str, Any] = {
            "http.request.method": "GET",
            "url.full": "http://stock/lamp",
            "http.response.status_code": 200,
            "user.id": "ann",
        }
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=call):
            pass
    provider.shutdown()

    events = sandbox.received.mparticle.user(customer_id="ann").events
    assert sorted(event.type for event in events) == ["crash_report", "custom_event", "network_performance"]
    assert sandbox.received.findings == ()
    assert exporter.ledger().balanced


def test_the_ledger_counts_spans_however_many_events_they_have(sandbox: Sandbox) -> None:
    """A span none of whose events could be kept is ignored; one that lost some of them goes without."""
    exporter = MParticleSpanExporter(**sandbox.mparticle_settings)
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    too_much = {f"mparticle.user_attributes.{number}": "x" * 4000 for number in range(40)}

    for of_span, of_last_event in ((too_much, {}), ({}, too_much)):
        with tracer.start_as_current_span("s", attributes={"user.id": "ann", **of_span}) as span:
            span.add_event("first")
            span.add_event("second")
            span.add_event("last", of_last_event)
    provider.shutdown()

    ledger = exporter.ledger()
    assert (ledger.seen, ledger.mapped) == (2, 1)
    assert (ledger.ignored, ledger.left_out) == ({"user_too_large": 1}, {"user_too_large": 1})
    events = sandbox.received.mparticle.user(customer_id="ann").events
    assert [event.data["event_name"] for event in events] == ["first", "second"]


def test_both_exporters_share_one_way(sandbox: Sandbox) -> None:
    """One destination for one input: one ledger, and conflicting settings are said."""
    logs = MParticleLogExporter(**sandbox.mparticle_settings)
    spans = MParticleSpanExporter(**sandbox.mparticle_settings, network_performance=True)
    with pytest.raises(ConfigurationError, match="connections"):
        MParticleSpanExporter(**sandbox.mparticle_settings, connections=9)
    provider = provider_with(logs)
    provider.get_logger("shop").emit(event_name="E", attributes={"user.id": "ann"})
    provider.shutdown()
    assert spans.ledger().delivered == 1
    spans.shutdown()


def records_of(count: int, **attributes: Any) -> list[ReadableLogRecord]:
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    logger = provider.get_logger("shop")
    for number in range(count):
        given = {"user.id": f"user-{number % 50}", **attributes}
        logger.emit(event_name="E", attributes=given, severity_number=SeverityNumber.INFO)
    provider.shutdown()
    return list(memory.get_finished_logs())


def test_a_bad_record_is_refused_alone(sandbox: Sandbox) -> None:
    """Its field and reason are in the ledger; the others arrive."""
    exporter = MParticleLogExporter(**sandbox.mparticle_settings)
    bad = records_of(1)
    object.__setattr__(bad[0].log_record, "event_name", "session.start")  # which needs a session.id

    assert exporter.export([*records_of(2), *bad, *records_of(1)]) is LogRecordExportResult.SUCCESS
    exporter.shutdown()

    assert len(sandbox.received.mparticle.events) == 3
    assert exporter.ledger().ignored == {"unfit:session.id": 1}


@pytest.mark.parametrize(
    ("anonymous", "users"),
    [("drop", []), ("send", [{}]), ("customer_id=batch", [{"customer_id": "batch"}])],
)
def test_records_of_nobody_follow_the_setting(
    sandbox: Sandbox, anonymous: str, users: list[dict[str, str]]
) -> None:
    exporter = MParticleLogExporter(**sandbox.mparticle_settings, anonymous=anonymous)
    exporter.export(records_of(1, **{"user.id": None}))
    exporter.shutdown()
    assert [dict(user.identities) for user in sandbox.received.mparticle.users] == users
    assert exporter.ledger().ignored == ({"anonymous": 1} if anonymous == "drop" else {})


def test_the_pixel_as_transport(sandbox: Sandbox) -> None:
    """Custom events and screen views go as pixels; what has no pixel is counted."""
    exporter = MParticleLogExporter(transport="pixel", **sandbox.mparticle_pixel_settings)
    provider = provider_with(exporter)
    logger = provider.get_logger("shop")
    logger.emit(event_name="Clicked", attributes={"user.id": "ann", "sku": "lamp"})
    logger.emit(event_name="page_view", attributes={"user.id": "ann", "url.path": "/home"})
    logger.emit(event_name="session.start", attributes={"user.id": "ann", "session.id": "s"})
    provider.shutdown()

    events = sandbox.received.mparticle.user(customer_id="ann").events
    assert [event.type for event in events] == ["custom_event", "screen_view"]
    assert exporter.ledger().ignored == {"unfit:pixel.session_start": 1}
    assert sandbox.received.findings == ()


def test_an_outage_costs_nothing_but_time(sandbox: Sandbox) -> None:
    exporter = MParticleLogExporter(**sandbox.mparticle_settings)
    sandbox.answer_next(status=503, times=3, on="events")
    exporter.export(records_of(200))
    assert exporter.force_flush(20_000)
    exporter.shutdown()
    assert len(sandbox.received.mparticle.events) == 200
    assert exporter.ledger().delivered == 50
    assert sandbox.received.findings == ()


@pytest.mark.flaky(reruns=2)
def test_export_never_waits_for_a_vendor_that_is_down() -> None:
    """Ruling 5 and 6: nothing in `export` touches a socket, and what waits stays within its bounds."""
    exporter = MParticleLogExporter(
        api_key="k", api_secret="s", base_url=NOBODY, timeout=0.3, max_queue_items=100
    )
    records = records_of(512)
    began = time.monotonic()
    for _ in range(10):
        assert exporter.export(records) is LogRecordExportResult.SUCCESS
    assert time.monotonic() - began < 2.0
    counts = exporter.ledger()
    assert counts.waiting + counts.in_flight <= 100
    assert counts.balanced
    exporter.shutdown()
    assert exporter.ledger().waiting == 0
    assert exporter.export(records) is LogRecordExportResult.FAILURE


def test_many_threads_export_at_once(sandbox: Sandbox) -> None:
    exporter = MParticleLogExporter(**sandbox.mparticle_settings)
    records = records_of(100)
    threads = [threading.Thread(target=exporter.export, args=(records,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exporter.shutdown()
    assert len(sandbox.received.mparticle.events) == 800
    assert exporter.ledger().balanced
    assert sandbox.received.findings == ()


@pytest.fixture
def live() -> Iterator[Sandbox]:
    with Sandbox(mparticle=MParticleApp(mode="live")) as running:
        yield running


def test_no_secret_in_any_log_line(live: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = MParticleLogExporter(**live.mparticle_settings, timeout=0.5)
    live.answer_next(status=400, on="events", body=b'{"errors":[{"message":"Value &quot;ann@x.org&quot;"}]}')
    exporter.export(records_of(1, **{"user.email": "ann@x.org"}))
    exporter.force_flush(1000)
    exporter.shutdown()
    assert "mparticle" in caplog.text
    assert live.mparticle.api_secret not in caplog.text + repr(exporter.__dict__)
    assert "ann@x.org" not in caplog.text
    assert exporter.ledger().refused == {"bad_batch": 1}


@pytest.mark.parametrize("way", [{}, {"timeout_millis": 5000}, {"timeout": 5000.0}])
def test_every_spelling_of_shutdown_is_taken(sandbox: Sandbox, way: dict[str, Any]) -> None:
    """The SDK's own callers differ, and some pass nothing."""
    exporter = MParticleLogExporter(**sandbox.mparticle_settings)
    exporter.export(records_of(1))
    exporter.shutdown(**way)
    assert len(sandbox.received.mparticle.events) == 1
