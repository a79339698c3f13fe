"""
What arrived at mParticle Analytics, in the words a test uses: calls, events, users.

A view on the journal; holds nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_vendor_exporters.sandbox.inbox import Record
from otel_vendor_exporters.sandbox.mparticle_analytics.users import (
    AnalyticsCall,
    AnalyticsEvent,
    AnalyticsUser,
    users_of,
)


class AnalyticsReceived:
    """What Analytics has received since the last reset. Every property looks anew."""

    def __init__(self, records: Callable[[], tuple[Record, ...]]) -> None:
        self._records = records

    @property
    def calls(self) -> tuple[AnalyticsCall, ...]:
        """Every call that reached the vendor, also those it refused."""
        return tuple(record for record in self._records() if isinstance(record, AnalyticsCall))

    @property
    def events(self) -> tuple[AnalyticsEvent, ...]:
        """Every event Analytics would have counted at the time it arrived."""
        return tuple(event for call in self.calls for event in call.events)

    @property
    def users(self) -> tuple[AnalyticsUser, ...]:
        """Everyone the calls speak of, aliases merged, in the order first seen."""
        return users_of(self.calls)

    def user(self, id_: str) -> AnalyticsUser:
        """The user with an id; raises LookupError for nobody."""
        for user in self.users:
            if id_ in user.ids:
                return user
        raise LookupError(f"no user with the id {id_}")
