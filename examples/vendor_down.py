"""
What becomes of the data while a vendor is down? It is kept, tried again, and counted.

    $ python examples/vendor_down.py
"""

import time

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from instrumentation import timed
from otel_vendor_exporters.mpulse import MPulseSpanExporter

# What is kept, and for how long, at most; and how many requests are under way at once.
exporter = MPulseSpanExporter(max_queue_items=1000, max_age=900, connections=1)
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)


@timed("Checkout")
def checkout() -> None: ...


def tell(when: str) -> None:
    now = exporter.ledger()
    print(f"{when}: {now.waiting + now.in_flight} kept, {now.delivered} delivered, {now.lost} lost")


for _ in range(3):
    checkout()  # takes no longer than ever
provider.force_flush()
time.sleep(0.5)  # the application goes on
tell("while mPulse is down")

provider.shutdown()
tell("after shutdown")
