"""Names nobody defined: each is said once, in lines that can be read, and none that is defined."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_vendor_exporters.mpulse import MPulseMetricExporter
from otel_vendor_exporters.mpulse.codec import UnitCodec
from otel_vendor_exporters.mpulse.definitions import Definitions, Metric
from otel_vendor_exporters.mpulse.exporters import _TEMPORALITY
from otel_vendor_exporters.mpulse.undefined import UndefinedNames
from otel_vendor_exporters.mpulse.units import Context, How, Reading
from otel_vendor_exporters.sandbox import Sandbox

DEFINITIONS = Definitions(timers={"Checkout": "custom0"}, metrics={"Orders": Metric("cmet.Orders")})


@pytest.fixture
def names() -> UndefinedNames:
    return UndefinedNames(logging.getLogger("otel_vendor_exporters.mpulse"))


@pytest.fixture
def exporter(sandbox: Sandbox) -> Iterator[MPulseMetricExporter]:
    running = MPulseMetricExporter(**sandbox.mpulse_settings, timeout=3)
    yield running
    running.shutdown()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def export_durations(exporter: MPulseMetricExporter, *names: str, unit: str = "s") -> None:
    """One collection, as a periodic reader makes it, with a value of each histogram."""
    reader = InMemoryMetricReader(preferred_temporality=_TEMPORALITY)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    for name in names:
        provider.get_meter("test").create_histogram(name, unit).record(0.25)
    data = reader.get_metrics_data()
    assert data is not None
    exporter.export(data)


def test_many_names_are_all_said_in_order(names: UndefinedNames, caplog: pytest.LogCaptureFixture) -> None:
    """Ten names make a line; those behind "and N more" are named by the next lines, each once."""
    batch = {f"name {number:02}" for number in range(25)}
    for _ in range(5):
        names.tell(batch, "timer", DEFINITIONS)

    lines = said(caplog)
    assert len(lines) == 3
    assert re.findall(r"'(name \d+)'", " ".join(lines)) == sorted(batch)
    assert lines[0].endswith(" and 15 more; it defines 'Checkout'")
    assert lines[2].endswith("'name 24'; it defines 'Checkout'")


def test_what_was_not_named_yet_comes_with_the_next_name(
    names: UndefinedNames, caplog: pytest.LogCaptureFixture
) -> None:
    """Names of one batch that never come again are said with the next message."""
    names.tell({f"name {number:02}" for number in range(11)}, "metric", DEFINITIONS)
    names.tell(["another"], "metric", DEFINITIONS)

    assert said(caplog)[1].endswith("'another', 'name 10'; it defines 'Orders'")


@pytest.mark.parametrize(
    ("defined", "words"),
    [
        ((), "'Checkuot', 'Zebra'; it defines none"),
        (("Checkout",), "'Checkuot' (nearest: 'Checkout'), 'Zebra'; it defines 'Checkout'"),
        (tuple("ABCDEFG"), "'Checkuot', 'Zebra'; it defines 'A', 'B', 'C', 'D', 'E' and 2 more"),
    ],
    ids=("none", "one", "many"),
)
def test_only_a_near_name_is_offered(
    names: UndefinedNames, caplog: pytest.LogCaptureFixture, defined: tuple[str, ...], words: str
) -> None:
    """A name like no other is said with what the app defines, not with a guess."""
    names.tell(["Zebra", "Checkuot"], "timer", Definitions(timers=dict.fromkeys(defined, "custom0")))

    assert said(caplog) == [f"mpulse: not sent, because the app defines no such custom timer: {words}"]


def test_endless_names_are_bounded(names: UndefinedNames, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand names are said, and no more is remembered."""
    for start in range(0, 5000, 100):
        names.tell([f"name {number}" for number in range(start, start + 100)], "timer", DEFINITIONS)
    for _ in range(200):
        names.tell([], "timer", DEFINITIONS)

    assert len(said(caplog)) == 100


@pytest.mark.parametrize("own", ["otel.sdk.span.live", "instrumentation.faults"])
def test_our_own_instruments_are_not_missed(
    names: UndefinedNames, caplog: pytest.LogCaptureFixture, own: str
) -> None:
    """What the SDK and this library count about themselves is told nobody."""
    names.tell([own], "metric", DEFINITIONS)

    assert said(caplog) == []


def test_a_duration_from_before_the_definitions_finds_its_timer(
    sandbox: Sandbox, exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """The first collection of a histogram whose timer is defined arrives, and nothing is missing."""
    export_durations(exporter, "checkout")
    assert exporter.force_flush()

    assert sandbox.received.timers == [("Checkout", 250)]
    assert said(caplog) == []
    counts = exporter.ledger()
    assert (counts.delivered, dict(counts.dropped), counts.lost) == (1, {"other_kind": 1}, 0)
    assert counts.balanced


def test_a_duration_from_before_the_definitions_finds_its_metric(
    sandbox: Sandbox, exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Likewise where the metric is defined and no timer."""
    export_durations(exporter, "orders")
    assert exporter.force_flush()

    assert sandbox.received.metrics == {"Orders": 0.25}
    assert (said(caplog), dict(exporter.ledger().dropped)) == ([], {"other_kind": 1})


def test_a_duration_that_is_neither_is_told_as_both(
    sandbox: Sandbox, exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Before and after the definitions are known: one line, about metric and timer."""
    export_durations(exporter, "chekout")
    assert exporter.force_flush()
    export_durations(exporter, "chekout", "serch")

    text = "mpulse: not sent, because the app defines no such custom metric or timer: "
    assert said(caplog) == [
        f"{text}'chekout' (nearest: 'Checkout')",
        f"{text}'serch' (nearest: 'Search')",
    ]
    assert dict(exporter.ledger().dropped) == {"undefined": 2}
    assert dict(exporter.ledger().ignored) == {"undefined": 2}


def test_a_histogram_that_is_no_duration_can_only_be_a_metric(
    sandbox: Sandbox, exporter: MPulseMetricExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes are no time."""
    export_durations(exporter, "upload", unit="By")
    assert exporter.force_flush()

    (line,) = said(caplog)
    assert "no such custom metric: 'upload'" in line


@pytest.mark.parametrize("other", ["", "Wait"])
def test_the_other_name_outlives_the_process(other: str) -> None:
    """A spool file keeps it."""
    reading = Reading("wait", How.ADD, 2.5, 3, 1, Context(resolved=False), other)

    assert UnitCodec().decode(UnitCodec().encode(reading)) == reading
