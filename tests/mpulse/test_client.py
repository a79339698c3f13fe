"""`MPulseClient` over real HTTP: timers and metrics without OpenTelemetry, and truthful receipts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import ConfigurationError, RefusedError, TransportError
from otel_vendor_exporters.mpulse import MPulseClient, Session
from otel_vendor_exporters.sandbox import Sandbox
from otel_vendor_exporters.sandbox import Session as SandboxSession
from tests.conftest import ForwardClock


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[MPulseClient]:
    with MPulseClient(**sandbox.mpulse_settings, timeout=3) as running:
        yield running


def test_a_timer_arrives_with_everything_said_of_it(sandbox: Sandbox, client: MPulseClient) -> None:
    """Page group, A/B bucket, dimensions and session given to the call arrive with the timer (W10)."""
    receipt = client.send_timer(
        "Checkout",
        231.5,
        page_group="My Page Group",
        ab_test="AB Test 1",
        dimensions={"Country": "DE", "Plan": 3},
        session=Session("abc-123", 1_700_000_000_000, 4),
    )

    (beacon,) = sandbox.received.beacons
    assert receipt == Receipt(delivered=1)
    assert beacon.timers == (("Checkout", 232),)
    assert (beacon.page_group, beacon.ab_test) == ("My Page Group", "AB Test 1")
    assert sorted(beacon.dimensions) == [("Country", "DE"), ("Plan", "3")]
    assert beacon.session == SandboxSession("abc-123", 1_700_000_000_000, 4)
    assert sandbox.received.findings == ()


def test_a_metric_counts_one_unless_told_otherwise(sandbox: Sandbox, client: MPulseClient) -> None:
    """W3: the default value is 1; amounts of money keep their cents."""
    client.send_metric("Orders")
    client.send_metric("Revenue", 19.9)

    assert sandbox.received.metrics == {"Orders": 1, "Revenue": pytest.approx(19.9)}
    assert sandbox.received.findings == ()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda client: client.send_timer("Checkout", -1), "no_number"),
        (lambda client: client.send_timer("Checkout", float("nan")), "no_number"),
        (lambda client: client.send_timer("Checkout", True), "no_number"),
        (lambda client: client.send_timer("Checkout", "12"), "no_number"),
        (lambda client: client.send_timer("Checkout", 2**31), "no_number"),
        (lambda client: client.send_timer("", 1), "bad_name"),
        (lambda client: client.send_timer(None, 1), "bad_name"),
        (lambda client: client.send_metric("Orders", float("inf")), "no_number"),
        (lambda client: client.send_metric("Orders", -1), "no_number"),
        (lambda client: client.send_metric("Orders", 10**400), "no_number"),
        (lambda client: client.send_timer("Checkout", 1, end_unix_ms=-1), "bad_time"),
        (lambda client: client.send_metric("Orders", 1, end_unix_ms=10**18), "bad_time"),
    ],
)
def test_what_mpulse_would_ignore_is_refused(
    sandbox: Sandbox, client: MPulseClient, call: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad values are refused in the receipt and the ledger, said once, raise nothing and are not sent."""
    assert call(client) == call(client) == Receipt(refused={reason: 1})

    counts = client.ledger()
    assert (counts.accepted, dict(counts.refused), counts.lost, counts.balanced) == (2, {reason: 2}, 2, True)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("mpulse: a timer or metric given to a client was refused: ")
    assert sandbox.received.beacons == ()


