"""The exporters behind a real SDK, over real HTTP."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle_analytics import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.mparticle_analytics.settings import ENVIRONMENT_PREFIX
from tests.delivery.loopback import Answer
from tests.mparticle_analytics.records import log_record, log_records, span_with
from tests.mparticle_analytics.service import Service

USER_PLAN = "mparticle.user_attributes.plan"


@pytest.fixture
def logs(service: Service) -> Iterator[MParticleAnalyticsLogExporter]:
    exporter = MParticleAnalyticsLogExporter(**service.settings)
    yield exporter
    exporter.shutdown(1000)
    assert exporter.ledger().balanced


def emitted(*pairs: tuple[str, str]) -> Any:
    """Records of these users and names."""
    return log_records(*({"event_name": name, "attributes": {"user.id": user}} for user, name in pairs))


def test_events_of_the_logs_api_arrive(service: Service) -> None:
    """Behind a batch processor, at the provider's shutdown: in order, without anything else."""
    provider = LoggerProvider()
    provider.add_log_record_processor(
        BatchLogRecordProcessor(MParticleAnalyticsLogExporter(**service.settings))
    )
    logger = provider.get_logger("shop")
    for number in range(5):
        logger.emit(event_name=f"e{number}", attributes={"user.id": "u"})
    logger.emit(body="just a line", attributes={"user.id": "u"})
    provider.shutdown()

    assert service.events == [("u", f"e{number}") for number in range(5)]


def test_span_events_arrive(service: Service) -> None:
    """Each event of a span, for the span's user."""
    exporter = MParticleAnalyticsSpanExporter(**service.settings)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("shop").start_as_current_span("GET /cart", attributes={"user.id": "u"}) as span:
        span.add_event("added")
        span.add_event("paid")
    assert exporter.force_flush()
    provider.shutdown()

    assert service.events == [("u", "added"), ("u", "paid")]


def test_A10_A11_users_are_told_of(service: Service, logs: MParticleAnalyticsLogExporter) -> None:
    """Anonymous first, then known, with an attribute that changes: alias and identify in their places."""
    session, user = {"session.id": "s1"}, {"session.id": "s1", "user.id": "u"}
    plan = "mparticle.user_attributes.plan"
    for attributes in (session, user, {**user, plan: "pro"}, {**user, plan: "pro"}, {**user, plan: "team"}):
        logs.export(log_records({"event_name": "seen", "attributes": attributes}))
    assert logs.force_flush()

    told = [
        ("alias", call.body["newId"]) if call.kind == "alias" else (call.kind, call.body.get("properties"))
        for call in service.accepted
        if call.kind in ("alias", "identify")
    ]
    assert told == [("alias", "u"), ("identify", {"plan": "pro"}), ("identify", {"plan": "team"})]
    assert [user for user, _ in service.events] == ["s1", "u", "u", "u", "u"]


def test_both_exporters_share_one_queue(service: Service) -> None:
    """One ledger, one connection, one memory of users; the last to leave ends it."""
    settings = {**service.settings, "connections": 1}
    logs = MParticleAnalyticsLogExporter(**settings)
    spans = MParticleAnalyticsSpanExporter(**settings)
    attributes = {"user.id": "u", "mparticle.user_attributes.plan": "pro"}
    logs.export(log_records({"event_name": "a", "attributes": attributes}))
    spans.export(span_with(("b", {}), **attributes))
    logs.shutdown()
    spans.export(span_with(("c", {}), **attributes))
    spans.shutdown()

    assert [name for _, name in service.events] == ["a", "b", "c"]
    assert service.kinds.count("identify") == 1
    assert service.connections == 1
    assert logs.ledger() == spans.ledger()
    assert spans.ledger().delivered == 4


def test_calls_that_travel_alone_do_not_wait_for_each_other(
    service: Service, logs: MParticleAnalyticsLogExporter
) -> None:
    """Those of four users are under way at once; their events come behind them, together."""
    here, all_here, met = Semaphore(3), threading.Event(), []

    def answer_when_four_are_here() -> None:
        if not here.acquire(blocking=False):
            all_here.set()
        met.append(all_here.wait(5))

    service.fails = answer_when_four_are_here
    logs.export(
        log_records(
            *(
                {"event_name": "e", "attributes": {"user.id": f"u{number}", USER_PLAN: "pro"}}
                for number in range(4)
            )
        )
    )

    assert logs.force_flush()
    assert (service.kinds, met) == ([*["identify"] * 4, "event/batch"], [True] * 5)


