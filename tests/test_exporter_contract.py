"""What the SDK asks of every exporter, and its traps: deadlines by three names, and calls after the end."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from opentelemetry.sdk.metrics.export import MetricsData

from otel_vendor_exporters.delivery.request import Receipt
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle import (
    Batch,
    CustomEvent,
    EventsClient,
    MParticleLogExporter,
    MParticleSpanExporter,
)
from otel_vendor_exporters.mparticle_analytics import (
    AnalyticsClient,
    AnalyticsEvent,
    MParticleAnalyticsLogExporter,
    MParticleAnalyticsSpanExporter,
)
from otel_vendor_exporters.mpulse import MPulseClient, MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.sandbox import Sandbox
from tests.command import analytics_environment, mparticle_environment, mpulse_environment
from tests.mpulse.test_exporters import finished_spans

ROOT = Path(__file__).parents[1]
BATCH = Batch(
    environment="development", mpid=7, events=[CustomEvent(event_name="Paid", custom_event_type="other")]
)
EXPORTERS: dict[Callable[[], Any], Any] = {  # Any: each signal's own; and what is an export of nothing
    MPulseSpanExporter: [],
    MPulseMetricExporter: MetricsData(resource_metrics=()),
    MParticleLogExporter: [],
    MParticleSpanExporter: [],
    MParticleAnalyticsLogExporter: [],
    MParticleAnalyticsSpanExporter: [],
}
SHUTDOWNS: tuple[tuple[list[Any], dict[str, Any]], ...] = (  # Any: whatever callers say
    ([], {}),
    ([500.0], {}),
    ([], {"timeout_millis": 500.0}),
    ([], {"timeout": 500.0}),  # PeriodicExportingMetricReader's word for it, in milliseconds too
    ([], {"timeout": 500.0, "a_later_word": 1.0}),
    ([None], {}),
    (["soon"], {}),
    ([float("nan")], {}),
    ([], {"timeout": float("inf")}),
    ([10**400], {}),
    ([], {"timeout": -(10**5000)}),
)

CALLS: dict[str, tuple[Callable[..., Any], Callable[[Any], Receipt]]] = {  # Any: each vendor's client
    "mpulse": (MPulseClient, lambda client: client.send_timer("Checkout", 1)),
    "mparticle": (EventsClient, lambda client: client.upload(BATCH)),
    "mparticle_analytics": (AnalyticsClient, lambda client: client.track(AnalyticsEvent("Paid", "ann", {}))),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda one: one.__name__)
def test_shutdown_is_understood_in_every_form(
    running: Sandbox, monkeypatch: pytest.MonkeyPatch, exporter: Callable[[], Any]
) -> None:
    """Once or twice; afterwards nothing waits, and an export fails and raises nothing."""
    made_by = (mpulse_environment, mparticle_environment, analytics_environment)
    for name, value in {k: v for made in made_by for k, v in made(running).items()}.items():
        monkeypatch.setenv(name, value)
    nothing = EXPORTERS[exporter]

    for positional, named in SHUTDOWNS:
        one = exporter()
        assert one.export(nothing).name == "SUCCESS"
        assert one.force_flush(500.0)
        one.shutdown(*positional, **named)
        one.shutdown(*positional, **named)
        assert one.force_flush(timeout_millis=500.0)
        assert one.export(nothing).name == "FAILURE"
        assert one.ledger().balanced


NO_DURATIONS = {
    "nan": float("nan"),
    "inf": float("inf"),
    "None": None,
    "text": "soon",
    "bool": True,
    "huge": 10**400,
    "huge below 0": -(10**5000),
}


@pytest.mark.parametrize("duration", NO_DURATIONS.values(), ids=NO_DURATIONS)
def test_what_is_no_duration_waits_as_long_as_the_setting_says(duration: Any) -> None:
    """A flush and a shutdown come back while the vendor is down, whatever they are given as their time."""
    nobody = "http://127.0.0.1:9/config.json"
    exporter = MPulseSpanExporter(api_key="K", domain="d", config_url=nobody, timeout=0.2)
    began = time.monotonic()
    exporter.export(finished_spans("Checkout"))
    flushed = exporter.force_flush(duration)
    exporter.shutdown(duration)
    MPulseSpanExporter(api_key="K", domain="d", config_url=nobody, timeout=0.3).shutdown()  # the way is free

    assert (flushed, exporter.ledger().balanced) == (False, True)
    assert time.monotonic() - began < 5


SCRIPT = """
import os, signal
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from tests.mpulse.test_exporters import finished_spans

