"""The shop's telemetry: what a service puts where it sets up OpenTelemetry. One exporter a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter

# What the shop's mPulse app defines; in real life typed into mPulse.
TIMERS = (
    *("Start page", "Product page", "Add to cart", "Checkout page", "Checkout", "Payment"),
    *("Warehouse", "Warehouse call", "Price lookup", "Server time", "Client time"),
)
METRICS = {"Orders": "Number", "Revenue": "Currency", "Open carts": "Number", "Active requests": "Number"}
DIMENSIONS = ("Country",)

# How the shop's names become mPulse's, where they are not the same.
NAMES: Mapping[str, Any] = {
    "timers": {
        "GET /": "Start page",
        "GET /product/*": "Product page",
        "POST /cart": "Add to cart",
        "POST /checkout": "Checkout page",
        "GET /warehouse/*": "Warehouse",
        "GET": "Warehouse call",
        "price_lookup": "Price lookup",
        "http.server*duration": "Server time",
        "http.client*duration": "Client time",
    },
    "metrics": {"open_carts": "Open carts", "http.server.active_requests": "Active requests"},
    "dimensions": {"visitor.country": "Country"},
}


def start(mpulse: Mapping[str, Any]) -> tuple[TracerProvider, MeterProvider]:
    """Spans and metrics to mPulse. `mpulse` holds api_key, domain and, for the sandbox, config_url."""
    resource = Resource.create({"service.name": "shop"})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(MPulseSpanExporter(**mpulse, **NAMES)))
    trace.set_tracer_provider(tracing)
    reader = PeriodicExportingMetricReader(MPulseMetricExporter(**mpulse, **NAMES))
    measuring = MeterProvider(resource=resource, metric_readers=[reader])
    metrics.set_meter_provider(measuring)
    RequestsInstrumentor().instrument()
    return tracing, measuring
