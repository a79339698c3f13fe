"""
mPulse as its documents describe it: gives out configurations, answers 204 to every beacon, keeps the truth.

Knows no sockets: a request comes in as a value, an answer and a journal record go out. Written from
contract/mpulse.md (section 11) and from nothing else of this package, so it cannot repeat our mistakes.
"""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock

from otel_vendor_exporters.sandbox.exchange import Answer, Pairs, Request, pairs_from
from otel_vendor_exporters.sandbox.inbox import Finding, Record
from otel_vendor_exporters.sandbox.mpulse.app_file import app_from_file
from otel_vendor_exporters.sandbox.mpulse.beacons import (
    Arrival,
    Beacon,
    Book,
    Reading,
    Undefined,
    read_items,
)
from otel_vendor_exporters.sandbox.mpulse.checks import (
    CRUMB_LIFE_SECONDS,
    holds_json,
    unreadable,
    whole_beacon_findings,
)
from otel_vendor_exporters.sandbox.mpulse.config import (
    PLAIN_PATHS,
    REDIRECTED_PATH,
    SIGNED_PATHS,
    ConfigRequest,
    Crumbs,
    Switches,
    bad_answer,
    config_findings,
    crumb_fields,
    full_fields,
    is_bot,
    json_answer,
    refusal,
)
from otel_vendor_exporters.sandbox.mpulse.definitions import (
    DEFAULT_DOMAIN,
    DEFAULT_KEY,
    Definitions,
    Learned,
    defaults,
    defined,
)

FIRST_BEACON_ID = 0x17DE4C15
MAX_UNDEFINED = 1_000
MAX_UNLISTED = 100_000
MAX_BEACON_URLS = 1_000
_BEACON_PATH = re.compile(r"/[0-9a-f]{8}/?")
_BATCH_PATH = re.compile(r"/[0-9a-f]{8}/batch/?")
_NO_CONTENT = Answer(204)


