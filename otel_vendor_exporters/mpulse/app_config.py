"""
The mPulse app's configuration: asking for it, reading the answer, and knowing how long it holds.

Pure. Source: "mPulse Beacon API (Version 2) Reference" (config), techdocs "Get a beacon configuration", and
what the official clients do where those are silent.
Rule: an answer either becomes a complete AppConfig or a Problem; nothing half-read is ever used.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from otel_vendor_exporters.addresses import LOOPBACK_HOSTS
from otel_vendor_exporters.delivery.answers import MAX_BODY_BYTES
from otel_vendor_exporters.delivery.request import Reply, Request
from otel_vendor_exporters.mpulse.definitions import Definitions, read_definitions
from otel_vendor_exporters.mpulse.outside import one_line, text_of
from otel_vendor_exporters.mpulse.settings import (
    PLAIN_CONFIG_URL,
    SIGNED_CONFIG_URL,
    MPulseSettings,
)

CRUMB_LIFE_SECONDS = 600.0  # "Expires after 10 minutes": Beacon API reference, h.t
DEFAULT_SESSION_SECONDS = 1800.0
LONGEST_SESSION_SECONDS = 86_400.0  # mPulse's UI takes 1 to 60 minutes
MOST_SKEW_MS = 300_000
LONGEST_RETRY_SECONDS = 600.0
LONGEST_TEXT = 255  # of a domain or crumb; bounds of ours, so that what goes with every beacon leaves room
LONGEST_URL = 1000


@dataclass(frozen=True, slots=True)
class AppConfig:
    """One good answer. `crumb` and `crumb_unix_ms` belong together and come from one answer."""

    api_key: str
    domain: str
    beacon_url: str  # with scheme
    beacon_url_as_given: str  # what a refresh reports as bcn
    crumb: str = field(repr=False)
    crumb_unix_ms: int
    crumb_expires_at: float  # monotonic seconds
    definitions: Definitions
    session_seconds: float = DEFAULT_SESSION_SECONDS
    clock_offset_ms: int | None = None  # mPulse's wall clock less ours, where the answer told it
    warnings: tuple[str, ...] = ()

    def seconds_left(self, now: float) -> float:
        """How long the crumb is still accepted, by the monotonic time `now`."""
        return self.crumb_expires_at - now

    def seconds_left_by_wall(self, now_unix_ms: int) -> float:
        """The same by the wall clock, which goes on while the machine is suspended."""
        if self.clock_offset_ms is None:
            return math.inf
        return CRUMB_LIFE_SECONDS - (now_unix_ms + self.clock_offset_ms - self.crumb_unix_ms) / 1000

    def is_usable(self, now: float, now_unix_ms: int) -> bool:
        """Whether the crumb is still accepted, by both clocks."""
        return self.seconds_left(now) > 0 and self.seconds_left_by_wall(now_unix_ms) > 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no configuration. `stop`: nothing may be sent, however good the crumb still is."""

    words: str
    stop: bool = False
    retry_after_seconds: float | None = None


def config_request(settings: MPulseSettings, current: AppConfig | None, now_unix_ms: int) -> Request:
    """The request for a first configuration, or, when there is a current one, for its refresh."""
    pairs = [("key", settings.api_key)]
    if settings.rest_secret is not None:
        signature = sign(settings.rest_secret.reveal(), settings.api_key, now_unix_ms)
        pairs += [("t", str(now_unix_ms)), ("s", signature)]
    else:
        pairs += [("d", settings.domain or "")]
    if current is not None:
        pairs += [("r", ""), ("bcn", current.beacon_url_as_given)]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    headers = {"User-Agent": settings.user_agent, "Accept": "application/json", "Accept-Encoding": "gzip"}
    return Request("GET", f"{settings.resolved_config_url}?{query}", headers, repeatable=True)


