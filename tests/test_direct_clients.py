"""What the clients of all vendors do alike with the time that a caller gives them."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.mparticle import Batch, CustomEvent, EventsClient, UserIdentities
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from otel_vendor_exporters.mpulse import MPulseClient
from otel_vendor_exporters.sandbox import Sandbox


def batch() -> Batch:
    when = 1_700_000_000_123
    event = CustomEvent(event_name="Signed up", custom_event_type="other", timestamp_unixtime_ms=when)
    return Batch(environment="development", user_identities=UserIdentities(customer_id="u"), events=[event])


CLIENTS: dict[str, tuple[type, Callable[[Sandbox], Any], Callable[..., Receipt]]] = {
    "mpulse": (
        MPulseClient,
        lambda sandbox: sandbox.mpulse_settings,
        lambda client, **given: client.send_timer("Checkout", 5, **given),
    ),
    "mparticle": (
        EventsClient,
        lambda sandbox: sandbox.mparticle_settings,
        lambda client, **given: client.upload(batch(), **given),
    ),
    "mparticle_analytics": (
        AnalyticsClient,
        lambda sandbox: sandbox.mparticle_analytics_settings,
        lambda client, **given: client.track(AnalyticsEvent("Registration", "u"), **given),
    ),
}
NO_TIMES = {
    "str": "soon",
    "bool": True,
    "nan": float("nan"),
    "inf": float("inf"),
    "list": [1],
    "too large an int": 10**400,
}
HUGE = {
    "10**400": 10**400,
    "-(10**400)": -(10**400),
    "10**5000": 10**5000,
    "10**308": 10**308,
    "-(10**308)": -(10**308),
    "1e308": 1e308,
    "-1e308": -1e308,
}


@pytest.mark.parametrize("vendor", CLIENTS)
@pytest.mark.parametrize("shown", NO_TIMES)
def test_a_time_that_is_none_is_said_and_the_setting_holds(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, vendor: str, shown: str
) -> None:
    """Nothing is raised: the call waits as long as without it, and that is said once for each client."""
    client_class, settings, send = CLIENTS[vendor]

    with client_class(**settings(sandbox), timeout=5) as client:
        receipts = [send(client, timeout_seconds=NO_TIMES[shown]) for _ in range(2)]

    assert receipts == [Receipt(delivered=1)] * 2
    words = f"timeout_seconds takes a number of seconds, and is {shown}: the setting timeout holds"
    assert [record.getMessage() for record in caplog.records] == [f"{client_class.__name__}: {words}"]


@pytest.mark.parametrize("vendor", CLIENTS)
@pytest.mark.parametrize(("seconds", "waits"), [(-1, False), (0, False), (5, True), (10**30, True)])
def test_any_number_is_a_time(sandbox: Sandbox, vendor: str, seconds: float, waits: bool) -> None:
    """Without one above 0 the call does not wait; a huge one is no error."""
    client_class, settings, send = CLIENTS[vendor]

    with client_class(**settings(sandbox), timeout=5) as client:
        receipt = send(client, timeout_seconds=seconds)

    assert receipt == Receipt(delivered=1) if waits else receipt.delivered + receipt.waiting == 1


@pytest.mark.parametrize("vendor", CLIENTS)
def test_every_client_can_be_flushed(sandbox: Sandbox, vendor: str) -> None:
    """What was sent without waiting has arrived when that returns True; False says it took too long."""
    client_class, settings, send = CLIENTS[vendor]

    with client_class(**settings(sandbox), timeout=5) as client:
        send(client, timeout_seconds=0)
        all_sent, delivered = client.flush(), client.ledger().delivered
        sandbox.become(vendor, "503")
        send(client, timeout_seconds=0)
        in_time = client.flush(timeout_seconds=0.2)
        sandbox.become(vendor, "well")

    assert (all_sent, delivered, in_time) == (True, 1, False)


@pytest.mark.parametrize("vendor", CLIENTS)
def test_closing_takes_no_exception_either(sandbox: Sandbox, vendor: str) -> None:
    """A client that is closed with what is no time has sent what waited."""
    client_class, settings, send = CLIENTS[vendor]
    client = client_class(**settings(sandbox), timeout=5)
    send(client, timeout_seconds=0)
    client.close("soon")

    assert client.ledger().delivered == 1


@pytest.mark.parametrize("vendor", CLIENTS)
@pytest.mark.parametrize("seconds", HUGE.values(), ids=HUGE)
def test_no_number_is_too_large_to_leave_with(sandbox: Sandbox, vendor: str, seconds: float) -> None:
    """Flushed and closed with it, a client lets the next one have settings of its own."""
    client_class, settings, send = CLIENTS[vendor]
    client = client_class(**settings(sandbox), timeout=5)
    client.flush(seconds)
    client.close(seconds)

    with client_class(**settings(sandbox), timeout=4) as another:
        receipt = send(another)

    assert receipt == Receipt(delivered=1)


@pytest.mark.parametrize("vendor", CLIENTS)
def test_the_spool_folder_may_be_a_path(sandbox: Sandbox, vendor: str, tmp_path: Path) -> None:
    """What waits is written there, and sent."""
    client_class, settings, send = CLIENTS[vendor]

    with client_class(**settings(sandbox), spool_dir=tmp_path / "spool", timeout=5) as client:
        receipt = send(client)
        files = [*(tmp_path / "spool").glob("*.spool")]

    assert (receipt, len(files)) == (Receipt(delivered=1), 1)


FIRST_SENT = {"mpulse": "beacon", "mparticle": "events", "mparticle_analytics": "track"}


@pytest.mark.parametrize("vendor", CLIENTS)
@pytest.mark.parametrize("clock", ["behind", "ahead"])
def test_a_wrong_clock_waits_as_long_as_the_vendor_asks(sandbox: Sandbox, vendor: str, clock: str) -> None:
    """A vendor that says "in a second" by a date means a second of its own, an hour from here or not."""
    client_class, settings, send = CLIENTS[vendor]
    vendors_now = time.time() + (3600 if clock == "behind" else -3600)
    date, retry_after = (formatdate(at, usegmt=True) for at in (vendors_now, vendors_now + 1))
    headers = {"Date": date, "Retry-After": retry_after}
    sandbox.answer_next(429, on=FIRST_SENT[vendor], headers=headers)

    with client_class(**settings(sandbox), timeout=8) as client:
        began = time.monotonic()
        receipt = send(client)
        took = time.monotonic() - began

    assert receipt == Receipt(delivered=1)
    assert took >= 1
