"""Fixtures for all tests: a running sandbox, a clock that can be set forward, and nobody's settings."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import hypothesis
import pytest

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.mparticle import client as mparticle
from otel_vendor_exporters.mparticle_analytics import client as mparticle_analytics
from otel_vendor_exporters.mpulse.client import lasting_apps
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox

# How long one example takes depends on what else the machine does; tests of time say so themselves.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

TIMERS = ("Checkout", "Search", "Payment", *(f"Timer {number}" for number in range(20)))
METRICS = {"Orders": "Number", "Revenue": "Currency", "Queue": "Number"}
DIMENSIONS = ("Country", "Plan")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no OTEL_ variable of the machine."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_lasts() -> None:
    """Each test has limits, pauses and a session of its own, whatever port its sandbox has."""
    for known in (lasting_apps, mparticle.standings, mparticle_analytics.standings):
        known.forget()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose mPulse app defines TIMERS, METRICS and DIMENSIONS."""
    with Sandbox(mpulse=MPulseApp(timers=TIMERS, metrics=METRICS, dimensions=DIMENSIONS)) as running:
        yield running


class ForwardClock(Clock):
    """Real time that can be set forward. Waits look up often, so that they notice."""

    def __init__(self) -> None:
        self._forward_seconds = 0.0

    def forward(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._forward_seconds += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._forward_seconds

    def lasting(self) -> float:
        return self.monotonic()

    def unix_ms(self) -> int:
        return int(time.time() * 1000 + self._forward_seconds * 1000)

    def wait(self, condition: threading.Condition, timeout_seconds: float | None) -> None:
        condition.wait(0.01 if timeout_seconds is None else min(timeout_seconds, 0.01))


@pytest.fixture
def clock() -> ForwardClock:
    """A clock to set forward."""
    return ForwardClock()
