"""What is refused for what it is: counted, said once with what would be right, and alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox
from tests.mpulse.example import span, timed_span
from tests.mpulse.metric_points import (
    CUMULATIVE,
    NOW,
    RESOURCE,
    collection,
    counter,
    gauge,
    histogram,
    number,
)


@pytest.fixture
def exporter(sandbox: Sandbox) -> Iterator[MPulseMetricExporter]:
    """One that knows the definitions: `Orders` was sent."""
    running = MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3)
    running.export(collection(counter(number(1))))
    assert running.force_flush()
    yield running
    running.shutdown()


@pytest.fixture
def first(sandbox: Sandbox) -> Iterator[MPulseMetricExporter]:
    """One that knows no definitions yet."""
    running = MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3)
    yield running
    running.shutdown()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def named(name: str, metric: sdk.Metric, unit: str | None = "1") -> sdk.Metric:
    return sdk.Metric(name, None, unit, metric.data)


UNITS = "a custom timer takes a histogram in one of ns, us, ms, s, min, h, d"
REFUSED = {
    "negative_value": (
        named("Queue", gauge(number(-1))),
        "'Queue': a value below 0, which is sent only with negative_metrics=true",
    ),
    "not_a_finite_number": (
        named("Queue", gauge(number(float("nan")))),
        "'Queue': a metric takes a finite number of at most 30 digits",
    ),
    "unit_is_no_time": (named("search", histogram(3, 2), "By"), f"'search' (unit 'By'): {UNITS}"),
    "too_long": (
        named("search", histogram(3e9, 1), "s"),
        "'search' (unit 's'): longer than the 2147483647 ms that a custom timer takes: check unit and times",
    ),
    "unknown_data": (
        sdk.Metric("orders", None, "1", SimpleNamespace(data_points=[number(1)])),  # type: ignore[arg-type]
        "'orders': data of an unknown kind: sums, gauges and histograms are sent",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refused_point_is_said_once_with_what_would_be_right(
    exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    """Each instrument and reason once, however often it comes; and every time it is counted."""
    metric, words = REFUSED[reason]

    for _ in range(3):
        assert exporter.export(collection(metric)) is MetricExportResult.SUCCESS

    assert said(caplog) == [f"mpulse: not sent: {words}"]
    assert dict(exporter.ledger().ignored) == {reason: 3}
    assert exporter.ledger().balanced


def test_a_level_below_zero_is_said_by_its_instrument(
    exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A level is judged when it is whole, and named as the application names it."""
    points = [number(-2, {"why": "paid"}), number(1, {"why": "opened"})]
    exporter.export(collection(sdk.Metric("queue", None, "1", sdk.Sum(points, CUMULATIVE, False))))

    assert said(caplog) == ["mpulse: not sent: 'queue': " + REFUSED["negative_value"][1].partition(": ")[2]]
    assert dict(exporter.ledger().ignored) == {"negative_value": 2}


