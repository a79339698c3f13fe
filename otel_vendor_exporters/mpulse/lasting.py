"""
Lasting: what this process knows and has spent of an mPulse app, whoever uses it, and however often anew.

mPulse counts beacons, sessions and requests for the configuration, not clients. So who opens one after the
last was closed goes on with the budget, the sample, the session and the configuration there were.
Rule: a child process inherits what its parent has spent, and nothing else.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Hashable

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.pace import Outage
from otel_vendor_exporters.delivery.policy import TokenBucket
from otel_vendor_exporters.delivery.remembered import Remembered
from otel_vendor_exporters.mpulse import budget
from otel_vendor_exporters.mpulse.app_config import AppConfig
from otel_vendor_exporters.mpulse.carried import Carried
from otel_vendor_exporters.mpulse.contexts import ProcessSession
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.undefined import UndefinedNames
from otel_vendor_exporters.mpulse.unfit import UnfitNames

_logger = logging.getLogger("otel_vendor_exporters.mpulse.app")


class Lasting:
    """Of one app. Any thread may read and replace its attributes; their values are safe to share."""

    def __init__(self, settings: MPulseSettings, clock: Clock) -> None:
        self.clock = clock
        self.outage = Outage()
        self._settings = settings
        self._bucket = _bucket(settings)
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Begin anew, but for the beacons that were spent."""
        self.session = ProcessSession(lambda: str(uuid.uuid4()), self.clock.unix_ms())
        self.carried = Carried()
        self.undefined = UndefinedNames(_logger)
        self.unfit = UnfitNames(_logger)
        self.sampler = _sampler(self._settings, self.clock)
        self.outage.forget()
        self.forget_config()
        if self._bucket is not None:
            self._bucket.renew_after_fork()

    def forget_config(self) -> None:
        """Whoever comes next asks for the configuration at once."""
        self.config: AppConfig | None = None  # the last good one
        self.ask_at = self.clock.monotonic()

    def pass_on(self, settings: MPulseSettings) -> None:
        """Be the next user's; what was settled otherwise before begins anew."""
        before, self._settings = self._settings, settings
        if settings != before:  # which may be what was wrong
            self.outage.forget()
        if settings.beacons_per_hour != before.beacons_per_hour:
            self._bucket = _bucket(settings)
        if (settings.beacons_per_hour, settings.max_age) != (before.beacons_per_hour, before.max_age):
            self.sampler = _sampler(settings, self.clock)
        reads_alike = (settings.rest_secret, settings.undefined) == (before.rest_secret, before.undefined)
        if settings.loopback or not reads_alike:  # the next sandbox may stand where the last one stood
            self.forget_config()

    def rate(self) -> TokenBucket | None:
        """The budget as a rate for one more delivery."""
        return None if self._bucket is None else self._bucket.for_another()


class LastingApps(Remembered[Lasting]):
    """Those of a process, by the fingerprint of their destination."""

    def of(self, fingerprint: Hashable, settings: MPulseSettings, clock: Clock) -> Lasting:
        """What lasts of this app, for a new destination of these settings. Times are of one clock."""

        def following(known: Lasting | None) -> Lasting:
            if known is None or known.clock is not clock:
                return Lasting(settings, clock)
            known.pass_on(settings)
            return known

        return self.next_of(fingerprint, following)


def _bucket(settings: MPulseSettings) -> TokenBucket | None:
    per_hour = settings.beacons_per_hour
    return None if per_hour is None else budget.bucket_for(per_hour)


def _sampler(settings: MPulseSettings, clock: Clock) -> budget.Sampler | None:
    per_hour = settings.beacons_per_hour
    return None if per_hour is None else budget.Sampler(per_hour, settings.max_age, clock.monotonic())
