"""
What survives when processes end while the vendor is down? With a spool folder, everything that waited.

    $ gunicorn --workers 2 --preload examples.gunicorn_spool:app

Set up once, before gunicorn forks: each worker has its own threads and its own file in the folder.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from instrumentation import timed
from otel_vendor_exporters.mpulse import MPulseSpanExporter

SPOOL = os.environ.get("SPOOL", "/var/spool/shop")

exporter = MPulseSpanExporter(spool_dir=SPOOL, timeout=2)  # seconds that a worker's end may take
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)


@timed("Checkout")
def app(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"thank you"]
