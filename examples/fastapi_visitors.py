"""
Who did it? Middleware says it once, and every timing and event of the request carries it.

    $ uvicorn examples.fastapi_visitors:app
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from instrumentation import EventHandler, VisitorDetails, VisitorMiddleware, timed
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.visitor import VisitorSpanProcessor

provider = TracerProvider()
provider.add_span_processor(VisitorSpanProcessor())  # in front of what exports
provider.add_span_processor(BatchSpanProcessor(MPulseSpanExporter()))
trace.set_tracer_provider(provider)
log = logging.getLogger("shop")
logging.basicConfig(level=logging.INFO, handlers=[EventHandler(exporters=["mparticle"], records="events")])


def visitor_of(scope: dict[str, Any]) -> VisitorDetails:
    headers = Request(scope).headers
    return {"user_id": headers["X-User"], "dimensions": {"Country": headers["X-Country"]}}


app = FastAPI(on_shutdown=[provider.shutdown, logging.shutdown])  # uvicorn ends without exit handlers
app.add_middleware(VisitorMiddleware, visitor=visitor_of)


@app.post("/checkout/{sku}")
@timed("Checkout")
async def checkout(sku: str) -> None:
    log.info("order placed", extra={"event": "Order placed", "sku": sku})
