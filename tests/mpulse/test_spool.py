"""`spool_dir` as an application sees it: what was kept outlives the process that kept it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.mpulse import MPulseClient, MPulseMetricExporter, MPulseSpanExporter
from otel_vendor_exporters.mpulse.client import destination_for
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, How, Reading, Timing
from otel_vendor_exporters.sandbox import Sandbox
from tests.conftest import ForwardClock


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> dict[str, Any]:
    return {**sandbox.mpulse_settings, "spool_dir": str(tmp_path / "spool"), "timeout": 5}


def files(settings: dict[str, Any]) -> list[Path]:
    folder = Path(settings["spool_dir"])
    return sorted(folder.iterdir()) if folder.exists() else []


def left_behind(settings: dict[str, Any], sandbox: Sandbox, *, numbers: int = 3) -> None:
    """A first life that ends while mPulse is down: it leaves its timings, and one increment of all."""
    sandbox.become("mpulse", "down")  # its configuration, too: nothing is under way when the next comes
    client = MPulseClient(**settings)
    for number in range(1, numbers + 1):
        client.send_timer("Checkout", number, timeout_seconds=0, page_group="Cart")
        client.send_metric("Orders", timeout_seconds=0)
    client.close(1.0)
    counts = client.ledger()
    assert (counts.handed_over, counts.merged) == (numbers + 1, numbers - 1)
    assert (counts.lost, counts.balanced) == (0, True)
    sandbox.reset()


def test_the_next_life_sends_what_the_last_one_could_not(
    sandbox: Sandbox, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """After a shutdown during an outage nothing is lost: the next process delivers it, and tidies up."""
    caplog.set_level(logging.INFO)
    left_behind(settings, sandbox)

    with MPulseClient(**settings) as client:
        client.send_timer("Checkout", 100)

    assert sorted(sandbox.received.timers) == [("Checkout", number) for number in (1, 2, 3, 100)]
    assert sandbox.received.metrics == {"Orders": 3}
    assert client.ledger().recovered == 4
    assert client.ledger().balanced
    assert files(settings) == []
    assert "mpulse: 4 items of a process that has ended are sent now" in caplog.messages
    assert not [message for message in caplog.messages if "dropped" in message]


def test_what_is_too_old_after_a_restart_is_expired(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """Timings are of use for `max_age`; increments never expire."""
    left_behind(settings, sandbox)
    clock = ForwardClock()
    clock.forward(3600)
    destination = destination_for(MPulseSettings.read(**settings), clock)

    destination.keep([Reading("Orders", How.ADD, 1, 1, clock.unix_ms(), Context())])
    destination.delivery.flush(5)
    counts = destination.delivery.ledger.counts()
    destination.release(5)

    assert counts.dropped == {"expired": 3}
    assert counts.delivered + counts.merged == 2
    assert sandbox.received.timers == []


def test_another_app_leaves_it_alone(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """The same folder may serve several apps."""
    left_behind(settings, sandbox)
    before = [path.name for path in files(settings)]

    with MPulseClient(**{**settings, "domain": "other.example.com"}) as client:
        client.send_timer("Checkout", 100, timeout_seconds=0)
        client.close(0.5)

    assert {path.name for path in files(settings)} >= set(before)
    assert client.ledger().recovered == 0


def test_no_key_is_written(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """Neither the API key nor a crumb stands in the folder."""
    left_behind(settings, sandbox)
    written = b"".join(path.read_bytes() for path in files(settings))

    assert b"Checkout" in written
    assert sandbox.mpulse.key.encode() not in written


def test_exporters_of_one_app_share_the_file(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """Traces and metrics of one process have one spool file."""
    sandbox.answer_next(503, times=1000, on="beacon")
    spans, metrics = MPulseSpanExporter(**settings), MPulseMetricExporter(**settings)
    now = destination_for(MPulseSettings.read(**settings))
    now.keep([Timing("Checkout", 1, now.clock.unix_ms(), Context())])
    now.release(0.2)
    spool_files = [path for path in files(settings) if path.suffix == ".spool"]
    spans.shutdown(200)
    metrics.shutdown(200)

    assert len(spool_files) == 1


def test_a_folder_that_cannot_be_used_costs_nothing_else(
    sandbox: Sandbox, settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Said, and everything is delivered from memory."""
    (tmp_path / "spool").write_text("a file in the way")

    with MPulseClient(**settings) as client:
        receipt = client.send_timer("Checkout", 7)

    assert receipt.delivered == 1
    assert "mpulse: the spool folder cannot be written" in caplog.text
