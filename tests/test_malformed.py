"""A record that is not as the SDK makes it goes alone: those of its batch arrive."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_vendor_exporters.mparticle import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.mparticle_analytics import (
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.sandbox import Sandbox
from tests.mparticle_analytics.records import log_record, span_with


class Nasty:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


(LOG,) = log_record("Registration")
(SPAN,) = span_with(("Registration", {}), **{"user.id": "u-1"})


def log(**changed: Any) -> Any:
    record = copy.copy(LOG.log_record)
    for name, value in changed.items():
        setattr(record, name, value)
    return dataclasses.replace(LOG, log_record=record)


def span(**changed: Any) -> Any:
    made = copy.copy(SPAN)
    for name, value in changed.items():
        setattr(made, f"_{name}", value)
    return made


ODD_LOGS: dict[str, Any] = {
    "anything": Nasty(),
    "nothing": None,
    "attributes are a number": log(attributes=5),
    "attributes are a list": log(attributes=[1]),
    "a text for a time": log(timestamp="x"),
    "a number for a name": log(event_name=5),
}
ODD_SPANS: dict[str, Any] = {
    "anything": Nasty(),
    "nothing": None,
    "attributes are a number": span(attributes=5),
    "events are a number": span(events=5),
    "nothing for an event": span(events=(None,)),
}
Settings = Callable[[Sandbox], Any]
VENDORS: dict[str, tuple[type, type, Settings]] = {
    "mparticle": (MParticleLogExporter, MParticleSpanExporter, lambda sandbox: sandbox.mparticle_settings),
    "mparticle_analytics": (
        MParticleAnalyticsLogExporter,
        MParticleAnalyticsSpanExporter,
        lambda sandbox: sandbox.mparticle_analytics_settings,
    ),
}


def received(sandbox: Sandbox) -> int:
    """Events, of either vendor."""
    return len(sandbox.received.mparticle.events) + len(sandbox.received.mparticle_analytics.events)


def export(exporter: Any, batch: list[Any]) -> tuple[Any, Any]:
    """What came of it, and the ledger when all is sent."""
    result = exporter.export(batch)
    assert exporter.force_flush()
    exporter.shutdown()
    return result, exporter.ledger()


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("odd", ODD_LOGS.values(), ids=ODD_LOGS.keys())
def test_a_malformed_log_record_goes_alone(sandbox: Sandbox, vendor: str, odd: Any) -> None:
    """It is counted as ignored; those in front of it and behind it arrive."""
    logs, _, settings = VENDORS[vendor]

    result, counts = export(logs(**settings(sandbox), timeout=3), [LOG, odd, LOG])

    assert (result, received(sandbox)) == (LogRecordExportResult.SUCCESS, 2)
    assert (counts.mapped, sum(counts.ignored.values()), counts.balanced) == (2, 1, True)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("odd", ODD_SPANS.values(), ids=ODD_SPANS.keys())
def test_a_malformed_span_goes_alone(sandbox: Sandbox, vendor: str, odd: Any) -> None:
    """Likewise."""
    _, spans, settings = VENDORS[vendor]

    result, counts = export(spans(**settings(sandbox), timeout=3), [SPAN, odd, SPAN])

    assert (result, received(sandbox)) == (SpanExportResult.SUCCESS, 2)
    assert (counts.mapped, sum(counts.ignored.values()), counts.balanced) == (2, 1, True)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_malformed_event_of_a_span_goes_alone(sandbox: Sandbox, vendor: str) -> None:
    """The other events of its span arrive."""
    _, spans, settings = VENDORS[vendor]
    (event,) = SPAN.events

    result, counts = export(spans(**settings(sandbox), timeout=3), [span(events=(event, None, event))])

    assert (result, received(sandbox)) == (SpanExportResult.SUCCESS, 2)
    assert (counts.mapped, sum(counts.left_out.values())) == (1, 1)