class MPulseApp:
    """
    One mPulse app. Any thread may call anything.

    Change how it behaves while it runs: `app.switches = Switches(answer="rate_limited")`,
    `app.define(timers=("Checkout",))`, `app.remove("Checkout")`, `app.change_beacon_url()`.
    """

    name = "mpulse"
    kinds: tuple[str, ...] = ("config", "beacon")

    def __init__(
        self,
        timers: Iterable[str] | None = None,
        metrics: Mapping[str, str] | Iterable[str] | None = None,
        dimensions: Iterable[str] | None = None,
        *,
        key: str = DEFAULT_KEY,
        domain: str = DEFAULT_DOMAIN,
        rest_secret: str = "V5PD3-63D9W-TP9FP-F7V9T-5VP72",  # noqa: S107 - the sample of mpulse.js, opens nothing
        learn: bool = False,
        oldest_seconds: float = 900.0,
        future_seconds: float = 2.0,
        signature_window_seconds: float = 300.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        untold = timers is None and metrics is None and dimensions is None
        definitions = defaults() if untold else defined(timers or (), metrics or {}, dimensions or ())
        self.switches = Switches()
        self._book = Book(key, domain, definitions, learn, oldest_seconds, future_seconds)
        self._rest_secret = rest_secret
        self._signature_window_seconds = signature_window_seconds
        self._now = now
        self._crumbs = Crumbs()
        self._lock = Lock()
        self._undefined: dict[Undefined, int] = {}
        self._unlisted: set[int] = set()
        self._beacon_ids = [f"{FIRST_BEACON_ID:08x}"]
        self._changed_since_start = False

    @classmethod
    def from_file(
        cls, path: str | Path, *, learn: bool = False, now: Callable[[], float] = time.time
    ) -> MPulseApp:
        """An app from a JSON file: our short form, or a configuration answer saved from the real mPulse."""
        content = app_from_file(path)
        app = cls(key=content.key, domain=content.domain, learn=learn, now=now)
        app._book = replace(app._book, definitions=content.definitions)
        return app

    @property
    def key(self) -> str:
        """The API key clients must use."""
        return self._book.key

    @property
    def domain(self) -> str:
        """The app domain clients must use."""
        return self._book.domain

    @property
    def rest_secret(self) -> str:
        """The secret of the signed configuration request; made up, opens nothing."""
        return self._rest_secret

    @property
    def undefined(self) -> tuple[str, ...]:
        """Labels that arrived and are not defined, in the order first seen."""
        with self._lock:
            return tuple(undefined.label for undefined in self._undefined)

    @property
    def learned(self) -> Learned:
        """The names behind those labels, ready to be typed into mPulse."""
        with self._lock:
            undefined = tuple(self._undefined)
        kinds = ("timer", "metric", "dimension")
        return Learned(*(tuple(one.name for one in undefined if one.kind == kind) for kind in kinds))

    @property
    def unlisted(self) -> int:
        """How many more labels arrived than `undefined` and `learned` list, up to a hundred thousand."""
        with self._lock:
            return len(self._unlisted)

    @property
    def definitions(self) -> Definitions:
        """What the app has defined at present."""
        return self._book.definitions

    @property
    def learns(self) -> bool:
        """Whether labels without definition are taken."""
        return self._book.learn

    def define(
        self,
        timers: Iterable[str] = (),
        metrics: Mapping[str, str] | Iterable[str] = (),
        dimensions: Iterable[str] = (),
    ) -> None:
        """Replace all definitions; clients learn of it with their next refresh."""
        definitions = defined(timers, metrics, dimensions)
        with self._lock:
            self._book = replace(self._book, definitions=definitions)
            self._changed_since_start = True

    def add(
        self,
        timers: Iterable[str] = (),
        metrics: Mapping[str, str] | Iterable[str] = (),
        dimensions: Iterable[str] = (),
    ) -> None:
        """Define more; clients learn of it with their next refresh."""
        more = defined(timers, metrics, dimensions)
        with self._lock:
            self._book = replace(self._book, definitions=self._book.definitions.plus(more))
            self._changed_since_start = True

    def remove(self, name: str) -> None:
        """Remove one definition, as somebody may do in mPulse at any time."""
        with self._lock:
            self._book = replace(self._book, definitions=self._book.definitions.without(name))
            self._changed_since_start = True

    def change_beacon_url(self) -> str:
        """Move to another collector; returns its path. The old one goes on answering."""
        with self._lock:
            beacon_id = f"{int(self._beacon_ids[-1], 16) + 1:08x}"
            self._beacon_ids = [*self._beacon_ids, beacon_id][-MAX_BEACON_URLS:]
            self._changed_since_start = True
        return f"/{beacon_id}/"

    def reset(self) -> None:
        """Friendly answers again. Crumbs, collectors and definitions stay, since clients hold them."""
        self.switches = Switches()
        with self._lock:
            self._undefined.clear()
            self._unlisted.clear()

    def kind_of(self, request: Request) -> str | None:
        """`config`, `beacon`, or None for what is not mPulse's."""
        path = request.path
        if path in PLAIN_PATHS or path in SIGNED_PATHS or path == REDIRECTED_PATH:
            return "config"
        if _BEACON_PATH.fullmatch(path) or _BATCH_PATH.fullmatch(path):
            return "beacon"
        return None

    def answer(self, request: Request) -> tuple[Answer, Record]:
        """What mPulse answers, and what it would have done."""
        if self.kind_of(request) == "config":
            return self._answer_config(request)
        if _BATCH_PATH.fullmatch(request.path):
            return _NO_CONTENT, self._batch_record(request)
        return _NO_CONTENT, self._beacon_record(request)

    def summary(self, records: Iterable[Record]) -> dict[str, object]:
        """Timers, metric totals and undefined labels, for received.json."""
        timers: dict[str, list[int]] = defaultdict(list)
        metrics: dict[str, list[float]] = defaultdict(list)
        for beacon in (record for record in records if isinstance(record, Beacon)):
            for timer in beacon.timers:
                timers[timer.name].append(timer.milliseconds)
            for metric in beacon.metrics:
                metrics[metric.name].append(metric.amount)
        return {
            "timers": {name: {"count": len(ms), "total_ms": sum(ms)} for name, ms in timers.items()},
            "metrics": {name: math.fsum(amounts) for name, amounts in metrics.items()},
            "undefined": list(self.undefined),
            "unlisted": self.unlisted,
        }

    def _answer_config(self, request: Request) -> tuple[Answer, Record]:
        switches = self.switches
        asked = self._config_request(request, switches)
        if request.path == REDIRECTED_PATH:
            sentence = "The redirect was followed: do not carry credentials to another address."
            findings: tuple[Finding, ...] = (Finding("followed_redirect", "error", sentence),)
            answer = Answer(404, b"Not found")
        else:
            findings = config_findings(asked)
            answer = refusal(findings) or self._config_answer(asked, switches)
        record = Record(
            vendor=self.name,
            kind="config",
            method=request.method,
            path=request.path,
            arrived_unix_ms=int(asked.now * 1000),
            status=answer.status,
            pairs=asked.sent.pairs,
            findings=findings,
        )
        return replace(answer, delay_seconds=switches.slow_seconds), record

    def _config_request(self, request: Request, switches: Switches) -> ConfigRequest:
        return ConfigRequest(
            request=request,
            sent=pairs_from(request.query),
            book=self._book,
            rest_secret=self._rest_secret,
            issued_urls=frozenset(f"//{request.authority}/{id_}/" for id_ in self._beacon_ids),
            refuse_bots=switches.refuse_bots,
            now=self._now(),
            signature_window_seconds=self._signature_window_seconds,
        )

    def _config_answer(self, asked: ConfigRequest, switches: Switches) -> Answer:
        crumb = self._crumbs.issue(asked.now, switches.clock_skew_seconds)
        beacon_url = f"//{asked.request.authority}/{self._beacon_ids[-1]}/"
        full = not asked.refresh or switches.full_refresh or self._changed_since_start
        fields = full_fields(asked.book, crumb, beacon_url) if full else crumb_fields(crumb)
        if switches.answer != "normal":
            return bad_answer(switches.answer, fields)
        answer = json_answer(fields, max_age_seconds=switches.max_age_seconds)
        if "acao" in asked.sent.first:
            return replace(answer, headers=(*answer.headers, ("Access-Control-Allow-Origin", "*")))
        return answer

    def _beacon_record(self, request: Request) -> Beacon:
        arrival = self._arrival(request)
        whole = whole_beacon_findings(arrival) + self._collector_findings(request)
        items = Reading() if unreadable(whole) else read_items(arrival)
        self._note_undefined(items.undefined)
        lost = any(finding.severity == "error" for finding in whole)
        kept = Reading() if lost else items
        sent = arrival.sent
        return Beacon(
            vendor=self.name,
            kind="beacon",
            method=request.method,
            path=request.path,
            arrived_unix_ms=int(arrival.now * 1000),
            status=204,
            pairs=sent.pairs,
            findings=(*whole, *items.findings),
            timers=tuple(kept.timers.values()),
            metrics=tuple(kept.metrics),
            dimensions=tuple(kept.dimensions),
            page_group=kept.page_group,
            ab_test=kept.ab_test,
            session=kept.session,
            start_unix_ms=_milliseconds(sent, "rt.tstart"),
            end_unix_ms=_milliseconds(sent, "rt.end"),
        )

    def _arrival(self, request: Request) -> Arrival:
        sent = _pairs_of_beacon(request)
        crumb = self._crumbs.find(sent.first.get("h.cr", ""))
        if crumb is not None and self.switches.expire_crumbs:
            crumb = replace(crumb, issued_at=crumb.issued_at - CRUMB_LIFE_SECONDS - 1)
        return Arrival(request, sent, self._book, crumb, self._now())

    def _collector_findings(self, request: Request) -> list[Finding]:
        findings = []
        if request.path.strip("/") not in self._beacon_ids:
            sentence = "This collector was never given out: send to beacon_url of the configuration answer."
            findings.append(Finding("unknown_beacon_url", "error", sentence))
        if self.switches.refuse_bots and is_bot(request.user_agent):
            sentence = "This User-Agent counts as a bot: use one User-Agent for configuration and beacons."
            findings.append(Finding("bot_user_agent", "error", sentence))
        return findings

    def _note_undefined(self, arrived: list[Undefined]) -> None:
        if not arrived:
            return
        with self._lock:
            for undefined in arrived:
                if undefined in self._undefined or len(self._undefined) < MAX_UNDEFINED:
                    self._undefined[undefined] = self._undefined.get(undefined, 0) + 1
                elif len(self._unlisted) < MAX_UNLISTED:
                    self._unlisted.add(hash(undefined))  # whole names would be too large

    def _batch_record(self, request: Request) -> Record:
        sentence = "Batches (gzip protobuf) are for mPulse's own mobile libraries: send single beacons."
        return Record(
            vendor=self.name,
            kind="beacon",
            method=request.method,
            path=request.path,
            arrived_unix_ms=int(self._now() * 1000),
            status=204,
            findings=(Finding("unsupported", "error", sentence),),
        )


def _pairs_of_beacon(request: Request) -> Pairs:
    """The pairs of the query and of a POST form, in that order; a GET's body is not read by anyone."""
    body = request.body if request.method == "POST" and not holds_json(request) else b""
    return pairs_from(b"&".join(part for part in (request.query, body) if part))


def _milliseconds(sent: Pairs, name: str) -> int | None:
    text = sent.first.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
