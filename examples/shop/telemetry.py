"""The shop's telemetry: what a service puts where it sets up OpenTelemetry. One exporter a signal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from instrumentation import EventHandler, instrument_functions
from otel_vendor_exporters.mparticle import MParticleLogExporter
from otel_vendor_exporters.mparticle_analytics import MParticleAnalyticsLogExporter
from otel_vendor_exporters.mpulse import MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.visitor import VisitorLogProcessor, VisitorSpanProcessor

# What the shop's mPulse app defines; in real life typed into mPulse.
TIMERS = (
    *("Start page", "Product page", "Add to cart", "Checkout page", "Checkout", "Payment"),
    *("Warehouse", "Warehouse call", "Price lookup", "Server time", "Client time", "Goodbye"),
    *("Stock lookup", "Shipping"),
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
        "POST /goodbye": "Goodbye",
        "GET /warehouse/*": "Warehouse",
        "GET": "Warehouse call",
        "price_lookup": "Price lookup",
        "http.server*duration": "Server time",
        "http.client*duration": "Client time",
    },
    "metrics": {"open_carts": "Open carts", "http.server.active_requests": "Active requests"},
}

EVENTS: Mapping[str, Any] = {"event_names": {"mparticle.commerce_event": "Order placed"}}


def start(
    mpulse: Mapping[str, Any], mparticle: Mapping[str, Any], analytics: Mapping[str, Any]
) -> tuple[TracerProvider, MeterProvider, LoggerProvider]:
    """
    Spans and metrics to mPulse, events to mParticle and mParticle Analytics.

    The arguments are settings: of mPulse api_key and domain, of mParticle api_key and api_secret, of
    Analytics api_key; for the sandbox also where it is. The visitor's processors stand in front of the
    exporting ones.
    """
    resource = Resource.create({"service.name": "shop", "deployment.environment.name": "development"})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(VisitorSpanProcessor())
    tracing.add_span_processor(BatchSpanProcessor(MPulseSpanExporter(**mpulse, **NAMES)))
    trace.set_tracer_provider(tracing)
    reader = PeriodicExportingMetricReader(MPulseMetricExporter(**mpulse, **NAMES))
    measuring = MeterProvider(resource=resource, metric_readers=[reader])
    metrics.set_meter_provider(measuring)
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(VisitorLogProcessor())
    logs.add_log_record_processor(BatchLogRecordProcessor(MParticleLogExporter(**mparticle)))
    logs.add_log_record_processor(
        BatchLogRecordProcessor(MParticleAnalyticsLogExporter(**analytics, **EVENTS))
    )
    set_logger_provider(logs)
    shop_log = logging.getLogger("shop")
    shop_log.setLevel(logging.INFO)
    shop_log.addHandler(EventHandler(records="events"))
    shop_log.propagate = False
    RequestsInstrumentor().instrument()
    instrument_functions(["examples.shop.stock:pieces_of=timed(Stock lookup)"])  # whose code has no decorator
    return tracing, measuring, logs
