"""No proxies from the environment, no thread left behind, and things that end with the test."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from otel_vendor_exporters.delivery.transport import Transport
from tests.delivery.fakes import FakeClock, Ways
from tests.delivery.loopback import GUARD_SECONDS
from tests.delivery.spool_host import Host


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go where they are sent, whatever the environment of the tests says."""
    names = [name for name in os.environ if name.lower().endswith("_proxy")]
    for name in [*names, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Every thread that a test starts has ended when it is over."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(GUARD_SECONDS)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ways(no_threads_left: None) -> Iterator[Ways]:
    """Makes Deliveries."""
    made = Ways()
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path, clock: FakeClock) -> Iterator[Host]:
    """Its spools are closed at the end."""
    made = Host(tmp_path / "spool", clock)
    yield made
    made.close()


@pytest.fixture
def transport() -> Iterator[Transport]:
    """Closed at the end."""
    made = Transport()
    yield made
    made.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key and its authority, in one file."""
    authority = trustme.CA()
    both: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(both))
    authority.cert_pem.write_to_path(str(both), append=True)
    return both


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
