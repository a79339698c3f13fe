"""
What makes mPulse throw a whole beacon away: one small function per reason, in one table.

Pure. The codes are those of section 11 of the contract; five are ours, for what its prose describes:
`bad_percent_encoding`, `too_many_params`, `bad_method`, `body_too_large`, `http_initiator_value`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from otel_vendor_exporters.sandbox.exchange import Request, shown
from otel_vendor_exporters.sandbox.inbox import Finding
from otel_vendor_exporters.sandbox.mpulse.beacons import WHOLE_NUMBER, Arrival

CRUMB_LIFE_SECONDS = 600
MAX_URL_LENGTH = 2_000
FORM = "application/x-www-form-urlencoded"
REQUIRED = ("h.key", "h.d", "h.cr", "h.t", "rt.start", "rt.end")
INTEGERS = ("h.t", "rt.end", "rt.tstart", "rt.sl", "rt.tt", "rt.obo", "t_done")
API_VERSIONS = ("1", "2")
RT_STARTS = ("manual", "api")
INITIATORS = ("", "api", "api_custom_timer", "api_custom_metric")
# Milliseconds since 1970 have 13 digits since 2001. mpulse.js sends ms since its own load, in a browser with
# a fraction (performance.now), and has to pass.
EPOCH_MS = range(10**12, 10**13)
_ANY_MS = re.compile(r"[0-9]{1,18}(\.[0-9]{1,30})?")

_Check = Callable[[Arrival], Iterator[Finding]]


def whole_beacon_findings(arrival: Arrival) -> list[Finding]:
    """Every finding about the beacon as a whole. A body that cannot be read at all is told alone."""
    findings = _told_by(WIRE_CHECKS, arrival)
    if not unreadable(findings):
        findings += _told_by(PARAMETER_CHECKS, arrival)
    return findings


def unreadable(findings: list[Finding]) -> bool:
    """Whether there are no pairs to speak of."""
    return any(finding.code in ("post_json", "body_too_large") for finding in findings)


def holds_json(request: Request) -> bool:
    """Whether the body is JSON, by its type or by its look: `curl -d` calls everything a form."""
    body = request.body
    return bool(body) and ("json" in request.content_type or body.lstrip()[:1] in (b"{", b"["))


def _told_by(checks: tuple[_Check, ...], arrival: Arrival) -> list[Finding]:
    return [finding for check in checks for finding in check(arrival)]


def _error(code: str, sentence: str) -> Finding:
    return Finding(code, "error", sentence)


def _warning(code: str, sentence: str) -> Finding:
    return Finding(code, "warning", sentence)


def _method(arrival: Arrival) -> Iterator[Finding]:
    if arrival.request.method not in ("GET", "POST"):
        yield _error("bad_method", f"{shown(arrival.request.method)} carries no beacon: use GET or POST.")


def _body_size(arrival: Arrival) -> Iterator[Finding]:
    if arrival.request.body_too_large:
        yield _error("body_too_large", "The body is over 1 MB and was not read: a beacon is at most some kB.")


def _content_type(arrival: Arrival) -> Iterator[Finding]:
    request = arrival.request
    if holds_json(request):
        yield _error("post_json", f"mPulse does not read JSON: send the pairs as {FORM}.")
    elif request.body and request.content_type != FORM:
        yield _error("wrong_content_type", f"A body needs Content-Type: {FORM}.")


def _query_and_body(arrival: Arrival) -> Iterator[Finding]:
    if arrival.request.query and arrival.request.body:
        yield _error("both_query_and_body", "Pairs stand in the query and in the body: use one of them.")


def _url_length(arrival: Arrival) -> Iterator[Finding]:
    length = arrival.request.url_length
    if length > MAX_URL_LENGTH:
        sentence = f"The URL has {length} characters: above {MAX_URL_LENGTH} send the pairs as a POST form."
        yield _error("url_too_long", sentence)


def _encoding(arrival: Arrival) -> Iterator[Finding]:
    if not arrival.sent.clean:
        sentence = "A name or value is not percent-encoded UTF-8: encode both as encodeURIComponent does."
        yield _error("bad_percent_encoding", sentence)


def _count(arrival: Arrival) -> Iterator[Finding]:
    if not arrival.sent.complete:
        yield _error("too_many_params", "More than 1000 parameters in one beacon: the rest was not read.")


def _duplicates(arrival: Arrival) -> Iterator[Finding]:
    if len(arrival.sent.first) == len(arrival.sent.pairs):
        return
    repeated = [name for name, n in Counter(name for name, _ in arrival.sent.pairs).items() if n > 1]
    names = shown(", ".join(repeated))
    yield _error("duplicate_param", f"`{names}` stands more than once: which one counts is not defined.")


def _api(arrival: Arrival) -> Iterator[Finding]:
    if arrival.value("api") != "1":
        yield _error("no_api", "api=1 is missing, so mPulse takes this for a page view: always send it.")


def _api_version(arrival: Arrival) -> Iterator[Finding]:
    version = arrival.value("api.v")
    if not version:
        yield _warning("missing:api.v", "api.v is missing: send api.v=1, as the API reference asks.")
    elif version not in API_VERSIONS:
        yield _error("bad_api_version", f"api.v=`{shown(version)}` does not exist: send 1 (or 2).")


def _required(arrival: Arrival) -> Iterator[Finding]:
    for name in REQUIRED:
        if not arrival.value(name):
            yield _error(f"missing:{name}", f"{name} is required in every beacon and is missing or empty.")


def _integers(arrival: Arrival) -> Iterator[Finding]:
    for name in INTEGERS:
        text = arrival.value(name)
        if text and not WHOLE_NUMBER.fullmatch(text):
            yield _not_whole(name, text)


def _not_whole(name: str, text: str) -> Finding:
    return _error(f"bad_int:{name}", f"{name}=`{shown(text)}` must be a whole number, 1 to 18 digits.")


def _key(arrival: Arrival) -> Iterator[Finding]:
    key = arrival.value("h.key")
    if key and key != arrival.book.key:
        yield _error("unknown_key", "h.key is not this app's API key: take it from the configuration answer.")


def _domain(arrival: Arrival) -> Iterator[Finding]:
    domain = arrival.value("h.d")
    if domain and domain != arrival.book.domain:
        sentence = f"h.d=`{shown(domain)}` is not this app's domain: take it from the configuration answer."
        yield _error("wrong_domain", sentence)


def _crumb(arrival: Arrival) -> Iterator[Finding]:
    if not arrival.value("h.cr"):
        return
    crumb = arrival.crumb
    if crumb is None:
        yield _error("unknown_crumb", "h.cr was never given out here: use the one of the last configuration.")
        return
    if arrival.value("h.t") not in ("", str(crumb.timestamp)):
        yield _error("crumb_mismatch", "h.t and h.cr come from different answers: replace them together.")
    age = arrival.now - crumb.issued_at
    if age > CRUMB_LIFE_SECONDS:
        sentence = (
            f"The crumb is {age:.0f} s old and lives {CRUMB_LIFE_SECONDS} s: refresh it every 5 minutes."
        )
        yield _error("crumb_expired", sentence)


def _start(arrival: Arrival) -> Iterator[Finding]:
    start = arrival.value("rt.start")
    if start and start not in RT_STARTS:
        sentence = f"rt.start=`{shown(start)}` is for browsers: beacons of the API send rt.start=manual."
        yield _error("rt_start_value", sentence)


def _initiator(arrival: Arrival) -> Iterator[Finding]:
    initiator = arrival.value("http.initiator")
    if initiator not in INITIATORS:
        sentence = (
            f"http.initiator=`{shown(initiator)}` is for browsers: "
            "send api_custom_timer or api_custom_metric."
        )
        yield _warning("http_initiator_value", sentence)


def _end_time(arrival: Arrival) -> Iterator[Finding]:
    text = arrival.value("rt.end")
    if not WHOLE_NUMBER.fullmatch(text):
        return
    age = arrival.now - int(text) / 1000
    if age < -arrival.book.future_seconds:
        sentence = (
            f"rt.end is {-age:.0f} s in the future: it is milliseconds since 1970; check unit and clock."
        )
        yield _error("rt_end_future", sentence)
    elif age > arrival.book.oldest_seconds:
        sentence = f"rt.end is {age:.0f} s ago: drop what waited too long; it is milliseconds, not seconds."
        yield _error("rt_end_old", sentence)


def _session_start(arrival: Arrival) -> Iterator[Finding]:
    text = arrival.value("rt.ss")
    if not text or (WHOLE_NUMBER.fullmatch(text) and int(text) in EPOCH_MS):
        return
    if _ANY_MS.fullmatch(text):
        yield _warning("rt_ss_not_epoch", f"rt.ss={text} is not milliseconds since 1970.")
    else:
        yield _not_whole("rt.ss", text)


def _no_data(arrival: Arrival) -> Iterator[Finding]:
    """A page load time (t_done) is data too: official server-side senders put it on API beacons."""
    names = arrival.sent.first
    known = arrival.book.metrics
    if "t_other" in names or "t_done" in names:
        return
    if not any(name in known or name.startswith("cmet.") for name in names):
        yield _error("no_data", "There is neither a timer (t_other) nor a metric (cmet.*): nothing to count.")


WIRE_CHECKS: tuple[_Check, ...] = (
    _method,
    _body_size,
    _content_type,
    _query_and_body,
    _url_length,
    _encoding,
    _count,
    _duplicates,
)
PARAMETER_CHECKS: tuple[_Check, ...] = (
    _api,
    _api_version,
    _required,
    _integers,
    _key,
    _domain,
    _crumb,
    _start,
    _initiator,
    _end_time,
    _session_start,
    _no_data,
)
