"""
The shop's shipping: a job without requests, after hours.

No middleware says whose parcel it is, so the job does. Its log needs no OpenTelemetry set-up: a `dictConfig`
like LOGGING is all.
"""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterable, Mapping
from typing import Any

from examples.shop.app import Order
from instrumentation import timed, visitor

log = logging.getLogger("shipping")


def set_up_log(mparticle: Mapping[str, Any]) -> None:
    """Events of this job to mParticle; the arguments are its settings."""
    handler = {
        "class": "instrumentation.EventHandler",
        "exporters": {"mparticle": dict(mparticle)},
        "records": "events",
    }
    shipping = {"level": "INFO", "handlers": ["mparticle"], "propagate": False}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"mparticle": handler},
            "loggers": {"shipping": shipping},
        }
    )


def ship(orders: Iterable[Order]) -> None:
    """Hand all parcels to the carrier."""
    for order in orders:
        with visitor(user_id=order.customer, dimensions={"Country": order.country}):
            hand_over(order.number)


@timed("Shipping")
def hand_over(number: int) -> None:
    log.info("handed over", extra={"event": "Order shipped", "order": f"order-{number}"})
