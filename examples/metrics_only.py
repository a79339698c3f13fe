"""
How are things counted, and hot functions timed, without a span for each? By metrics alone.

    $ python examples/metrics_only.py
"""

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from instrumentation import counted, timed
from otel_vendor_exporters.mpulse import MPulseMetricExporter

exporter = MPulseMetricExporter(timers={"price_lookup": "Price lookup"})
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
provider = MeterProvider(metric_readers=[reader])
metrics.set_meter_provider(provider)


@timed("price_lookup", record="metric")  # mPulse gets the mean of each interval
def price_of(sku: str) -> float:
    return {"lamp": 39.90, "chair": 120.00}[sku]


@counted("Orders", attributes={"Country": "DE"})
@counted("Revenue", value=lambda total: total)
def order(*skus: str) -> float:
    return sum(price_of(sku) for sku in skus)


order("lamp")
order("lamp", "chair")
provider.shutdown()
