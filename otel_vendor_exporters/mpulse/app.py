"""
The mPulse app as this process knows it: what delivery asks when it packs, addresses and judges.

Fetches the configuration when something is to be sent, packs units into beacons by the definitions as they
are then, and puts the crumb on each beacon at the moment it leaves.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.ledger import NO_LOSS
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import (
    Item,
    Outcome,
    Parcel,
    Reply,
    Request,
    Verdict,
)
from otel_vendor_exporters.delivery.sender import Packed
from otel_vendor_exporters.delivery.transport import Transport
from otel_vendor_exporters.mpulse import app_config
from otel_vendor_exporters.mpulse.app_config import AppConfig, Problem
from otel_vendor_exporters.mpulse.budget import Sampler
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.lasting import Lasting
from otel_vendor_exporters.mpulse.packing import Discard, Limits, Load, limits_for, pack
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.unfit import NoTiming, Unfit
from otel_vendor_exporters.mpulse.units import How, Reading, Session, Timing, Unit
from otel_vendor_exporters.mpulse.wire import Envelope, beacon_request

_NAP_SECONDS = 60.0  # the two clocks differ by less while the machine is awake


class App:
    """One mPulse app: its configuration and its conventions. Implements delivery's `Vendor`."""

    name = "mpulse"

    def __init__(
        self,
        settings: MPulseSettings,
        transport: Transport,
        clock: Clock,
        notices: Notices,
        lasting: Lasting | None = None,
    ) -> None:
        """`lasting` is what is known and spent of the app already."""
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._notices = notices
        self._lasting = lasting or Lasting(settings, clock)
        self._begin()

    def renew_after_fork(self) -> None:
        """Start without configuration and with a session of its own."""
        self._lasting.renew_after_fork()
        self._begin()

    def _begin(self) -> None:
        self._config: AppConfig | None = None
        self._envelope: Envelope | None = None
        self._limits = Limits()
        self._stopped = False  # mPulse said that nothing may be sent
        self._failures = 0
        self._ask_at = self._lasting.ask_at
        if self._lasting.config is not None:
            self._use(self._lasting.config)

    # What exporters ask, on application threads

    @property
    def definitions(self) -> Definitions | None:
        """What the app defines, once that is known."""
        config = self._config
        return config.definitions if config else None

    @property
    def sampler(self) -> Sampler | None:
        """Who decides which timings are kept; None without a budget."""
        return self._lasting.sampler

    @property
    def is_due(self) -> bool:
        """Whether the configuration should be asked for again."""
        return self._clock.monotonic() >= self._ask_at

    def process_session(self) -> Session | None:
        """The session of what carries none."""
        if self._settings.session == "none":
            return None
        config = self._config
        idle = config.session_seconds if config else app_config.DEFAULT_SESSION_SECONDS
        return self._lasting.session.at(self._clock.unix_ms(), idle)

    def tell_undefined(self, names: Iterable[str], kind: str) -> None:
        """Say once for each name that the app defines no custom `kind` of it: see `UndefinedNames`."""
        self._lasting.undefined.tell(names, kind, self.definitions or Definitions())

    def tell_unfit(self, unfit: Iterable[Unfit], no_timings: Mapping[str, NoTiming]) -> None:
        """Say once for each what cannot be sent, and keep in mind what may have to be said later."""
        self._lasting.unfit.tell(unfit)
        self._lasting.unfit.remember(no_timings)

    # What delivery asks, on its own threads

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:
        """Have a configuration whose crumb is still good; else the seconds until it is asked for again."""
        now = self._clock.monotonic()
        if now >= self._ask_at or self._has_slept(now) or (hurry and not self._may_send(now)):
            self._ask(timeout_seconds)
            now = self._clock.monotonic()
        return 0.0 if self._may_send(now) else max(self._ask_at - now, 0.001)

    def pack(self, items: Sequence[Item[Unit]]) -> Packed[Unit]:
        """Beacons for `items` by the definitions as they are now."""
        config = self._config
        assert config is not None  # prepare() said so
        units = [item.unit for item in items]
        now_unix_ms, carried = self._clock.unix_ms(), self._lasting.carried.snapshot()
        loads, discards = pack(units, config.definitions, self._limits, now_unix_ms, carried)
        parcels = [Parcel([items[index] for index in load.units], load) for load in loads]
        if items and items[0].first:  # increments come first, and are to leave first
            parcels.sort(key=lambda parcel: not any(item.first for item in parcel.items))
        verdicts = self._verdicts(items, discards)
        for load in loads:
            self._lasting.carried.foresee(load.remainders)
        self._lasting.carried.add([one.amount for one in discards if one.amount is not None])
        return Packed(parcels, verdicts)

    def request(self, parcel: Parcel[Unit]) -> Request | None:
        """The beacon with the crumb as it is now; an expired crumb is never sent."""
        envelope, load = self._envelope, _load_of(parcel)
        if envelope is None or not self._may_send(self._clock.monotonic()):
            self._lasting.carried.settle(load.remainders, delivered=False)
            return None
        sampler = self.sampler
        if sampler is not None:
            sampler.sent(len(load.beacon.timers))
        return beacon_request(load.beacon, envelope)

    def judge(self, parcel: Parcel[Unit], reply: Reply) -> Sequence[Verdict[Unit]]:
        """Settle the parcel: mPulse says 204 to anything; the rest is its infrastructure speaking."""
        again = self._settings.duplicates == "allow"
        outcome = policy.outcome_of(reply, send_again_when_ambiguous=again)
        words = f"HTTP {reply.status}" if reply.failure is None else reply.words or reply.failure.value
        if outcome is Outcome.DELIVERED and reply.status != 204:
            text = "mpulse: beacons are answered %s instead of 204: check that config_url is mPulse's"
            self._notices.say("not 204", logging.WARNING, text, words)
        self._lasting.carried.settle(_load_of(parcel).remainders, delivered=outcome is Outcome.DELIVERED)
        if outcome is Outcome.DELIVERED:
            return [Verdict(parcel.items, outcome)]
        reason = f"http_{reply.status}" if reply.failure is None else policy.AMBIGUOUS
        wait = policy.retry_after_seconds(reply, datetime.now(timezone.utc))
        return [Verdict(parcel.items, outcome, reason, words, wait or None)]

    # Configuration

    def _may_send(self, now: float) -> bool:
        config = self._config
        if config is None or self._stopped:
            return False
        return config.is_usable(now, self._clock.unix_ms())

    def _has_slept(self, now: float) -> bool:
        """Whether the crumb expired while the machine was suspended, and monotonic time with it."""
        config = self._config
        if config is None or self._failures:
            return False
        left = config.seconds_left_by_wall(self._clock.unix_ms())
        return left <= 0 and config.seconds_left(now) - left > _NAP_SECONDS

    def _ask(self, timeout_seconds: float) -> None:
        now, now_unix_ms = self._clock.monotonic(), self._clock.unix_ms()
        request = app_config.config_request(self._settings, self._config, now_unix_ms)
        reply = self._transport.send(request, timeout_seconds)
        answer = app_config.read_answer(
            reply, self._settings, self._config, asked_at=now, now_unix_ms=self._clock.unix_ms()
        )
        if isinstance(answer, Problem):
            self._no_config(answer, policy.retry_after_seconds(reply, datetime.now(timezone.utc)))
        else:
            self._new_config(answer)

    def _new_config(self, config: AppConfig) -> None:
        for warning in config.warnings:
            self._notices.say(warning, logging.WARNING, "mpulse: %s", warning)
        self._use(config)
        self._stopped = False
        self._failures = 0
        now = self._clock.monotonic()
        good_for = max(
            config.seconds_left(now), self._settings.config_retry
        )  # less if a cache kept it a while
        self._ask_at = now + min(self._settings.config_refresh, good_for)
        self._lasting.config, self._lasting.ask_at = config, self._ask_at
        self._notices.over("config", "mpulse: the app's configuration is available again")

    def _use(self, config: AppConfig) -> None:
        self._envelope = _envelope(config, self._settings)
        self._limits = limits_for(self._settings, self._envelope)
        self._config = config

    def _no_config(self, problem: Problem, retry_after_seconds: float | None) -> None:
        self._failures += 1
        self._stopped = self._stopped or problem.stop
        if self._stopped:
            self._lasting.forget_config()
        chance = random.random()  # noqa: S311  jitter needs no secrecy
        wait = app_config.retry_seconds(self._failures, self._settings.config_retry, chance)
        wait = max(wait, retry_after_seconds or 0.0)
        self._ask_at = self._clock.monotonic() + wait
        going_on = self._may_send(self._clock.monotonic())
        until = "sending goes on with the last one until it expires" if going_on else "what waits is kept"
        level = logging.WARNING if going_on else logging.ERROR
        text = "mpulse: no configuration: %s; %s; asking again in %.0f s"
        self._notices.say("config", level, text, problem.words, until, wait)

    def _verdicts(self, items: Sequence[Item[Unit]], discards: Sequence[Discard]) -> list[Verdict[Unit]]:
        by_reason: dict[str, list[Item[Unit]]] = {}
        undefined: dict[str, list[str]] = {}
        for discard in discards:
            item = items[discard.unit]
            unfit = self._unfit_of(discard, item.unit)
            by_reason.setdefault(unfit.reason if unfit else discard.reason, []).append(item)
            if unfit:
                self._lasting.unfit.tell([unfit])
            elif discard.reason == "undefined":
                undefined.setdefault(_kind_of(item.unit), []).append(discard.name)
        for kind, names in undefined.items():
            self.tell_undefined(names, kind)
        return [
            Verdict(gone, Outcome.DROPPED if reason in NO_LOSS else Outcome.REFUSED, reason)
            for reason, gone in by_reason.items()
        ]

    def _unfit_of(self, discard: Discard, unit: Unit) -> Unfit | None:
        """What is wrong with a histogram kept before the definitions were known, if not its name."""
        if discard.reason != "undefined" or isinstance(unit, Timing) or unit.how is How.MEAN:
            return None
        return self._lasting.unfit.instead_of_undefined(discard.name, self.definitions or Definitions())


def _envelope(config: AppConfig, settings: MPulseSettings) -> Envelope:
    return Envelope(
        beacon_url=config.beacon_url,
        api_key=config.api_key,
        domain=config.domain,
        crumb=config.crumb,
        crumb_unix_ms=config.crumb_unix_ms,
        user_agent=settings.user_agent,
        api_version=settings.api_version,
        rt_start=settings.rt_start,
        http_initiator=settings.http_initiator,
        method=settings.method,
        max_url_length=settings.max_url_length,
    )


def _load_of(parcel: Parcel[Unit]) -> Load:
    load = parcel.content
    assert isinstance(load, Load)  # what pack() put there
    return load


def _kind_of(unit: Unit) -> str:
    """What mPulse would call this among its definitions."""
    if isinstance(unit, Reading) and unit.other:
        return "metric or timer"
    return "timer" if isinstance(unit, Timing) or unit.how is How.MEAN else "metric"
