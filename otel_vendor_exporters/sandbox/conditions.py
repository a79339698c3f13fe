"""
Conditions: how a vendor is at present, until somebody changes it. Well, or one of the ways it can be unwell.

Unlike a fault (`answer_next`), which is given a number of times, a condition lasts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from otel_vendor_exporters.sandbox.exchange import Answer, Vendor

SLOW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Condition:
    """
    `answer` takes the place of the vendor's. Else the vendor answers itself, after `delay_seconds`, and with
    its `switches` set so.
    """

    name: str
    title: str
    sentence: str
    answer: Answer | None = None
    delay_seconds: float = 0.0
    switches: Mapping[str, object] = field(default_factory=dict)


WELL = Condition("well", "Well", "Answers as its documents say.")
_LIMITED = (("Retry-After", "2"), ("X-mp-rate-limit-exceeded", '"app"'))
_OF_EVERY_VENDOR = (
    WELL,
    Condition("429", "429", "Too many requests: 429 with Retry-After: 2.", Answer(429, b"", _LIMITED)),
    Condition("503", "503", "Service unavailable: 503 to every request.", Answer(503)),
    Condition(
        "slow", "Slow", f"Takes every request, and answers after {SLOW_SECONDS:.0f} s.", None, SLOW_SECONDS
    ),
    Condition("down", "Down", "Drops every connection without an answer.", Answer(503, reset=True)),
)
_OF_MPULSE = (
    Condition(
        "rate_limited",
        "Rate-limited app",
        "The configuration says rate_limited: nothing may be sent until it no longer does.",
        switches={"answer": "rate_limited"},
    ),
    Condition(
        "crumb_expired",
        "Expired crumb",
        "Every crumb counts as expired: mPulse answers 204 and throws the beacon away.",
        switches={"expire_crumbs": True},
    ),
)


class Conditions:
    """The condition of each vendor. Any thread may call anything."""

    def __init__(self, vendors: Iterable[Vendor]) -> None:
        self._vendors = {vendor.name: vendor for vendor in vendors}
        self._lock = Lock()
        self._present: dict[str, Condition] = {}

    def of(self, vendor: str) -> Condition:
        """How a vendor is."""
        return self._present.get(vendor, WELL)

    @property
    def present(self) -> dict[str, str]:
        """The name of each vendor's condition."""
        return {vendor: self.of(vendor).name for vendor in self._vendors}

    def choices(self, vendor: str) -> tuple[Condition, ...]:
        """The conditions a vendor can be in."""
        return (*_OF_EVERY_VENDOR, *(_OF_MPULSE if vendor == "mpulse" else ()))

    def become(self, vendor: str, name: str) -> None:
        """Put a vendor in a condition; raises ValueError for one there is not."""
        if vendor not in self._vendors:
            raise ValueError(f"vendor={vendor!r}: choose one of {', '.join(self._vendors)}")
        choices = {condition.name: condition for condition in self.choices(vendor)}
        if name not in choices:
            raise ValueError(f"condition={name!r}: choose one of {', '.join(choices)}")
        with self._lock:
            self._switch(vendor, self.of(vendor).switches, back=True)
            self._switch(vendor, choices[name].switches, back=False)
            self._present[vendor] = choices[name]

    def forget(self) -> None:
        """Everybody is well. For use together with the vendors' own `reset`."""
        with self._lock:
            self._present.clear()

    def _switch(self, vendor: str, switches: Mapping[str, object], *, back: bool) -> None:
        """Set switches of a vendor, or set them back to what they are without being told."""
        if switches:
            app: Any = self._vendors[vendor]  # each vendor has switches of a type of its own
            friendly = type(app.switches)()
            told = {name: getattr(friendly, name) for name in switches} if back else switches
            app.switches = replace(app.switches, **told)


def wish_from_json(text: bytes) -> tuple[str, str]:
    """Vendor and condition as another process wants them; raises ValueError that says what is wrong."""
    content = json.loads(text or b"{}")
    vendor, condition = (
        (content.get("vendor"), content.get("condition")) if isinstance(content, dict) else (None, None)
    )
    if not (isinstance(vendor, str) and isinstance(condition, str)):
        raise ValueError('expected {"vendor": "mpulse", "condition": "503"}')
    return vendor, condition