class Touchy(str):
    """A text that raises when it is looked up."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class Closed(dict[str, object]):
    """A mapping that raises when it is read."""

    def items(self) -> Any:
        raise RuntimeError("no items")


def test_what_raises_when_it_is_read_is_left_out_or_refused(sandbox: Sandbox, client: MPulseClient) -> None:
    """A name is its text; a place that cannot be read is left out; what is left of either is sent."""

    class Touched(Touchy):
        """Raises also when it is compared."""

        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison")

        __hash__ = Touchy.__hash__

    receipts = [
        client.send_timer(Touched("Checkout"), 5),
        client.send_metric("Orders", 2, dimensions=Closed(Country="DE")),
        client.send_metric("Orders", 2, page_group=Touchy("Cart")),
    ]

    assert receipts == [
        Receipt(delivered=1),
        Receipt(delivered=1),
        Receipt(refused={"unreadable:RuntimeError": 1}),
    ]
    assert (sandbox.received.metrics, sandbox.received.findings) == ({"Orders": 2}, ())
    assert dict(client.ledger().left_out) == {"dimension": 1}
    assert client.ledger().balanced


def test_a_time_that_is_rounded_to_the_longest_is_sent(sandbox: Sandbox, client: MPulseClient) -> None:
    """Half a millisecond more is too long."""
    assert client.send_timer("Checkout", 2_147_483_647.4) == Receipt(delivered=1)
    assert client.send_timer("Checkout", 2_147_483_647.5) == Receipt(refused={"no_number": 1})
    assert sandbox.received.timers == [("Checkout", 2_147_483_647)]


@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
def test_an_increment_of_zero_is_sent_where_that_is_wanted(sandbox: Sandbox, zero: float) -> None:
    """zero_metrics holds for the client as for the exporter: without it 0 is refused, and nothing lost."""
    with MPulseClient(**sandbox.mpulse_settings, timeout=3) as client:
        assert client.send_metric("Orders", zero) == Receipt(refused={"zero": 1})
        counts = client.ledger()
        assert (dict(counts.refused), counts.lost, counts.balanced) == ({"zero": 1}, 0, True)
    assert sandbox.received.timers == []

    with MPulseClient(**sandbox.mpulse_settings, timeout=3, zero_metrics=True) as client:
        assert client.send_metric("Orders", zero) == Receipt(delivered=1)
        assert client.send_metric("Revenue", zero) == Receipt(delivered=1)
    assert [beacon.metrics for beacon in sandbox.received.beacons] == [(("Orders", 0),), (("Revenue", 0),)]


def test_what_is_given_to_a_closed_client_is_counted(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """It is dropped, in the receipt and in the ledger, and said."""
    client = MPulseClient(**sandbox.mpulse_settings, timeout=3)
    client.close()

    assert client.send_timer("Checkout", 1) == Receipt(dropped={"closed": 1})
    assert (dict(client.ledger().dropped), client.ledger().balanced) == ({"closed": 1}, True)
    assert "the client is closed" in caplog.text


def test_an_undefined_name_is_in_the_receipt(sandbox: Sandbox, client: MPulseClient) -> None:
    """A name the app does not define is dropped, and raises only for callers who ask."""
    receipt = client.send_timer("Chekout", 1)

    assert receipt == Receipt(dropped={"undefined": 1})
    with pytest.raises(RefusedError, match="1 undefined"):
        receipt.raise_for_losses()


def test_an_unreachable_mpulse_leaves_the_item_waiting() -> None:
    """With nobody there the call returns soon, the item waits, and asking for losses says so."""
    client = MPulseClient(api_key="K", domain="d", config_url="http://127.0.0.1:9/config.json", timeout=5)

    receipt = client.send_timer("Checkout", 1)

    assert receipt == Receipt(waiting=1)
    with pytest.raises(TransportError, match="1 waiting"):
        receipt.raise_for_losses()
    client.close()
    assert client.ledger().dropped == {"shutdown": 1}


def test_not_waiting_is_possible(sandbox: Sandbox, client: MPulseClient) -> None:
    """With timeout_seconds=0 the call returns at once and close() delivers."""
    receipts = [client.send_timer("Checkout", number, timeout_seconds=0) for number in range(50)]
    client.close()

    assert {receipt.waiting for receipt in receipts} <= {0, 1}
    assert len(sandbox.received.timers) == 50
    assert client.send_timer("Checkout", 1) == Receipt(dropped={"closed": 1})


def test_a_proxy_may_be_set(sandbox: Sandbox) -> None:
    """Requests go by the proxy, whose address is not shown: here nobody listens there."""
    settings = {**sandbox.mpulse_settings, "proxy": "http://user:s3cret@127.0.0.1:9", "timeout": 2}
    with MPulseClient(**settings) as client:
        receipt = client.send_timer("Checkout", 1)

    assert receipt == Receipt(waiting=1)
    assert sandbox.received.records == ()
    assert "s3cret" not in repr(client._settings)


def test_wrong_settings_are_named() -> None:
    """Construction fails for what is missing or misspelt, and says what would be right."""
    with pytest.raises(
        ConfigurationError, match="api_key is missing: pass api_key= or set OTEL_EXPORTER_MPULSE_API_KEY"
    ):
        MPulseClient(domain="d")
    with pytest.raises(ConfigurationError, match="did you mean domain"):
        MPulseClient(api_key="K", domian="d")


def test_exit_without_close_delivers(sandbox: Sandbox) -> None:
    """A script that ends without closing its client has its timer delivered at exit."""
    script = (
        "from otel_vendor_exporters.mpulse import MPulseClient\n"
        f"MPulseClient(**{sandbox.mpulse_settings!r}).send_timer('Checkout', 7, timeout_seconds=0)\n"
    )

    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=30)

    assert sandbox.received.timers == [("Checkout", 7)]


def test_signed_configuration_requests_are_understood(sandbox: Sandbox, clock: ForwardClock) -> None:
    """With a REST secret the configuration is asked for with a signature, and without a domain (W15)."""
    settings = {
        "api_key": sandbox.mpulse.key,
        "rest_secret": sandbox.mpulse.rest_secret,
        "config_url": sandbox.signed_config_url,
    }
    with MPulseClient(**settings) as client:
        assert client.send_timer("Checkout", 1) == Receipt(delivered=1)

    assert sandbox.received.findings == ()
    assert "secret" not in str(sandbox.received.records)
