"""What lasts of an app from one user of this process to the next: its budget, session and configuration."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mpulse import MPulseClient
from otel_vendor_exporters.mpulse.app_config import AppConfig
from otel_vendor_exporters.mpulse.client import destination_for, lasting_apps
from otel_vendor_exporters.mpulse.lasting import Lasting, LastingApps
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.sandbox import Sandbox
from tests.conftest import ForwardClock
from tests.delivery.loopback import Answer, Loopback, Received, http
from tests.mpulse.example import answer, config, settings


def test_clients_one_after_the_other_are_one_session_and_keep_one_budget(sandbox: Sandbox) -> None:
    """Thirty clients with twelve beacons an hour send the two that may go at once; the rest is counted."""
    lost = 0
    for _ in range(30):
        with MPulseClient(**sandbox.mpulse_settings, max_beacons_per_hour=12) as client:
            client.send_metric("Orders", 1)
        lost += client.ledger().lost

    beacons = sandbox.received.beacons
    assert (len(beacons), lost) == (2, 28)
    assert len({beacon.session for beacon in beacons}) == 1


def test_the_next_user_has_what_is_held_back_for_the_end_once_it_is_there_again(
    sandbox: Sandbox, clock: ForwardClock
) -> None:
    """What the last shutdown opened is closed again, and fills by the hour."""
    read = MPulseSettings.read(**sandbox.mpulse_settings, max_beacons_per_hour=12, timeout=0.3)
    waits = []
    for hours in (0, 0, 2):
        clock.forward(hours * 3600.0)
        rate = lasting_apps.of("app", read, clock).rate()
        assert rate is not None
        waits.append(round(rate.take(1, clock.monotonic())))
        rate.open_reserve()
        rate.take(1, clock.monotonic())

    assert waits == [0, 655, 0]


class Vendor(Loopback):
    """mPulse over https: its configuration, and 204 for beacons."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.configs = 0
        self.beacons = 0
        self.answer_to_beacons = Answer()
        super().__init__(http(self._answer), tls=tls)

    def _answer(self, request: Received) -> Answer:
        if not request.target.startswith("/config.json"):
            self.beacons += 1
            return self.answer_to_beacons
        self.configs += 1
        now_unix_ms = time.time_ns() // 1_000_000
        body = answer(h_t=now_unix_ms, beacon_url=f"//{self.address}/beacons/")
        return Answer(200, {}, json.dumps(body).encode())


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with Vendor(tls) as running:
        yield running


def test_clients_one_after_the_other_ask_for_the_configuration_once(vendor: Vendor, tmp_path: Path) -> None:
    """While its crumb is good; each of them sends."""
    read = {
        "api_key": settings().api_key,
        "domain": settings().domain,
        "config_url": f"{vendor.url}/config.json",
        "ca_file": str(tmp_path / "ca.pem"),
    }
    receipts = []
    for _ in range(5):
        with MPulseClient(**read) as client:
            receipts.append(client.send_timer("MyTimer", 5).delivered)

    assert (receipts, vendor.beacons, vendor.configs) == ([1] * 5, 5, 1)


def test_clients_one_after_the_other_wait_as_mpulse_asked(vendor: Vendor, tmp_path: Path) -> None:
    """The first one is told to come back in ten minutes, and none of the others asks before."""
    vendor.answer_to_beacons = Answer(429, {"Retry-After": "600"})
    read = {
        "api_key": settings().api_key,
        "domain": settings().domain,
        "config_url": f"{vendor.url}/config.json",
        "ca_file": str(tmp_path / "ca.pem"),
    }
    dropped = []
    for _ in range(3):
        with MPulseClient(**read) as client:
            client.send_timer("MyTimer", 5)
        dropped.append(dict(client.ledger().dropped))

    assert (dropped, vendor.beacons) == ([{"shutdown": 1}] * 3, 1)


def lasting(**keywords: object) -> Lasting:
    """What lasts of the example's app, whose configuration was read."""
    made = Lasting(settings(max_beacons_per_hour=12, **keywords), Clock())
    made.config = config()
    return made


def test_other_settings_begin_anew_what_depends_on_them() -> None:
    """Another budget, another sample, another way to read the configuration; the session goes on."""
    clock = Clock()

    def kept(**changed: object) -> tuple[bool, ...]:
        one = Lasting(settings(max_beacons_per_hour=12), clock)
        one.config, session, sampler = config(), one.session, one.sampler
        rate = one.rate()
        assert rate is not None
        rate.take(1, clock.monotonic())
        one.pass_on(settings(**{"max_beacons_per_hour": 12, **changed}))
        again = one.rate()
        spent = again is not None and again.seconds_until(1, clock.monotonic()) > 0
        return one.session is session, spent, one.sampler is sampler, isinstance(one.config, AppConfig)

    assert kept() == (True, True, True, True)
    assert kept(timeout=3, page_group="Cart") == (True, True, True, True)
    assert kept(max_beacons_per_hour=24) == (True, False, False, True)
    assert kept(max_beacons_per_hour=None) == (True, False, False, True)
    assert kept(max_age=60) == (True, True, False, True)
    assert kept(rest_secret="s3cret") == (True, True, True, False)
    assert kept(config_url="http://127.0.0.1:1/config.json") == (True, True, True, False)


def test_a_child_process_inherits_what_was_spent_and_nothing_else() -> None:
    """Its session, sample and configuration are its own."""
    parents = lasting()
    before = parents.session, parents.sampler, parents.config
    rate = parents.rate()
    assert rate is not None
    rate.take(1, parents.clock.monotonic())

    parents.renew_after_fork()

    childs = parents.rate()
    assert childs is not None
    assert childs.seconds_until(1, parents.clock.monotonic()) > 0
    assert parents.config is None
    assert parents.session is not before[0]
    assert parents.sampler is not before[1]


def test_64_apps_are_remembered() -> None:
    """The one that was opened longest ago makes room."""
    apps, clock = LastingApps(), Clock()
    made = [apps.of(number, settings(), clock) for number in range(64)]
    assert apps.of(0, settings(), clock) is made[0]

    apps.of(64, settings(), clock)

    assert apps.of(0, settings(), clock) is made[0]
    assert apps.of(1, settings(), clock) is not made[1]


def test_the_case_of_a_domain_makes_no_other_app() -> None:
    """Domains are the same in any case: one destination, with one budget."""
    lower = destination_for(settings(domain="www.example.com"))
    upper = destination_for(settings(domain="WWW.Example.COM"))
    with pytest.raises(ConfigurationError, match="max_beacons_per_hour differs"):
        destination_for(settings(domain="WWW.EXAMPLE.COM", max_beacons_per_hour=12))
    lower.release(0)
    upper.release(0)

    assert lower is upper
    assert config(h_d="WWW.Example.com").warnings == ()