def test_ids_of_another_type_are_said_once(
    logs: MParticleAnalyticsLogExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever gives them would look for the events in vain; the message holds none of them."""
    for _ in range(3):
        logs.export(log_record(attributes={"user.id": 42.5}))

    (message,) = [record.getMessage() for record in caplog.records]
    assert message == (
        "mparticle_analytics: 1 records are not sent: their user id is neither a text nor an integer"
    )
    assert logs.ledger().ignored == {"unusable_user_id": 3}


def test_the_ledger_says_what_became_of_every_record(
    service: Service, logs: MParticleAnalyticsLogExporter
) -> None:
    """A6: records are mapped or ignored by reason; what they made is delivered or refused."""
    service.refuses = lambda event: 422 if event["eventName"] == "bad" else 0
    records = [
        *emitted(("u", "good"), ("u", "bad"), ("u", "x" * 256), ("y" * 256, "good")),
        *log_record(None, body="plain"),
        *log_records({"event_name": "nobody's"}),
        *log_record("late", timestamp=-1),
        *log_record("cut", long="x" * 300),
    ]

    assert logs.export(records) is LogRecordExportResult.SUCCESS
    assert logs.force_flush()

    counts = logs.ledger()
    assert (counts.seen, counts.mapped) == (8, 3)
    assert counts.ignored == {
        "bad_event_name": 1,
        "bad_user_id": 1,
        "plain_log": 1,
        "anonymous": 1,
        "bad_time": 1,
    }
    assert (counts.delivered, counts.refused) == (2, {"http_422 event 'bad'": 1})
    assert counts.left_out == {"value_cut": 1}


@pytest.mark.flaky(reruns=2)
def test_an_outage_holds_up_nobody(service: Service) -> None:
    """While Analytics is down export only keeps; shutdown returns soon and says what is lost."""
    service.fails = lambda: Answer(503)
    exporter = MParticleAnalyticsLogExporter(**service.settings)
    records = emitted(*[("u", f"e{number}") for number in range(512)])
    exporter.export(records)
    service.until_called(1)

    began = time.monotonic()
    result = exporter.export(records)
    exported = time.monotonic()
    exporter.shutdown(2000)
    ended = time.monotonic()

    assert result is LogRecordExportResult.SUCCESS
    assert exported - began < 0.5
    assert ended - exported < 3
    assert exporter.ledger().dropped == {"shutdown": 1024}
    assert exporter.export(records) is LogRecordExportResult.FAILURE


def test_memory_is_bounded_and_losses_are_counted(service: Service) -> None:
    """Past max_queue_items the oldest make room."""
    service.fails = lambda: Answer(503)
    exporter = MParticleAnalyticsLogExporter(**service.settings, max_queue_items=100)
    for number in range(5):
        exporter.export(emitted(*[("u", f"e{number}")] * 100))

    counts = exporter.ledger()
    exporter.shutdown(100)

    assert counts.dropped["queue_full"] == 400
    assert counts.waiting + counts.in_flight == 100


def test_what_the_sdk_measures_is_reported(service: Service) -> None:
    """otel.sdk.exporter.* counts records at the door."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    exporter = MParticleAnalyticsLogExporter(**service.settings, meter_provider=provider)
    exporter.export(emitted(("u", "a"), ("u", "b")))
    exporter.shutdown()

    data = reader.get_metrics_data()
    assert data is not None
    metrics = {one.name: one.data.data_points[0] for one in data.resource_metrics[0].scope_metrics[0].metrics}
    provider.shutdown()
    exported: Any = metrics["otel.sdk.exporter.log.exported"]
    assert exported.value == 2
    assert exported.attributes["otel.component.type"] == "mparticle_analytics_log_exporter"


def test_a_fault_of_ours_never_reaches_the_application(
    logs: MParticleAnalyticsLogExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is none costs itself; an exception outside of records is counted, and export fails."""
    broken: Any = object()

    assert logs.export([broken, *emitted(("u", "a"))]) is LogRecordExportResult.SUCCESS
    assert logs.ledger().ignored == {"unfit:AttributeError": 1}
    assert logs.ledger().mapped == 1
    monkeypatch.setattr(logs, "_mapping", None)
    assert logs.export([broken]) is LogRecordExportResult.FAILURE
    assert logs.ledger().ignored["internal_error"] == 1


def test_everything_can_come_from_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK builds exporters without arguments; what is missing is named."""
    with pytest.raises(ConfigurationError, match="api_key is missing"):
        MParticleAnalyticsSpanExporter()
    for name, value in service.settings.items():
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), str(value))
    exporter = MParticleAnalyticsSpanExporter()

    assert exporter.export(span_with(("a", {}), **{"user.id": "u"})) is SpanExportResult.SUCCESS
    exporter.shutdown()

    assert service.events == [("u", "a")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_sends_its_own(service: Service, tmp_path: Path) -> None:
    """Prefork servers make exporters before the fork: the child sends what it exports, and nothing twice."""
    exporter = MParticleAnalyticsLogExporter(**service.settings, anonymous="send")
    exporter.export(log_records({"event_name": "parent's"}))
    assert exporter.force_flush()

    child = os.fork()
    if child == 0:
        exporter.export(log_records({"event_name": "child's"}))
        os._exit(0 if exporter.force_flush() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    exporter.shutdown()

    (parents, _), (childs, _) = service.events
    assert [name for _, name in service.events] == ["parent's", "child's"]
    assert parents != childs  # nobody is somebody else in each process