def sign(secret: str, api_key: str, now_unix_ms: int) -> str:
    """The `s` of a signed configuration request, as mpulse.js 1.3.8 makes it."""
    message = f"key={api_key}&t={now_unix_ms}"
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def read_answer(
    reply: Reply,
    settings: MPulseSettings,
    current: AppConfig | None,
    *,
    asked_at: float,
    now_unix_ms: int,
) -> AppConfig | Problem:
    """
    The configuration in `reply`, merged into the current one where the answer is a refresh.

    `asked_at` is monotonic seconds. A refresh may hold only h.t and h.cr (mPulse's own test server): the
    definitions, beacon URL and everything else then stay.
    """
    answer = _json_object(reply, settings)
    if isinstance(answer, Problem):
        return answer
    if answer.get("rate_limited") not in (None, False):  # "only if `rate_limited` exists": mpulse.js, PR 29
        return Problem("mPulse limits the rate of this app", stop=True)
    crumb = _crumb(answer)
    beacon_url = answer.get("beacon_url") or (current.beacon_url_as_given if current else None)
    domain = _short(answer, "h.d") or (current.domain if current else None)
    if crumb is None or beacon_url is None or domain is None or not (current or _short(answer, "h.key")):
        return _incomplete(answer, current, settings)
    address = _beacon_address(beacon_url, settings)
    if isinstance(address, Problem):
        return address
    vendor_unix_ms = _vendor_unix_ms(reply)
    age_seconds = 0.0 if vendor_unix_ms is None else max((vendor_unix_ms - crumb[1]) / 1000, 0.0)
    if age_seconds >= CRUMB_LIFE_SECONDS:
        age = f"{age_seconds / 60:.0f} minutes"
        return Problem(f"the crumb is {age} old already: a cache between here and mPulse?")
    sends_undefined = settings.undefined == "send"
    config = AppConfig(
        api_key=settings.api_key,
        domain=domain,
        beacon_url=address,
        beacon_url_as_given=str(beacon_url),
        crumb=crumb[0],
        crumb_unix_ms=crumb[1],
        crumb_expires_at=asked_at + CRUMB_LIFE_SECONDS - age_seconds,
        definitions=current.definitions if current else Definitions(sends_undefined=sends_undefined),
        session_seconds=_session_seconds(answer, current),
        clock_offset_ms=None if vendor_unix_ms is None else vendor_unix_ms - now_unix_ms,
    )
    warnings = [*_doubts(answer, settings, vendor_unix_ms, now_unix_ms)]
    page_params = answer.get("PageParams")
    if isinstance(page_params, Mapping):
        definitions, doubts = read_definitions(page_params)
        definitions = replace(definitions, sends_undefined=sends_undefined)
        config = replace(config, definitions=_same_or_new(config.definitions, definitions))
        warnings += doubts
    return replace(config, warnings=tuple(warnings))


def retry_seconds(failures: int, first_seconds: float, chance: float) -> float:
    """The wait after so many failed requests in a row: doubling to 10 min, a fifth of jitter."""
    ceiling = min(first_seconds * 2.0 ** min(failures - 1, 30), max(LONGEST_RETRY_SECONDS, first_seconds))
    return ceiling * (0.9 + 0.2 * chance)


def _json_object(reply: Reply, settings: MPulseSettings) -> Mapping[str, object] | Problem:
    if reply.failure is not None:
        return Problem(f"no answer to the configuration request ({reply.words or reply.failure.value})")
    if reply.status == 420:
        return Problem("mPulse limits the rate of this app (HTTP 420)", stop=True)
    if reply.truncated:
        too_long = len(reply.body) >= MAX_BODY_BYTES
        cause = "is longer than this library reads" if too_long else "took too long, or broke off"
        return Problem(f"the configuration {cause}")
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        answer = None
    message = text_of(answer, "message") if isinstance(answer, Mapping) else None
    if message is not None and (reply.status != 200 or not answer.get("beacon_url")):
        return Problem(f"mPulse says: {one_line(message)}: {_to_check(settings)}", stop=True)
    if reply.status != 200:
        wrong = 400 <= reply.status < 500
        hint = f": {_to_check(settings, 'config_url', 'user_agent')}" if wrong else ""
        return Problem(f"the configuration request was answered HTTP {reply.status}{hint}")
    if not isinstance(answer, Mapping):
        return Problem("the answer to the configuration request is not a JSON object: check config_url")
    return answer


def _to_check(settings: MPulseSettings, *others: str) -> str:
    """What to look at: the settings by which mPulse knows the app, and these others."""
    *names, last = "api_key", "domain" if settings.rest_secret is None else "rest_secret", *others
    words = f"check {', '.join(names)} and {last}"
    path, plain, signed = (
        urlsplit(url).path for url in (settings.resolved_config_url, PLAIN_CONFIG_URL, SIGNED_CONFIG_URL)
    )
    if settings.rest_secret is not None and path == plain:
        words += f" (rest_secret needs the config_url of signed requests, …{signed})"
    return words


