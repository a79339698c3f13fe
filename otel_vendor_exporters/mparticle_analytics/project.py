"""
The Analytics project as this process knows it: what delivery asks when it packs, addresses and judges.

Puts the API key on each request at the moment it leaves, lets nothing out of users who are suppressed, and
remembers what a refusal may mean.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.register import Register
from otel_vendor_exporters.delivery.request import Item, Outcome, Parcel, Reply, Request, Verdict
from otel_vendor_exporters.delivery.vendor import Packed
from otel_vendor_exporters.mparticle_analytics.answers import Answer, Doubt, answer_to, told
from otel_vendor_exporters.mparticle_analytics.merges import Merges
from otel_vendor_exporters.mparticle_analytics.packing import Limits, pack
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.units import REMOVALS, Kind, Unit
from otel_vendor_exporters.mparticle_analytics.users import Users
from otel_vendor_exporters.mparticle_analytics.wire import Address, request_for

_MOST_CULPRITS = 100  # names in the ledger; bounded, and nobody reads more


class Project:
    """One Analytics project. Implements delivery's `Vendor`."""

    name = "mparticle_analytics"

    def __init__(
        self,
        settings: AnalyticsSettings,
        users: Users,
        suppressed: Register,
        merges: Merges,
        notices: Notices,
        clock: Clock,
    ) -> None:
        self._users = users
        self._suppressed = suppressed
        self._merges = merges
        self._notices = notices
        self._clock = clock
        self._events_again = settings.duplicates == "allow"
        api_key = settings.api_key.reveal()
        self._address = Address(settings.base_url, api_key, settings.key_in, settings.user_agent)
        self._limits = Limits(
            api_key, settings.max_batch_events, settings.max_body_bytes, settings.most_per_second
        )
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._doubt = Doubt()
        self._culprits: set[str] = set()
        self.process_user = str(uuid.uuid4())  # who nobody is, if such events are sent

    def renew_after_fork(self) -> None:
        """A process of its own: nobody is somebody else here, and nothing was refused yet."""
        self._start()
        self._suppressed.renew_after_fork()
        self._merges.renew_after_fork()
        self._users.renew_after_fork()

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:  # noqa: ARG002  delivery's words
        """Always ready: the key is all that is needed."""
        return 0.0

    def pack(self, items: Sequence[Item[Unit]]) -> Packed[Unit]:
        """Batches and calls for `items`, without suppressed users and ids that are merged already."""
        self._suppressed.refresh()
        reasons = [self._objection(item.unit) for item in items]
        withheld = [
            Verdict([item], Outcome.DROPPED, reason, erase=self._leaves_no_trace(item.unit))
            for item, reason in zip(items, reasons, strict=True)
            if reason is not None
        ]
        if withheld:
            items = [item for item, reason in zip(items, reasons, strict=True) if reason is None]
        doubt = self._doubt
        loads, too_large = pack(
            [item.unit for item in items], self._limits, alone=doubt.suspects, probe=bool(doubt.refused)
        )
        parcels: list[Parcel[Unit]] = []
        for load in loads:
            held = [items[index] for index in load.units]
            parcels.append(Parcel(held, None, float(len(held)), load.users))
        verdicts = [Verdict([items[index]], Outcome.REFUSED, "too_large") for index in too_large]
        return Packed(parcels, [*verdicts, *withheld])

    def request(self, parcel: Parcel[Unit]) -> Request | None:
        """The request with the key; None if one of its users was suppressed since it was packed."""
        self._suppressed.refresh()
        units = [item.unit for item in parcel.items]
        if any(map(self._is_silenced, units)):
            return None
        return request_for(units, self._address)

    def judge(self, parcel: Parcel[Unit], reply: Reply) -> Sequence[Verdict[Unit]]:
        """Settle the parcel, or have it divided, kept or probed."""
        units = [item.unit for item in parcel.items]
        with self._lock:
            answer = answer_to(
                units,
                reply,
                self._doubt,
                events_again=self._events_again,
                now=self._clock.monotonic(),
                secrets=[self._address.api_key],
            )
            self._doubt = answer.doubt
        if answer.doubt.is_key:  # delivery has told of the first refusal, when it could still be the data
            text = "%s: %s; what waits is kept and slowly tried again"
            self._notices.say("key", logging.ERROR, text, self.name, answer.words)
        if answer.outcome is Outcome.DELIVERED:
            for unit in units:
                if unit.kind is Kind.ALIAS:
                    self._merges.came_about(unit)
            return [Verdict(parcel.items, answer.outcome, erase=any(map(self._leaves_no_trace, units)))]
        wait = policy.retry_after_seconds(reply, datetime.now(timezone.utc))
        reason = self._reason(answer, units)
        erase = any(map(self._leaves_no_trace, units))
        return [Verdict(parcel.items, answer.outcome, reason, answer.words, wait or None, erase=erase)]

    def tell_of_ids(self, records: int) -> None:
        """Say that so many records were ignored because the application's ids are of the wrong type."""
        if records:
            text = "%s: %d records are not sent: their user id is neither a text nor an integer"
            self._notices.say("ids", logging.WARNING, text, self.name, records)

    def _objection(self, unit: Unit) -> str | None:
        """Why a unit must not leave."""
        if self._is_silenced(unit):
            return "suppressed"
        return self._merges.objection(unit) if unit.kind is Kind.ALIAS else None

    def _is_silenced(self, unit: Unit) -> bool:
        return unit.kind not in REMOVALS and any(map(self._users.is_suppressed, unit.users))

    def _leaves_no_trace(self, unit: Unit) -> bool:
        """Whether no byte of it is to be left on the disk once it is settled."""
        return unit.kind in REMOVALS or self._is_silenced(unit)

    def _reason(self, answer: Answer, units: Sequence[Unit]) -> str:
        """The ledger's word; for a refused unit it names the culprit, as long as there are few."""
        if answer.outcome is not Outcome.REFUSED or len(units) > 1:
            return answer.reason
        culprit = f"{answer.reason} {told(units[0])}"
        with self._lock:
            if len(self._culprits) < _MOST_CULPRITS:
                self._culprits.add(culprit)
            return culprit if culprit in self._culprits else answer.reason
