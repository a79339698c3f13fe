"""The rate of batches, as mParticle's side counts it."""

from __future__ import annotations

import json
import threading
import time

from otel_vendor_exporters.mparticle import Batch, CustomEvent, EventsClient, UserIdentities
from tests.delivery.loopback import Answer, Loopback, Received, http


def batch(number: int) -> Batch:
    return Batch(
        environment="development",
        user_identities=UserIdentities(customer_id=f"u{number}"),
        events=[CustomEvent(event_name="Bought", custom_event_type="other")],
    )


def test_no_second_sees_more_batches_than_the_setting() -> None:
    """Neither the first one, in which nothing was sent before; and no part of a second is wasted."""
    arrived: list[tuple[float, int]] = []
    lock = threading.Lock()

    def answer(request: Received) -> Answer:
        with lock:
            arrived.append((time.monotonic(), len(json.loads(request.body))))
        return Answer(202)

    server = Loopback(http(answer))
    with (
        server,
        EventsClient(
            api_key="key", api_secret="secret", base_url=server.url, batches_per_second=150
        ) as client,
    ):
        for number in range(375):
            client.upload(batch(number), timeout_seconds=0)
        client.close(10)

    assert sum(count for _, count in arrived) == 375
    most = max(sum(count for at, count in arrived if began <= at < began + 1) for began, _ in arrived)
    assert most <= 150
    assert arrived[-1][0] - arrived[0][0] < 4
