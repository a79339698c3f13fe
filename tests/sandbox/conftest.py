"""A sandbox with the app of contract 3.3, a clock that can be set forward, and a client made of sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.sandbox.wire import MovableTime, Wire


@pytest.fixture
def moment() -> MovableTime:
    """The emulator's time."""
    return MovableTime()


@pytest.fixture
def sandbox(moment: MovableTime) -> Iterator[Sandbox]:
    """Defines MyTimer, Code Timer, MyMetric, Revenue (Currency) and Visibility State."""
    with Sandbox(mpulse=MPulseApp(now=moment)) as running:
        yield running


@pytest.fixture
def wire(sandbox: Sandbox) -> Wire:
    """A client of the sandbox."""
    return Wire(sandbox)
