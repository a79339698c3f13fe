"""
The shop: an ordinary Flask application that happens to be measured.

    GET  /                    the start page
    GET  /product/<sku>       a product; asks the warehouse over HTTP whether it is there
    POST /cart                puts a product into the cart
    POST /checkout            places the order
    POST /goodbye             the visitor leaves
    GET  /warehouse/<sku>     the warehouse, another service in real life

Nothing in this file knows a vendor but for the shape of the order's event: spans come from Flask's and
requests' published instrumentations and from decorators, counters from the OpenTelemetry API, events from
decorators, Python's logging and the OpenTelemetry logs API. Who the visitor is, is told once, by middleware,
which takes the session from mPulse's cookie.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import requests
from flask import Flask, Response, abort, jsonify, request
from opentelemetry import metrics
from opentelemetry._logs import get_logger
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from examples.shop import stock
from instrumentation import VisitorDetails, VisitorMiddleware, counted, event, timed

PRICES = {"lamp": 39.90, "chair": 120.00, "table": 349.50, "shelf": 89.00}

log = logging.getLogger("shop")
events = get_logger("shop")
order_numbers = itertools.count(1)
carts_open = metrics.get_meter("shop").create_up_down_counter("open_carts")


class OutOfStockError(Exception):
    """Somebody wants what is not there."""


@dataclass(frozen=True)
class Order:
    number: int
    skus: tuple[str, ...]
    total: float
    customer: str
    country: str

    def as_event(self) -> dict[str, Any]:
        """The order in mParticle's words for commerce."""
        products = [
            {"id": sku, "name": sku.title(), "price": PRICES[sku], "quantity": 1} for sku in self.skus
        ]
        bought = {"transaction_id": f"order-{self.number}", "total_amount": self.total, "products": products}
        return {"product_action": {"action": "purchase", **bought}, "currency_code": "EUR"}


carts: defaultdict[str, list[str]] = defaultdict(list)
orders_to_ship: list[Order] = []


class Checkout:
    """Places orders. Methods are timed and counted like functions."""

    @timed("Checkout", attributes={"mpulse.page_group": "Checkout"})
    @counted("Orders")
    @counted("Revenue", value=lambda order: order.total)
    def place(self, skus: tuple[str, ...], customer: str, country: str) -> Order:
        missing = [sku for sku in skus if not stock.pieces_of(sku)]
        if missing:
            raise OutOfStockError(f"{missing[0]} is sold out")
        total = round(sum(price_of(sku) for sku in skus), 2)
        asyncio.run(self.confirm(total))
        return Order(next(order_numbers), skus, total, customer, country)

    @timed("Payment", attributes={"mpulse.page_group": "Checkout"})
    async def confirm(self, total: float) -> None:
        await asyncio.sleep(0.001 if total < 200 else 0.003)


@event("Product added", attributes=["sku"])
def put_into_cart(user: str, sku: str) -> None:
    carts[user].append(sku)


@timed("price_lookup", record="metric")
def price_of(sku: str) -> float:
    return PRICES[sku]


def visitor_of(environ: dict[str, Any]) -> VisitorDetails:
    """Who visits, as the shop's own log-in would know."""
    return {
        "user_id": environ.get("HTTP_X_USER"),
        "dimensions": {"Country": environ.get("HTTP_X_COUNTRY", "unknown")},
    }


def create_app(own_url: str) -> Flask:
    """The application; `own_url` is where it will be reachable, for its calls to the warehouse."""
    app = Flask("shop")
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    app.wsgi_app = VisitorMiddleware(app.wsgi_app, visitor=visitor_of)  # type: ignore[method-assign]
    checkout = Checkout()

    @app.get("/")
    def start() -> str:
        events.emit(event_name="session.start")
        log.info("start page", extra={"otel.event.name": "page_view", "url.path": "/"})
        return "Welcome"

    @app.get("/product/<sku>")
    def product(sku: str) -> Response:
        if sku not in PRICES:
            abort(404)
        answer = requests.get(f"{own_url}/warehouse/{sku}", timeout=5)
        log.info("a product", extra={"otel.event.name": "page_view", "url.path": f"/product/{sku}"})
        return jsonify(sku=sku, price=price_of(sku), there=answer.json()["there"])

    @app.post("/cart")
    def cart() -> Response:
        carts_open.add(1)
        put_into_cart(request.headers["X-User"], request.get_json()["sku"])
        return jsonify(ok=True)

    @app.post("/checkout")
    def place_order() -> Response:
        user, country = request.headers["X-User"], request.headers["X-Country"]
        try:
            order = checkout.place(tuple(request.get_json()["skus"]), user, country)
        except OutOfStockError as error:
            log.exception("no order")
            return Response(str(error), status=409)
        finally:
            carts_open.add(-1)
            carts.pop(user, None)
        orders_to_ship.append(order)
        events.emit(event_name="mparticle.commerce_event", body=order.as_event())
        return jsonify(total=order.total)

    @app.post("/goodbye")
    def goodbye() -> str:
        events.emit(event_name="session.end")
        return "Goodbye"

    @app.get("/warehouse/<sku>")
    def warehouse(sku: str) -> Response:
        return jsonify(there=stock.pieces_of(sku))

    return app
