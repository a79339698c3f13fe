"""Old crumbs: those that a cache kept, and those over which the machine slept."""

from __future__ import annotations

import logging
from dataclasses import replace
from email.utils import formatdate

import pytest

from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Reply, Request
from otel_vendor_exporters.mpulse.app import App
from otel_vendor_exporters.mpulse.units import Context, Timing
from tests.conftest import ForwardClock
from tests.mpulse.example import answer, reply, settings

HOUR = 3600.0


class Machine(ForwardClock):
    """A clock of a machine that can sleep: monotonic time stands still meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() - self.asleep_seconds

    def sleep(self, seconds: float) -> None:
        """Be suspended for so long."""
        self.asleep_seconds += seconds
        self.forward(seconds)


class Vendor:
    """Gives out configurations: fresh ones, or such as a cache has kept for `cached_seconds`."""

    def __init__(self, clock: ForwardClock, ahead_seconds: float = 0.0, *, dated: bool = True) -> None:
        self.clock = clock
        self.ahead_seconds = ahead_seconds
        self.dated = dated
        self.cached_seconds = 0.0
        self.asked = 0

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        assert "config.json" in request.url
        assert timeout_seconds > 0
        self.asked += 1
        now = self.clock.unix_ms() / 1000 + self.ahead_seconds
        crumb_unix_ms = int((now - self.cached_seconds) * 1000)
        headers = {"date": formatdate(now, usegmt=True)} if self.dated else {}
        return replace(reply(answer(h_t=crumb_unix_ms)), headers=headers)


def app_of(vendor: Vendor) -> App:
    notices = Notices(logging.getLogger("otel_vendor_exporters.mpulse"), vendor.clock)
    return App(settings(), vendor, vendor.clock, notices)  # type: ignore[arg-type]  # all it asks of a transport


def could_send(app: App, clock: ForwardClock) -> bool:
    """Whether a beacon gets its crumb after delivery asked the app to prepare."""
    if app.prepare(1, hurry=False) > 0:
        return False
    (parcel,) = app.pack([Item(Timing("MyTimer", 1, clock.unix_ms(), Context()), 400)]).parcels
    return app.request(parcel) is not None


def test_an_old_configuration_is_named_and_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    """A cache that keeps answers is an error with its cause; a minute later there is another request."""
    clock = Machine()
    vendor = Vendor(clock)
    vendor.cached_seconds = 605
    app = app_of(vendor)

    assert not could_send(app, clock)
    clock.forward(70)
    vendor.cached_seconds = 0
    assert could_send(app, clock)

    problem, over = caplog.records
    assert problem.levelname == "ERROR"
    assert "the crumb is 10 minutes old already: a cache between here and mPulse?" in problem.getMessage()
    assert "asking again in" in problem.getMessage()
    assert "available again" in over.getMessage()
    assert vendor.asked == 2


@pytest.mark.parametrize("ahead_seconds", [0.0, 2 * HOUR, -2 * HOUR])
def test_no_crumb_is_sent_over_which_the_machine_slept(ahead_seconds: float) -> None:
    """After an hour's sleep a beacon that was packed before has no crumb, and a new one is asked for."""
    clock = Machine()
    vendor = Vendor(clock, ahead_seconds)
    app = app_of(vendor)
    assert could_send(app, clock)
    (parcel,) = app.pack([Item(Timing("MyTimer", 1, clock.unix_ms(), Context()), 400)]).parcels

    clock.sleep(HOUR)

    assert app.request(parcel) is None
    assert could_send(app, clock)
    assert vendor.asked == 2


def test_a_short_sleep_asks_nobody() -> None:
    """A crumb that is still good is used."""
    clock = Machine()
    vendor = Vendor(clock)
    app = app_of(vendor)
    assert could_send(app, clock)
    clock.sleep(100)

    assert could_send(app, clock)
    assert vendor.asked == 1


def test_a_failure_after_a_sleep_is_repeated_by_the_schedule() -> None:
    """Where nobody answers after waking up, there is one request a minute and not one for each beacon."""
    clock = Machine()
    vendor = Vendor(clock)
    app = app_of(vendor)
    assert could_send(app, clock)
    clock.sleep(HOUR)
    vendor.cached_seconds = HOUR

    assert not any(could_send(app, clock) for _ in range(20))
    assert vendor.asked == 2


def test_without_a_date_the_wall_clock_says_nothing() -> None:
    """Where mPulse's time is not known, a wall clock that is set forward stops nothing."""
    clock = Machine()
    vendor = Vendor(clock, dated=False)
    app = app_of(vendor)
    assert could_send(app, clock)
    clock.sleep(HOUR)

    assert could_send(app, clock)
    assert vendor.asked == 1


def test_a_crumb_that_a_cache_kept_a_while_is_replaced_when_it_ends() -> None:
    """Of its ten minutes eight are gone: the next one is asked for two minutes later, not five."""
    clock = Machine()
    vendor = Vendor(clock)
    vendor.cached_seconds = 480
    app = app_of(vendor)
    assert could_send(app, clock)
    clock.forward(121)

    assert could_send(app, clock)
    assert vendor.asked == 2
