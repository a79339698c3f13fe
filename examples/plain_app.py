"""What is measured without a line of code? An ordinary Flask application, without telemetry."""

import logging

from flask import Flask, request

log = logging.getLogger("shop")
log.setLevel(logging.INFO)
app = Flask("shop")


def price_of(sku: str) -> float:
    return {"lamp": 39.9, "chair": 120.0}[sku]


def place_order(user: str, sku: str) -> float:
    log.info("order placed", extra={"otel.event.name": "Order placed", "user.id": user, "sku": sku})
    return price_of(sku)


@app.post("/checkout/<sku>")
def checkout(sku: str) -> dict[str, float]:
    return {"total": place_order(request.headers["X-User"], sku)}
