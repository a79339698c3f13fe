"""
The built wheel, installed alone: what a user has after `pip install`, and nothing of the checkout.

Not a pytest file: it runs where no test tool is installed.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from urllib.request import urlopen

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import instrumentation
import otel_vendor_exporters
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

for package in (otel_vendor_exporters, instrumentation):
    assert package.__file__ is not None
    folder = Path(package.__file__).parent
    assert "site-packages" in folder.parts, folder
    assert (folder / "py.typed").is_file()

(span_exporter,) = entry_points(group="opentelemetry_traces_exporter", name="mpulse")
(metric_exporter,) = entry_points(group="opentelemetry_metrics_exporter", name="mpulse")

with Sandbox(mpulse=MPulseApp(timers=("Checkout",), metrics={"Revenue": "Currency"})) as sandbox:
    settings = sandbox.mpulse_settings
    tracing = TracerProvider()
    tracing.add_span_processor(BatchSpanProcessor(span_exporter.load()(**settings)))
    reader = PeriodicExportingMetricReader(metric_exporter.load()(**settings))
    metrics = MeterProvider(metric_readers=[reader])
    with tracing.get_tracer("smoke").start_as_current_span("Checkout"):
        metrics.get_meter("smoke").create_counter("Revenue").add(9.5)
    tracing.shutdown()
    metrics.shutdown()
    for part in (
        "",
        "page.css",
        "page.js",
        "page_detail.js",
        "page_findings.js",
        "page_list.js",
        "page_names.js",
        "page_panels.js",
    ):
        with urlopen(f"{sandbox.url}/sandbox/{part}", timeout=5) as reply:
            assert reply.read(), part
    received = sandbox.received
    assert [name for name, _ in received.timers] == ["Checkout"], received
    assert received.metrics == {"Revenue": 9.5}, received
    assert not received.findings, received.findings
print("smoke: 1 passed")