def test_many_instruments_make_few_lines(
    exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten names a line, the others with later ones."""
    metrics = [named(f"Timer {number}", histogram(3, 2), "By") for number in range(15)]

    for _ in range(3):
        exporter.export(collection(*metrics))

    assert [line.count("unit 'By'") for line in said(caplog)] == [10, 5]
    assert " and 5 more: a custom timer takes" in said(caplog)[0]


def test_zero_and_what_is_nobodys_are_not_said(
    exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """What settings leave out is no fault."""
    exporter.export(collection(counter(number(0)), named("otel.sdk.span.live", gauge(number(-1)))))

    assert said(caplog) == []


# Before the definitions are known


@pytest.mark.parametrize(
    ("metric", "reason"),
    [(REFUSED[reason][0], reason) for reason in ("unit_is_no_time", "too_long")],
    ids=("unit_is_no_time", "too_long"),
)
def test_a_histogram_from_before_the_definitions_is_told_what_is_wrong_with_it(
    sandbox: Sandbox,
    first: MPulseMetricExporter,
    caplog: pytest.LogCaptureFixture,
    metric: sdk.Metric,
    reason: str,
) -> None:
    """The timer it would feed is defined, so its name is not what is wrong; also not with `timers`."""
    first.export(collection(metric))
    assert first.force_flush()
    first.export(collection(metric))

    names = [line for line in said(caplog) if "not sent" in line]  # delivery tells of refused items, too
    assert names == [f"mpulse: not sent: {REFUSED[reason][1]}"]
    counts = first.ledger()
    assert dict(counts.refused) == dict(counts.ignored) == {reason: 1}
    assert (counts.balanced, sandbox.received.timers) == (True, [])


def test_by_the_timers_setting_too(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A histogram of bytes that the setting names a timer of."""
    exporter = MPulseMetricExporter(**sandbox.mpulse_settings, timers={"find.*": "Search"}, timeout=3)
    exporter.export(collection(named("find.all", histogram(3, 2), "By")))
    assert exporter.force_flush()
    exporter.shutdown()

    assert said(caplog)[0] == f"mpulse: not sent: 'find.all' (unit 'By'): {UNITS}"
    assert "no such custom" not in caplog.text


def test_where_a_metric_is_defined_nothing_is_missed(
    sandbox: Sandbox, first: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A histogram of anything may be a custom metric."""
    first.export(collection(named("orders", histogram(3, 2), "By")))
    assert first.force_flush()

    assert (sandbox.received.metrics, said(caplog)) == ({"Orders": 3}, [])


# Made by hand


class Nasty:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


NASTY: Any = Nasty()
ODD_POINTS: dict[str, Any] = {
    "attributes are a number": sdk.NumberDataPoint(5, NOW, NOW, 1),  # type: ignore[arg-type]
    "nothing": None,
    "anything": NASTY,
}


@pytest.mark.parametrize("point", ODD_POINTS.values(), ids=ODD_POINTS.keys())
def test_a_malformed_point_goes_alone(
    sandbox: Sandbox, exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture, point: Any
) -> None:
    """It is counted and said; the points beside it, of any instrument, arrive."""
    beside = named("Queue", gauge(number(3)))
    result = exporter.export(collection(counter(number(2), point, number(4)), beside))

    assert result is MetricExportResult.SUCCESS
    assert exporter.force_flush()
    assert sandbox.received.metrics == {"Orders": 7, "Queue": 3}
    (reason,) = exporter.ledger().ignored
    assert reason.startswith("unreadable:")
    words = "it is not as OpenTelemetry's SDK makes it: check its attributes, value and times"
    assert said(caplog) == [f"mpulse: not sent: 'orders': {words}"]


ODD_COLLECTIONS: dict[str, Any] = {
    "nothing": None,
    "anything": NASTY,
    "no resources": sdk.MetricsData(None),  # type: ignore[arg-type]
    "no scopes": sdk.MetricsData([sdk.ResourceMetrics(RESOURCE, None, "")]),  # type: ignore[arg-type]
    "no metrics": sdk.MetricsData(
        [sdk.ResourceMetrics(RESOURCE, [sdk.ScopeMetrics(None, None, "")], "")]  # type: ignore[arg-type]
    ),
}


@pytest.mark.parametrize("data", ODD_COLLECTIONS.values(), ids=ODD_COLLECTIONS.keys())
def test_a_collection_of_nothing_is_no_error(exporter: MPulseMetricExporter, data: Any) -> None:
    """Whatever has no list of metrics has none; nothing is raised into the application."""
    before = exporter.ledger()

    assert exporter.export(data) is MetricExportResult.SUCCESS
    assert exporter.ledger() == before


ODD_NUMBERS: dict[str, tuple[Any, str, str]] = {
    **{
        f"{time} for a time": (
            sdk.NumberDataPoint({}, 0, time, 1),  # type: ignore[arg-type]
            "time_is_not_whole_nanoseconds",
            "times of spans and points are whole nanoseconds, as of time.time_ns()",
        )
        for time in (None, "now", float(NOW), float("inf"), float("nan"), True)
    },
    **{
        f"{value} for a value": (
            sdk.NumberDataPoint({}, 0, NOW, value),
            "not_a_finite_number",
            "a metric takes a finite number of at most 30 digits",
        )
        for value in (1e200, 10**30, float("nan"))
    },
}


@pytest.mark.parametrize(("point", "reason", "words"), ODD_NUMBERS.values(), ids=ODD_NUMBERS.keys())
def test_a_number_that_cannot_be_sent_takes_no_beacon_with_it(
    sandbox: Sandbox,
    exporter: MPulseMetricExporter,
    caplog: pytest.LogCaptureFixture,
    point: Any,
    reason: str,
    words: str,
) -> None:
    """A time or value that mPulse could not read is refused, and what shares its beacon arrives."""
    exporter.export(collection(counter(number(2), point), named("Queue", gauge(number(3)))))

    assert exporter.force_flush()
    assert (sandbox.received.metrics, sandbox.received.findings) == ({"Orders": 3, "Queue": 3}, ())
    assert dict(exporter.ledger().ignored) == {reason: 1}
    assert said(caplog) == [f"mpulse: not sent: 'orders': {words}"]


def test_a_point_without_value_or_attributes(sandbox: Sandbox, exporter: MPulseMetricExporter) -> None:
    """No value is no number; no attributes are none."""
    bare = sdk.NumberDataPoint(None, NOW, NOW, 2)
    exporter.export(collection(counter(number(None), bare)))

    assert exporter.force_flush()
    assert sandbox.received.metrics == {"Orders": 3}
    assert dict(exporter.ledger().ignored) == {"not_a_finite_number": 1}


ODD_METRICS: dict[str, Any] = {
    "nothing": None,
    "anything": NASTY,
    "data of a kind to come": sdk.Metric("orders", None, "1", SimpleNamespace(sum=1)),  # type: ignore[arg-type]
    "no data": sdk.Metric("orders", None, "1", None),  # type: ignore[arg-type]
    "a number for a name": sdk.Metric(5, None, "1", gauge(number(1)).data),  # type: ignore[arg-type]
    "a list for a unit": sdk.Metric("search", None, ["s"], histogram(1, 1).data),  # type: ignore[arg-type]
    "points are a number": sdk.Metric("orders", None, "1", sdk.Gauge(5)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("metric", ODD_METRICS.values(), ids=ODD_METRICS.keys())
def test_a_malformed_instrument_goes_alone(
    sandbox: Sandbox, exporter: MPulseMetricExporter, metric: Any
) -> None:
    """Whatever stands beside the others in a collection made by hand, they arrive."""
    result = exporter.export(collection(counter(number(2)), metric, named("Queue", gauge(number(3)))))

    assert result is MetricExportResult.SUCCESS
    assert exporter.force_flush()
    assert sandbox.received.metrics == {"Orders": 3, "Queue": 3}
    assert sum(exporter.ledger().ignored.values()) == 1
    assert exporter.ledger().balanced


def test_a_malformed_span_goes_alone(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """The other spans of its batch arrive as timers."""
    exporter = MPulseSpanExporter(**sandbox.mpulse_settings, timeout=3)
    now = int(time.time() * 1000)
    batch: list[Any] = [span("Checkout", end_unix_ms=now), NASTY, None, span("Search", end_unix_ms=now)]

    assert exporter.export(batch) is SpanExportResult.SUCCESS
    assert exporter.force_flush()
    exporter.shutdown()

    assert [name for name, _ in sandbox.received.timers] == ["Checkout", "Search"]
    counts = exporter.ledger()
    assert (counts.seen, counts.mapped, sum(counts.ignored.values())) == (4, 2, 2)
    assert all(line.startswith("mpulse: not sent: a ") for line in said(caplog))


def test_a_span_without_an_end_is_said(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Spans are refused with words, too."""
    exporter = MPulseSpanExporter(**sandbox.mpulse_settings, timeout=3)
    for _ in range(2):
        exporter.export([timed_span(2_000_000, 1_000_000, "Checkout")])
    exporter.shutdown()

    assert said(caplog) == [
        "mpulse: not sent: 'Checkout': a span that ends before it starts: check start_time and end_time"
    ]
