"""
mPulse's configuration answers: what a good one looks like, how it can go wrong, and the crumbs it gives out.

Written from contract sections 2 to 5 ("mPulse Beacon API (Version 2) Reference", techdocs "Get a beacon
configuration"). What the documents leave open (the form of a refusal) is marked as our choice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Literal, get_args

from otel_vendor_exporters.sandbox.exchange import Answer, Pairs, Request, shown
from otel_vendor_exporters.sandbox.inbox import Finding
from otel_vendor_exporters.sandbox.mpulse.beacons import WHOLE_NUMBER, Book, Crumb

MAX_CRUMBS = 10_000
HUGE_BYTES = 8_000_000
MAX_SLOW_SECONDS = 3_600
MAX_SKEW_SECONDS = 1_000_000_000
BOTS = ("curl", "wget", "python-requests", "python-urllib", "go-http-client", "bot", "spider", "crawl")

PLAIN_PATHS = ("/api/config.json", "/config.json", "/config", "/concerto/api/config.json")
SIGNED_PATHS = ("/api/v2/config.json", "/concerto/api/v2/config.json")
# Where the redirect switch points to: here, so that a client that follows it is seen and harms nobody.
REDIRECTED_PATH = "/redirected/config.json"

ConfigAnswer = Literal[
    "normal",
    "rate_limited",
    "status_420",
    "message",
    "server_error",
    "empty",
    "garbage",
    "html",
    "not_an_object",
    "redirect",
    "huge",
]


@dataclass(frozen=True, slots=True)
class Switches:
    """How the emulator misbehaves. The default is a friendly vendor."""

    answer: ConfigAnswer = "normal"
    refuse_bots: bool = False
    full_refresh: bool = False
    expire_crumbs: bool = False
    slow_seconds: float = 0.0
    clock_skew_seconds: float = 0.0
    max_age_seconds: int = 300

    def __post_init__(self) -> None:
        choices = get_args(ConfigAnswer)
        if self.answer not in choices:
            raise ValueError(f"answer={self.answer!r}: choose one of {', '.join(choices)}")
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name}={value} must be from {least} to {most}")


@dataclass(frozen=True, slots=True)
class ConfigRequest:
    """One request for a configuration under examination."""

    request: Request
    sent: Pairs
    book: Book
    rest_secret: str
    issued_urls: frozenset[str]
    refuse_bots: bool
    now: float
    signature_window_seconds: float

    @property
    def signed(self) -> bool:
        """Whether this is the signed form, which needs t and s in place of d."""
        return self.request.path in SIGNED_PATHS

    @property
    def refresh(self) -> bool:
        """Whether only a new crumb is asked for (`r=`)."""
        return "r" in self.sent.first

    def value(self, name: str) -> str:
        """A parameter's text; empty when it is absent."""
        return self.sent.first.get(name, "")


_BOUNDS = {
    "slow_seconds": (0, MAX_SLOW_SECONDS),
    "clock_skew_seconds": (-MAX_SKEW_SECONDS, MAX_SKEW_SECONDS),
}


class Crumbs:
    """The crumbs that were given out, bounded, oldest out. Any thread may call anything."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._issued: OrderedDict[str, Crumb] = OrderedDict()

    def issue(self, now: float, skew_seconds: float) -> Crumb:
        """A new pair, valid from now. The skew changes what h.t says, not how long the pair lives."""
        crumb = Crumb(int((now + skew_seconds) * 1000), secrets.token_hex(20), now)
        with self._lock:
            self._issued[crumb.token] = crumb
            if len(self._issued) > MAX_CRUMBS:
                self._issued.popitem(last=False)
        return crumb

    def find(self, token: str) -> Crumb | None:
        """The pair that was issued with this h.cr."""
        return self._issued.get(token)


def signature(rest_secret: str, key: str, t: str) -> str:
    """HMAC-SHA256 of `key=K&t=t`, lower hex (contract 2.1, from mpulse.js)."""
    return hmac.new(rest_secret.encode(), f"key={key}&t={t}".encode(), hashlib.sha256).hexdigest()


def is_bot(user_agent: str) -> bool:
    """Whether mPulse would take the client for a bot (our guess; the real list is not published)."""
    return not user_agent or any(bot in user_agent.lower() for bot in BOTS)


def crumb_fields(crumb: Crumb) -> dict[str, object]:
    """The whole answer to a refresh, and a part of every full answer."""
    return {"h.t": crumb.timestamp, "h.cr": crumb.token}


def full_fields(book: Book, crumb: Crumb, beacon_url: str) -> dict[str, object]:
    """A complete configuration, after the example of contract 3.3."""
    return {
        "h.key": book.key,
        "h.d": book.domain,
        **crumb_fields(crumb),
        "session_id": str(uuid.uuid4()),
        "site_domain": book.domain,
        "beacon_url": beacon_url,
        "beacon_interval": 5,
        "autorun": True,
        "BW": {"enabled": False},
        "RT": {"session_exp": 1800},
        "ResourceTiming": {"enabled": False},
        "Angular": {"enabled": False},
        "PageParams": book.definitions.as_wire(),
        "user_ip": "127.0.0.1",
    }


def json_answer(content: object, status: int = 200, max_age_seconds: int = 300) -> Answer:
    """JSON with the caching header mPulse sends (contract 3)."""
    caching = f"private, max-age={max_age_seconds}, stale-while-revalidate=60, stale-if-error=120"
    headers = (("Content-Type", "application/json"), ("Cache-Control", caching))
    return Answer(status, json.dumps(content).encode(), headers)


def _message(text: str, status: int = 200) -> Answer:
    return json_answer({"message": text}, status)


def bad_answer(kind: ConfigAnswer, fields: dict[str, object]) -> Answer:
    """One of the ways in which a configuration answer goes wrong, made from the good answer's fields."""
    if kind == "rate_limited":
        without_url = {name: value for name, value in fields.items() if name != "beacon_url"}
        return json_answer({**without_url, "rate_limited": True})
    if kind == "huge":
        return json_answer({**fields, "padding": "x" * HUGE_BYTES})
    return _FIXED_ANSWERS[kind]


