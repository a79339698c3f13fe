"""
The mPulse beacon: its values and its exact bytes.

Pure. Source: "mPulse Beacon API (Version 2) Reference" and "Send a beacon". Parameters are encoded as the
browser does (encodeURIComponent); h.d, h.key and h.t come first and h.cr last, so that a cut URL shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache, reduce
from urllib.parse import quote as _percent_encoded

from otel_vendor_exporters.delivery.request import Request
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mpulse.units import Session

MOST_MILLISECONDS = 2_147_483_647  # the native SDKs' beacons hold an int32
TOO_MANY_MILLISECONDS = MOST_MILLISECONDS + 0.5  # would be rounded to more
MOST_DIGITS = 30  # of a metric, before the point and behind it: a bound of ours, where mPulse tells none
NO_NUMBER = 10**MOST_DIGITS  # the first with more
FORM = "application/x-www-form-urlencoded"
_EXACT = Context(prec=400)  # more digits than a float or any sensible integer has
_CENT = Decimal("0.01")
_LEAST = Decimal(1).scaleb(-MOST_DIGITS)
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Beacon:
    """
    What one beacon reports. Labels, not names; every label once.

    `timers` are (label, whole milliseconds), `metrics` (label, number as text), `dimensions`
    (label, value). `end_unix_ms` is when it happened.
    """

    end_unix_ms: int
    timers: tuple[tuple[str, int], ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()
    page_group: str | None = None
    ab_test: str | None = None
    session: Session | None = None
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is the same for every beacon while a configuration holds: address, credentials, conventions."""

    beacon_url: str
    api_key: str
    domain: str
    crumb: str = field(repr=False)
    crumb_unix_ms: int
    user_agent: str
    api_version: int = 1
    rt_start: str = "manual"
    http_initiator: bool = True
    method: str = "auto"
    max_url_length: int = 2000
    start: str = field(init=False, repr=False, default="")
    end: str = field(init=False, repr=False, default="")
    url_start: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        """Encode once what goes into every beacon."""
        start = (
            f"h.d={quoted(self.domain)}&h.key={quoted(self.api_key)}&h.t={self.crumb_unix_ms}"
            f"&api=1&api.v={self.api_version}&rt.start={self.rt_start}"
        )
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", f"&h.cr={quoted(self.crumb)}")
        url_start = self.beacon_url + ("&" if "?" in self.beacon_url else "?")
        object.__setattr__(self, "url_start", url_start)


def encoded(beacon: Beacon, envelope: Envelope) -> str:
    """The beacon as a query string or form body; ASCII."""
    parts = [envelope.start, f"&rt.end={beacon.end_unix_ms}&rt.tstart={beacon.end_unix_ms}"]
    if envelope.http_initiator:
        parts.append(f"&http.initiator=api_custom_{'timer' if beacon.timers else 'metric'}")
    parts.append(context_text(beacon.page_group, beacon.ab_test, beacon.session, beacon.dimensions))
    parts.extend([f"&{quoted(label)}={text}" for label, text in beacon.metrics])
    if beacon.timers:
        parts.append("&t_other=")
        parts.append("%2C".join([f"{quoted(label)}%7C{value}" for label, value in beacon.timers]))
    parts.append(envelope.end)
    return "".join(parts)


def beacon_request(beacon: Beacon, envelope: Envelope) -> Request:
    """GET while the URL is short enough, else POST of the same pairs; unless the method is fixed."""
    text = encoded(beacon, envelope)
    as_get = envelope.method == "get" or (
        envelope.method == "auto" and len(envelope.url_start) + len(text) <= envelope.max_url_length
    )
    if as_get:
        return Request("GET", envelope.url_start + text, _headers(envelope.user_agent, form=False))
    return Request("POST", envelope.beacon_url, _headers(envelope.user_agent, form=True), text.encode())


@lru_cache(maxsize=2048)
def context_text(
    page_group: str | None,
    ab_test: str | None,
    session: Session | None,
    dimensions: Iterable[tuple[str, str]],
) -> str:
    """The parameters of a beacon's context, encoded, each with its `&`."""
    pairs: list[tuple[str, str]] = []
    if session is not None:
        pairs += [
            ("rt.si", session.id),
            ("rt.ss", str(session.start_unix_ms)),
            ("rt.sl", str(session.length)),
        ]
    if page_group is not None:
        pairs.append(("h.pg", page_group))
    if ab_test is not None:
        pairs.append(("h.ab", ab_test))
    pairs.extend(dimensions)
    return "".join(f"&{quoted(name)}={quoted(value)}" for name, value in pairs)


@lru_cache(maxsize=8192)
def quoted(text: str) -> str:
    """`text` as encodeURIComponent writes it; a lone surrogate becomes a question mark."""
    return _percent_encoded(text, safe="!*'()~", encoding="utf-8", errors="replace")


def timer_milliseconds(milliseconds: float) -> int:
    """A timer's value for the wire: rounded half up, as mpulse.js does. Raises EncodingError."""
    if not _is_number(milliseconds) or not 0 <= milliseconds < TOO_MANY_MILLISECONDS:  # NaN fails here, too
        raise EncodingError(f"a timer takes 0 to {MOST_MILLISECONDS} milliseconds", field="milliseconds")
    return int(milliseconds + 0.5)


def metric_text(value: float, data_type: str = "Number") -> str:
    """
    A metric's number as text: never an exponent, no `.0`; Currency always with two decimals.

    For Currency a number without a point would be read as cents (techdocs, "Send custom data with mPulse").
    """
    number = exact(value)
    if data_type == "Currency":
        return money_text(cents(number))
    return _plain(number.quantize(_LEAST, ROUND_HALF_UP, _EXACT))


def number_text(value: float) -> str:
    """Any finite number as text: never an exponent, no `.0`."""
    return _plain(_decimal(value))


def exact(value: float) -> Decimal:
    """A metric's number as its digits say it. Raises EncodingError for what no beacon can carry."""
    if not _is_number(value) or not abs(value) < NO_NUMBER:  # NaN fails here, too
        raise EncodingError(f"a metric takes a finite number of at most {MOST_DIGITS} digits", field="value")
    return _decimal(value)


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The sum, to the last digit."""
    return reduce(_EXACT.add, numbers)


def cents(amount: Decimal) -> Decimal:
    """An amount of money rounded to two decimals, half up."""
    return amount.quantize(_CENT, ROUND_HALF_UP, _EXACT)


def money_text(amount: Decimal) -> str:
    """What `cents` gave, as text."""
    return _without_minus_zero(format(amount, "f"))


def browser_session_id(session_id: str, start_unix_ms: int) -> str:
    """The rt.si that mPulse's browser agent makes of its session id and start."""
    seconds, digits = int(start_unix_ms / 1000 + 0.5), ""
    while seconds:
        seconds, digit = divmod(seconds, 36)
        digits = _BASE_36[digit] + digits
    return f"{session_id}-{digits or '0'}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _decimal(value: float) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(repr(float(value)))


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return _without_minus_zero(text)


def _without_minus_zero(text: str) -> str:
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


@lru_cache(maxsize=16)
def _headers(user_agent: str, *, form: bool) -> Mapping[str, str]:
    headers = {"User-Agent": user_agent}
    return {**headers, "Content-Type": FORM} if form else headers