def _incomplete(answer: Mapping[str, object], current: AppConfig | None, settings: MPulseSettings) -> Problem:
    """What the answer lacks, or has in a shape that cannot be used; of a refresh only the crumb is needed."""
    there: dict[str, object] = {}
    if current is None:
        there = {name: _short(answer, name) for name in ("h.key", "h.d")}
        there["beacon_url"] = answer.get("beacon_url")
    there |= {"h.t": _moment(answer), "h.cr": _short(answer, "h.cr")}
    missing = ", ".join(name for name, value in there.items() if not value)
    return Problem(f"the configuration lacks {missing}: {_to_check(settings)}")


def _crumb(answer: Mapping[str, object]) -> tuple[str, int] | None:
    crumb, moment = _short(answer, "h.cr"), _moment(answer)
    return None if crumb is None or moment is None else (crumb, moment)


def _moment(answer: Mapping[str, object]) -> int | None:
    """h.t, in ms since the epoch; also where it comes as text."""
    moment = answer.get("h.t")
    if isinstance(moment, str) and moment.isascii() and moment.isdigit():
        moment = int(moment[:18])
    usable = isinstance(moment, (int, float)) and not isinstance(moment, bool) and 0 < moment < 1e15
    return int(moment) or None if usable else None  # type: ignore[call-overload]  # a number, then


def _beacon_address(beacon_url: object, settings: MPulseSettings) -> str | Problem:
    """The beacon URL with its scheme: https, or plain http where the sandbox on this machine says so."""
    refused = Problem("the configuration names a beacon_url that is no https URL: nothing is sent there")
    if not isinstance(beacon_url, str) or not beacon_url.isascii() or not beacon_url.isprintable():
        return refused
    if len(beacon_url) > LONGEST_URL:
        return refused
    try:
        host = urlsplit(beacon_url).hostname
        if beacon_url.startswith("//"):
            scheme = "http:" if settings.loopback and host in LOOPBACK_HOSTS else "https:"
            beacon_url = scheme + beacon_url
        parts = urlsplit(beacon_url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        return refused
    plain_is_right = settings.loopback and host in LOOPBACK_HOSTS
    secure = parts.scheme == "https" or (parts.scheme == "http" and plain_is_right)
    odd = "@" in parts.netloc or any(one in beacon_url for one in " \\#")
    if not (secure and host and port_is_right) or odd:
        return refused
    return beacon_url if parts.path else parts._replace(path="/").geturl()


def _vendor_unix_ms(reply: Reply) -> int | None:
    """The time at mPulse when the answer came, if it tells: Date, and Age if a cache kept it (RFC 9111)."""
    try:
        date = parsedate_to_datetime(reply.headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    age = reply.headers.get("age", "")
    age_seconds = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
    return int((date.timestamp() + age_seconds) * 1000)


def _session_seconds(answer: Mapping[str, object], current: AppConfig | None) -> float:
    plugin = answer.get("RT")
    value = plugin.get("session_exp") if isinstance(plugin, Mapping) else None
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 < value <= LONGEST_SESSION_SECONDS
    ):
        return float(value)
    return current.session_seconds if current else DEFAULT_SESSION_SECONDS


def _doubts(
    answer: Mapping[str, object], settings: MPulseSettings, vendor_unix_ms: int | None, now_unix_ms: int
) -> Iterator[str]:
    key, domain = text_of(answer, "h.key"), text_of(answer, "h.d")
    if key is not None and key != settings.api_key:
        yield "the configuration is for another API key than api_key"
    expected = settings.domain_in_lower_case
    if domain is not None and expected and domain.casefold() != expected:
        yield f"the configuration is for the domain {one_line(domain)}, not {settings.domain}"
    if vendor_unix_ms is not None and abs(vendor_unix_ms - now_unix_ms) > MOST_SKEW_MS:
        minutes = abs(vendor_unix_ms - now_unix_ms) // 60_000
        yield f"this machine's clock and mPulse's are {minutes} minutes apart"


def _same_or_new(old: Definitions, new: Definitions) -> Definitions:
    """The old object when nothing changed, so that what was derived from it holds on."""
    return old if old == new else new


def _short(source: Mapping[str, object], name: str) -> str | None:
    value = text_of(source, name)
    return value if value is not None and len(value) <= LONGEST_TEXT else None