first, second = MPulseSpanExporter(), MPulseSpanExporter()
signal.signal(signal.SIGTERM, lambda *_: first.shutdown())

class Spans(list):
    def __iter__(self):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__iter__()

first.export(Spans())
print(*(one.export(finished_spans("Code Timer")).name for one in (first, second)))
"""


def test_two_shutdowns_of_one_exporter_leave_the_others_open(running: Sandbox) -> None:
    """Exporters of one account share their way, which ends with the last, however often one leaves."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **mpulse_environment(running)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout == "FAILURE SUCCESS\n"


def test_shutdowns_on_several_threads_at_once_leave_the_others_open(running: Sandbox) -> None:
    """Whoever comes first leaves, once."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(100):
            settings: dict[str, Any] = {**running.mpulse_settings, "api_key": f"K{number}", "timeout": 0.1}
            first, second = MPulseSpanExporter(**settings), MPulseSpanExporter(**settings)
            at_once(first.shutdown)

            assert second.export(finished_spans("Code Timer")).name == "SUCCESS"
            second.shutdown()
    finally:
        sys.setswitchinterval(interval)


def at_once(act: Callable[[], object]) -> None:
    """Call it on four threads."""
    together = threading.Barrier(4)
    threads = [threading.Thread(target=lambda: (together.wait(10), act())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)


def test_exports_after_the_end_are_counted_and_told_once(
    running: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """An application that goes on after the shutdown does not fill its log."""
    exporter = MParticleLogExporter(**running.mparticle_settings)
    exporter.shutdown()
    caplog.clear()

    results = {exporter.export([Any] * 5).name for _ in range(100)}  # type: ignore[list-item]  # nobody looks

    assert (results, dict(exporter.ledger().ignored)) == ({"FAILURE"}, {"already_shutdown": 500})
    assert caplog.messages == ["mparticle: export after shutdown; 5 records ignored, and all that follow"]


@pytest.mark.parametrize("vendor", CALLS)
def test_calls_of_a_closed_client_are_counted_and_told_once(
    running: Sandbox, caplog: pytest.LogCaptureFixture, vendor: str
) -> None:
    """Every client counts them as dropped, "closed", in receipt and ledger."""
    make, call = CALLS[vendor]
    client = make(**getattr(running, f"{vendor}_settings"))
    client.close()
    caplog.clear()

    receipts = [call(client) for _ in range(100)]

    assert receipts == [Receipt(dropped={"closed": 1})] * 100
    assert (dict(client.ledger().dropped), client.ledger().balanced) == ({"closed": 100}, True)
    name = type(client).__name__
    assert caplog.messages == [f"{name}: the client is closed; 1 items dropped, and all that follow"]


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A client certificate whose key is encrypted."""
    pem = trustme.CA().issue_cert("shop.test").private_key_and_cert_chain_pem.bytes()
    key = load_pem_private_key(pem, None)
    coat = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"))
    file = tmp_path / "locked.pem"
    file.write_bytes(coat + pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    return file


@pytest.mark.parametrize("vendor", CALLS)
def test_a_certificate_that_asks_for_a_password_is_refused(
    running: Sandbox, locked: Path, vendor: str
) -> None:
    """Nobody would be there to type it; what would be right is said."""
    make, _ = CALLS[vendor]

    with pytest.raises(ConfigurationError, match="its key, which is not encrypted") as caught:
        make(**{**getattr(running, f"{vendor}_settings"), "client_certificate": str(locked)})

    assert caught.value.setting == "client_certificate"


def test_a_certificate_that_is_locked_later_asks_nobody(locked: Path) -> None:
    """The application's terminal stays quiet, and nothing waits for an answer from it."""
    script = (
        "from otel_vendor_exporters.delivery.request import Request\n"
        "from otel_vendor_exporters.delivery.transport import Network, Transport\n"
        f"transport = Transport(Network(client_certificate={str(locked)!r}))\n"
        "print(transport.send(Request('GET', 'https://127.0.0.1:9/'), 5).failure)\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", script], {**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        said = b""
        while select.select([terminal], [], [], 20)[0]:
            with suppress(OSError):  # how the end of the other side shows
                piece = os.read(terminal, 4096)
                said += piece
                if piece:
                    continue
            break
        assert said == b"Failure.NOT_SENT\r\n"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