WRONG_DOMAIN = _message("Domain is not a subdomain registered with this API Key")
_JSON = (("Content-Type", "application/json"),)
_LOGIN_PAGE = b"<html><body>Please log in to the Wi-Fi</body></html>"
_FIXED_ANSWERS: dict[ConfigAnswer, Answer] = {
    "status_420": Answer(420),
    "message": WRONG_DOMAIN,
    "server_error": Answer(503, b"Service Unavailable"),
    "empty": Answer(200),
    "garbage": Answer(200, b'{"h.key": \x00\xff', _JSON),
    "html": Answer(200, _LOGIN_PAGE, (("Content-Type", "text/html"),)),
    "not_an_object": json_answer(["h.key", "h.cr"]),
    "redirect": Answer(302, b"", (("Location", REDIRECTED_PATH),)),
}


def config_findings(asked: ConfigRequest) -> tuple[Finding, ...]:
    """Everything that is wrong with a request for a configuration."""
    return tuple(finding for check in _CHECKS for finding in check(asked))


def refusal(findings: tuple[Finding, ...]) -> Answer | None:
    """The answer to a request with findings; None when they do not stand in the way."""
    for finding in findings:
        if finding.code in _REFUSALS:
            return _REFUSALS[finding.code]
    return None


def _user_agent(asked: ConfigRequest) -> Iterator[Finding]:
    agent = asked.request.user_agent
    if not agent:
        yield Finding("missing:User-Agent", "warning", "mPulse's reference requires a User-Agent: send one.")
    if asked.refuse_bots and is_bot(agent):
        sentence = f"`{shown(agent)}` counts as a bot: set another, or tick Include Bot Beacons in mPulse."
        yield Finding("bot_user_agent", "error", sentence)


def _required(asked: ConfigRequest) -> Iterator[Finding]:
    for name in ("key", "t", "s") if asked.signed else ("key", "d"):
        if not asked.value(name):
            yield Finding(f"missing:{name}", "error", f"The query needs {name}, and it is missing or empty.")


def _key(asked: ConfigRequest) -> Iterator[Finding]:
    if asked.value("key") not in ("", asked.book.key):
        yield Finding("unknown_key", "error", f"key is not an app of this sandbox: use {asked.book.key}.")


def _domain(asked: ConfigRequest) -> Iterator[Finding]:
    domain = asked.value("d")
    if domain not in ("", asked.book.domain):
        sentence = f"d=`{shown(domain)}` is not registered with this key: use {asked.book.domain}."
        yield Finding("wrong_domain", "error", sentence)


def _signature(asked: ConfigRequest) -> Iterator[Finding]:
    t, s = asked.value("t"), asked.value("s")
    if not (asked.signed and t and s):
        return
    if not WHOLE_NUMBER.fullmatch(t):
        yield Finding(
            "bad_int:t", "error", f"t=`{shown(t)}` must be milliseconds since 1970, 1 to 18 digits."
        )
    elif abs(asked.now - int(t) / 1000) > asked.signature_window_seconds:
        yield Finding(
            "signature_time", "error", "t is too far from now: check the clock, and that it is in ms."
        )
    expected = signature(asked.rest_secret, asked.value("key"), t)
    if not hmac.compare_digest(expected.encode(), s.encode()):
        sentence = "s is not the HMAC-SHA256 of `key=K&t=T` with the REST API secret in lower hex."
        yield Finding("bad_signature", "error", sentence)


def _beacon_url(asked: ConfigRequest) -> Iterator[Finding]:
    url = asked.value("bcn")
    if url and url not in asked.issued_urls:
        sentence = f"bcn=`{shown(url)}` was never given out: send beacon_url back exactly as it came."
        yield Finding("unknown_bcn", "error", sentence)


def _encoding(asked: ConfigRequest) -> Iterator[Finding]:
    if not asked.sent.clean:
        yield Finding("bad_percent_encoding", "error", "The query is not percent-encoded UTF-8.")
    if len(asked.sent.first) != len(asked.sent.pairs):
        yield Finding("duplicate_param", "error", "A parameter of the query stands more than once.")


def _method(asked: ConfigRequest) -> Iterator[Finding]:
    if asked.request.method != "GET":
        yield Finding("bad_method", "error", "A configuration is asked for with GET.")


_CHECKS = (_method, _encoding, _user_agent, _required, _key, _domain, _signature, _beacon_url)
# Only the message of wrong_domain is documented (mPulse-iOS); status and form of the others are our choice.
_REFUSALS: dict[str, Answer] = {
    "bad_method": Answer(405, b"Method Not Allowed", (("Allow", "GET"),)),
    "missing:key": _message("key is required", 400),
    "missing:d": _message("d is required", 400),
    "missing:t": _message("t is required", 400),
    "missing:s": _message("s is required", 400),
    "unknown_key": Answer(404, b"Not found"),
    "wrong_domain": WRONG_DOMAIN,
    "bot_user_agent": Answer(403, b"Forbidden"),
    "bad_int:t": _message("Invalid signature", 403),
    "signature_time": _message("Invalid signature", 403),
    "bad_signature": _message("Invalid signature", 403),
}
