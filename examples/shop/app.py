"""
The shop: an ordinary Flask application that happens to be measured.

    GET  /                    the start page
    GET  /product/<sku>       a product; asks the warehouse over HTTP whether it is there
    POST /cart                puts a product into the cart
    POST /checkout            places the order
    GET  /warehouse/<sku>     the warehouse, another service in real life

Nothing in this file knows a vendor: spans come from Flask's and requests' published instrumentations and
from decorators, counters from the OpenTelemetry API.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import requests
from flask import Flask, Response, abort, jsonify, request
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from instrumentation import counted, timed

PRICES = {"lamp": 39.90, "chair": 120.00, "table": 349.50, "shelf": 89.00}
STOCK = {"lamp": 9, "chair": 4, "table": 2, "shelf": 0}

carts_open = metrics.get_meter("shop").create_up_down_counter("open_carts")


@dataclass(frozen=True)
class Order:
    skus: tuple[str, ...]
    total: float


class Checkout:
    """Places orders. Methods are timed and counted like functions."""

    @timed("Checkout", attributes={"mpulse.page_group": "Checkout"})
    @counted("Orders")
    @counted("Revenue", value=lambda order: order.total)
    def place(self, skus: tuple[str, ...]) -> Order:
        total = sum(price_of(sku) for sku in skus)
        asyncio.run(self.confirm(total))
        return Order(skus, total)

    @timed("Payment", attributes={"mpulse.page_group": "Checkout"})
    async def confirm(self, total: float) -> None:
        await asyncio.sleep(0.001 if total < 200 else 0.003)


@timed("price_lookup", record="metric")
def price_of(sku: str) -> float:
    return PRICES[sku]


def create_app(own_url: str) -> Flask:
    """The application; `own_url` is where it will be reachable, for its calls to the warehouse."""
    app = Flask("shop")
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    checkout = Checkout()

    @app.before_request
    def say_where_the_visitor_is() -> None:
        trace.get_current_span().set_attribute("visitor.country", request.headers.get("X-Country", "unknown"))

    @app.get("/")
    def start() -> str:
        return "Welcome"

    @app.get("/product/<sku>")
    def product(sku: str) -> Response:
        if sku not in PRICES:
            abort(404)
        answer = requests.get(f"{own_url}/warehouse/{sku}", timeout=5)
        return jsonify(sku=sku, price=price_of(sku), there=answer.json()["there"])

    @app.post("/cart")
    def cart() -> Response:
        carts_open.add(1)
        return jsonify(ok=True)

    @app.post("/checkout")
    def place_order() -> Response:
        order = checkout.place(tuple(request.get_json()["skus"]))
        carts_open.add(-1)
        return jsonify(total=order.total)

    @app.get("/warehouse/<sku>")
    def warehouse(sku: str) -> Response:
        return jsonify(there=STOCK[sku])

    return app
