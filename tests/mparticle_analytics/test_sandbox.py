"""What we send, judged by the sandbox, which was written from the documents alone: nothing of it is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.mparticle_analytics import (
    AnalyticsClient,
    AnalyticsEvent,
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.sandbox import MParticleAnalyticsApp, Sandbox
from tests.mparticle_analytics.records import log_record, log_records, span_with

TIME_UNIX_MS = 1_700_000_000_123
ASTRAL = "\N{GRINNING FACE}"
WILD = {
    "long": "x" * 300,
    "pair": "x" * 254 + ASTRAL,
    "half": "\ud800",
    'quo"te\\\n': "\x00\x1f \u2028",
    "a": {"b": 1, "c": [1, "x", True], "d": [{"e": 2}]},
    "n" * 300: 1,
    "nan": math.nan,
    "huge": 10**300,
    "raw": b"\x00\xff",
    "none": None,
    "empty": "",
}
MANY = {f"p{number}": number for number in range(250)}


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[AnalyticsClient]:
    with AnalyticsClient(**sandbox.mparticle_analytics_settings) as running:
        yield running


def test_A1_A2_every_way_of_tracking_is_understood(sandbox: Sandbox, client: AnalyticsClient) -> None:
    """By POST, by GET and in a batch: the same event, and no finding."""
    event = AnalyticsEvent("Registration", "user47", {"Gender": "Female", "Age": 23}, TIME_UNIX_MS)

    client.track(event)
    client.track(event, method="get")
    client.track_many([event, event])

    received = sandbox.received.mparticle_analytics
    assert {(one.name, one.user_id, one.time_unix_ms) for one in received.events} == {
        ("Registration", "user47", TIME_UNIX_MS)
    }
    assert [dict(one.properties) for one in received.events] == [{"Gender": "Female", "Age": "23"}] * 4
    assert sandbox.received.findings == ()


@pytest.mark.parametrize("key_in", ["body", "path"])
def test_A3_the_key_may_travel_in_either_place(key_in: str) -> None:
    """Also with characters that a path gives a meaning."""
    with Sandbox(mparticle_analytics=MParticleAnalyticsApp(api_key="k/1 ?é")) as sandbox:
        settings = {**sandbox.mparticle_analytics_settings, "key_in": key_in}
        with AnalyticsClient(**settings) as client:
            assert client.track(AnalyticsEvent("e", "u")) == Receipt(delivered=1)
            assert client.track(AnalyticsEvent("e", "u"), method="get") == Receipt(delivered=1)
            assert client.track_many([AnalyticsEvent("e", "u")] * 3) == Receipt(delivered=3)
            assert client.identify("u", {"a": 1}) == Receipt(delivered=1)
        assert sandbox.received.findings == ()


def test_A6_A7_A8_A9_nothing_is_left_for_the_server_to_refuse_or_cut(
    sandbox: Sandbox, client: AnalyticsClient
) -> None:
    """The wildest properties, and names and ids as long as may be."""
    event = AnalyticsEvent("n" * 255, ASTRAL * 127, {**WILD, **MANY}, TIME_UNIX_MS)

    assert client.track(event) == Receipt(delivered=1)
    assert client.identify("u", {**MANY, **WILD}) == Receipt(delivered=1)
    assert client.track(AnalyticsEvent("e", "u", WILD), method="get") == Receipt(delivered=1)

    assert sandbox.received.findings == ()
    assert len(sandbox.received.mparticle_analytics.events[0].properties) == 200


def test_A10_A11_A12_users_are_what_was_told_of_them(sandbox: Sandbox, client: AnalyticsClient) -> None:
    """A merged stream with its profile, a suppressed user and a deleted one."""
    client.track_many(
        [AnalyticsEvent("seen", "anon-1"), AnalyticsEvent("seen", "v"), AnalyticsEvent("x", "w")]
    )
    client.alias("anon-1", "user47")
    client.track(AnalyticsEvent("bought", "user47"))
    client.identify("user47", {"plan": "pro"})
    client.suppress("v")
    client.delete("w")
    client.track_many([AnalyticsEvent("never", "v"), AnalyticsEvent("never", "w")])

    received = sandbox.received.mparticle_analytics
    user = received.user("user47")
    assert (user.ids, user.properties) == ({"anon-1", "user47"}, {"plan": "pro"})
    assert [event.name for event in user.events] == ["seen", "bought"]
    assert (received.user("v").suppressed, received.user("w").deleted) == (True, True)
    assert "never" not in [event.name for event in received.events]
    assert sandbox.received.findings == ()


def test_A16_the_rate_is_kept_as_the_vendor_counts_it(sandbox: Sandbox, client: AnalyticsClient) -> None:
    """1,000 events at once: the sandbox reports any second with more than 250."""
    events = [AnalyticsEvent("e", f"u{number % 50}", {"n": number}) for number in range(1000)]

    assert client.track_many(events, timeout_seconds=30) == Receipt(delivered=1000)

    assert len(sandbox.received.mparticle_analytics.events) == 1000
    assert sandbox.received.findings == ()


def test_an_applications_records_become_users(sandbox: Sandbox) -> None:
    """Logs and spans of a real SDK: streams, profiles and merges, without a finding."""
    settings = sandbox.mparticle_analytics_settings
    logs, spans = MParticleAnalyticsLogExporter(**settings), MParticleAnalyticsSpanExporter(**settings)
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(logs))
    logger = provider.get_logger("shop")
    session, user = {"session.id": "s-1"}, {"session.id": "s-1", "user.id": "user47"}
    logger.emit(event_name="Page viewed", attributes={**session, "items": [{"sku": "a"}, {"sku": "b"}]})
    logger.emit(event_name="Logged in", attributes={**user, "mparticle.user_attributes.plan": "pro"})
    logger.emit(event_name="Paid", attributes={**user, "total": 19.99}, body="paid 19.99")
    provider.force_flush()
    spans.export(span_with(("exception", {"exception.type": "ValueError"}), **user))
    provider.shutdown()
    spans.shutdown()

    (found,) = sandbox.received.mparticle_analytics.users
    assert found.ids == {"s-1", "user47"}
    assert found.properties == {"plan": "pro"}
    assert sorted(event.name for event in found.events) == ["Logged in", "Page viewed", "Paid", "exception"]
    assert sandbox.received.findings == ()


def test_whatever_a_record_holds_nothing_is_wrong_with_what_is_sent(sandbox: Sandbox) -> None:
    """Strange records among good ones: the good ones arrive, and the sandbox has nothing to say."""
    exporter = MParticleAnalyticsLogExporter(**sandbox.mparticle_analytics_settings, plain_logs="send")
    records = [
        *log_record("good"),
        *log_record("wild", attributes=WILD),
        *log_record("n" * 256),
        *log_record("bad user", attributes={"user.id": "u" * 300}),
        *log_record("half user", attributes={"user.id": "\ud800"}),
        *log_record("early", timestamp=5_000_000),
        *log_record(None, body={"map": {"a": [1, {"b": None}]}}),
        *log_records({"event_name": "nobody"}),
    ]

    exporter.export(records)
    exporter.shutdown()

    received = sandbox.received.mparticle_analytics
    assert [event.name for event in received.events] == ["good", "wild", "log"]
    assert exporter.ledger().delivered == 3
    assert sum(exporter.ledger().ignored.values()) == 5
    assert sandbox.received.findings == ()
