"""A running service, a client that talks to it, and no proxies between them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from otel_vendor_exporters.mparticle_analytics import AnalyticsClient
from tests.mparticle_analytics.service import Service


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go where they are sent."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    with running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[AnalyticsClient]:
    with AnalyticsClient(**service.settings) as running:
        yield running
        service.fails = lambda: None
        running.close(2.0)
    assert running.ledger().balanced
