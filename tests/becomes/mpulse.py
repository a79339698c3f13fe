"""What becomes what in mPulse: the rows of its table in README, and what proves each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import export as sdk

from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.becomes.row import Row, exported
from tests.mpulse.example import span as timing_span
from tests.mpulse.metric_points import collection, counter, gauge, histogram, level, number

APP = MPulseApp(
    timers=("Checkout", "Search", "Wait"),
    metrics={"Orders": "Number", "Queue": "Number", "Size": "Number", "Wait": "Number"},
    dimensions=("Country", "Plan"),
)


def from_span(attributes: Mapping[str, Any], name: str = "Checkout", **settings: Any) -> list[Any]:
    """The beacons of one span, made by the resource of a shop in France."""
    span = timing_span(name, attributes, end_unix_ms=int(time.time() * 1000), resource={"geo": "FR"})
    with Sandbox(mpulse=APP) as sandbox:
        exported(MPulseSpanExporter(**sandbox.mpulse_settings, **settings, timeout=3), [span])
        return list(sandbox.received.beacons)


def from_metrics(*metrics: sdk.Metric, **settings: Any) -> tuple[dict[str, float], list[tuple[str, int]]]:
    """Custom metrics and custom timers that arrive for instruments, each collected by itself."""
    with Sandbox(mpulse=APP) as sandbox:
        exporter = MPulseMetricExporter(**sandbox.mpulse_settings, **settings, timeout=3)
        exported(exporter, *(collection(metric) for metric in metrics))
        received = sandbox.received
        return received.metrics, [(name, value) for name, value in received.timers]


def named(name: str, metric: sdk.Metric) -> sdk.Metric:
    return sdk.Metric(name, None, metric.unit, metric.data)


def timer_of(beacons: Sequence[Any]) -> list[str]:
    return [name for beacon in beacons for name, _ in beacon.timers]


def mpulse_timers() -> None:
    globs = {"GET *": "Search"}
    assert timer_of(from_span({"mpulse.timer": "Wait"}, "GET /", timers=globs)) == ["Wait"]
    assert timer_of(from_span({}, "GET /", timers=globs)) == ["Search"]
    assert timer_of(from_span({}, "Checkout", timers=globs)) == ["Checkout"]


def mpulse_counters() -> None:
    assert from_metrics(counter(number(2)), counter(number(3)))[0] == {"Orders": 5}
    sold = named("sold.all", counter(number(2)))
    assert from_metrics(sold, metrics={"sold.*": "Orders"})[0] == {"Orders": 2}


def mpulse_levels() -> None:
    assert last_of(level(number(2)), level(number(5))) == ("Queue", 5)
    assert last_of(gauge(number(2)), gauge(number(5))) == ("Queue", 5)


def last_of(*metrics: sdk.Metric) -> tuple[str, float]:
    """The last value of a metric that arrived."""
    with Sandbox(mpulse=APP) as sandbox:
        exporter = MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3)
        exported(exporter, *(collection(metric) for metric in metrics))
        name, value = [one for beacon in sandbox.received.beacons for one in beacon.metrics][-1]
        return name, value


def mpulse_durations() -> None:
    now = time.time_ns()
    duration = histogram(3, 2, "s", start=now - 10**9, end=now)
    assert from_metrics(duration) == ({"Wait": 3}, [("Wait", 1500)])
    assert from_metrics(named("search", duration)) == ({}, [("Search", 1500)])
    assert from_metrics(named("size", duration)) == ({"Size": 3}, [])


def mpulse_histograms() -> None:
    assert from_metrics(named("size", histogram(30, 2, "By"))) == ({"Size": 30}, [])


def mpulse_page_group() -> None:
    def group(attributes: Mapping[str, Any]) -> str | None:
        (beacon,) = from_span(attributes, page_group="Shop")
        found: str | None = beacon.page_group
        return found

    assert group({"mpulse.page_group": "Cart", "http.route": "/product/{id}"}) == "Cart"
    assert group({"http.route": "/product/{id}"}) == "product id"
    assert group({}) == "Shop"


def mpulse_ab_test() -> None:
    assert from_span({"mpulse.ab_test": "B"}, ab_test="A")[0].ab_test == "B"
    assert from_span({}, ab_test="A")[0].ab_test == "A"


def mpulse_dimension() -> None:
    cases: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({"Country": "FR"}, {}),
        ({"cdim.Country": "FR"}, {}),
        ({"land": "FR"}, {"dimensions": {"land": "Country"}}),
        ({"mpulse.dimension.Country": "FR"}, {}),
        ({}, {"dimensions": {"geo": "Country"}}),  # of the resource
    )
    for attributes, settings in cases:
        (beacon,) = from_span(attributes, **settings)
        assert beacon.dimensions == (("Country", "FR"),), attributes
    point = counter(number(1, {"Country": "DE"}))
    with Sandbox(mpulse=APP) as sandbox:
        exported(MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3), collection(point))
        assert sandbox.received.beacons[0].dimensions == (("Country", "DE"),)


def mpulse_session() -> None:
    began = 1_700_000_000_000
    said = {"session.id": "s-1", "mpulse.session.start_unix_ms": began, "mpulse.session.length": 3}
    session = from_span(said)[0].session
    assert (session.id, session.start_unix_ms, session.length) == ("s-1", began, 3)
    assert from_span({})[0].session is not None


def mpulse_session_limited() -> None:
    with Sandbox(mpulse=APP) as sandbox:
        exporter = MPulseSpanExporter(**sandbox.mpulse_settings, timeout=3)
        exported(exporter, [timing_span("Checkout", {"mpulse.session.limited": True})])
        assert sandbox.received.beacons == ()
        assert dict(exporter.ledger().dropped) == {"session_limited": 1}


ROWS = (
    Row(
        "span",
        (
            "one value of a custom timer: the one named by the attribute `mpulse.timer`, else by the "
            "`timers` setting, else by the span's name"
        ),
        mpulse_timers,
    ),
    Row(
        "monotonic counter",
        (
            "increments of the custom metric of the same name, or by the `metrics` setting; names of "
            "instruments match whatever their case, since the SDK writes them in lower case"
        ),
        mpulse_counters,
    ),
    Row(
        "up-down counter, gauge",
        "their last value, as a custom metric",
        mpulse_levels,
    ),
    Row(
        "histogram in a unit of time",
        (
            "the interval's mean as a custom timer, if one of that name is defined; its sum as a custom "
            "metric, likewise"
        ),
        mpulse_durations,
    ),
    Row(
        "any other histogram",
        "its sum as a custom metric",
        mpulse_histograms,
    ),
    Row(
        "attribute `mpulse.page_group`, else `http.route` (spans), else the setting",
        "page group",
        mpulse_page_group,
    ),
    Row(
        "attribute `mpulse.ab_test`, else the setting",
        "A/B test",
        mpulse_ab_test,
    ),
    Row(
        (
            "attribute named like a custom dimension (or its label, or by the `dimensions` setting, or "
            "`mpulse.dimension.<name>`), of the span, the point or the resource"
        ),
        "custom dimension",
        mpulse_dimension,
    ),
    Row(
        "attributes `session.id`, `mpulse.session.start_unix_ms`, `mpulse.session.length`",
        "session; without them, one session per process",
        mpulse_session,
    ),
    Row(
        "attribute `mpulse.session.limited`",
        (
            "true: nothing of this session is sent, as the RT cookie asks (`rl=1`); counted as dropped "
            "`session_limited`"
        ),
        mpulse_session_limited,
    ),
)
