"""
The sandbox: stands where the vendors stand, on this machine, with no account.

Holds the vendors and what belongs to none of them: the journal, faults to come, the side API (`/sandbox/...`)
for other processes. A new vendor is files of its own beside this one and a keyword of `Sandbox`.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from email.utils import formatdate
from types import TracebackType
from typing import Any, TypedDict
from urllib.parse import urlsplit

from otel_vendor_exporters.sandbox.conditions import Conditions
from otel_vendor_exporters.sandbox.exchange import Answer, Request, Vendor, pairs_from
from otel_vendor_exporters.sandbox.faults import ANY, Fault, FaultQueue, fault_from_json
from otel_vendor_exporters.sandbox.inbox import Finding, Inbox, Record
from otel_vendor_exporters.sandbox.json_text import json_text
from otel_vendor_exporters.sandbox.listener import Listener, loopback
from otel_vendor_exporters.sandbox.mparticle.app import MParticleApp
from otel_vendor_exporters.sandbox.mparticle_analytics.app import BASE_PATH, MParticleAnalyticsApp
from otel_vendor_exporters.sandbox.mpulse.app import MPulseApp
from otel_vendor_exporters.sandbox.mpulse.definitions import DEFAULT_KEY
from otel_vendor_exporters.sandbox.page.looks import as_wire, masked_wire
from otel_vendor_exporters.sandbox.page.routes import Page, raw_of
from otel_vendor_exporters.sandbox.received import Received
from otel_vendor_exporters.sandbox.secret_places import STARS

RECENT = 100
# The doctor asks with this header. Its questions are meant to be refused: they are listed without findings,
# and nothing of them is counted. A real vendor does not know the header.
PROBE_HEADER = "x-otel-vendor-exporters-probe"
_JSON = (("Content-Type", "application/json"),)
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


class MPulseSettings(TypedDict):
    """What an mPulse exporter or client needs to know to send here."""

    api_key: str
    domain: str
    config_url: str


class MParticleSettings(TypedDict):
    """What an mParticle exporter or client needs to know to send here."""

    api_key: str
    api_secret: str
    base_url: str


class MParticlePixelSettings(TypedDict):
    """What a client of mParticle's Pixel Service needs to know to send here."""

    web_api_key: str
    base_url: str


class MParticleAnalyticsSettings(TypedDict):
    """What an mParticle Analytics exporter or client needs to know to send here."""

    api_key: str
    base_url: str


class Sandbox:
    """
    The vendors on the loopback interface.

        with Sandbox() as sandbox:
            ...                      # point the exporter at sandbox.config_url
            assert sandbox.received.timers == [("MyTimer", 10)]
            assert not sandbox.received.findings

    `start` and `stop` belong to one thread; everything else may be called from any.
    """

    def __init__(
        self,
        mpulse: MPulseApp | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        mparticle: MParticleApp | None = None,
        mparticle_analytics: MParticleAnalyticsApp | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        loopback(host)
        self.mpulse = mpulse or MPulseApp()
        self.mparticle = mparticle or MParticleApp()
        self.mparticle_analytics = mparticle_analytics or MParticleAnalyticsApp()
        self.inbox = inbox or Inbox()
        self._vendors: tuple[Vendor, ...] = (self.mpulse, self.mparticle, self.mparticle_analytics)
        self._faults = FaultQueue(kind for vendor in self._vendors for kind in vendor.kinds)
        self._conditions = Conditions(self._vendors)
        self._keys = frozenset(filter(None, self._own_keys()))
        self._page = Page(
            self.inbox, self._conditions, self.mpulse, self._settings_lines, self._clear, self._keys
        )
        self._address = (host, port)
        self._listener: Listener | None = None

    def start(self) -> Sandbox:
        """Listen. Raises OSError when the port is taken."""
        if self._listener is not None:
            raise RuntimeError("the sandbox is already started")
        listener = Listener(self._respond, *self._address)
        listener.start()
        self._listener = listener
        return self

    def stop(self) -> None:
        """Stop listening and end every connection. What was received stays readable. Idempotent."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """http://127.0.0.1:port, while started."""
        if self._listener is None:
            raise RuntimeError("the sandbox has no address before start()")
        return f"http://{self._listener.authority}"

    @property
    def config_url(self) -> str:
        """The plain configuration address of mPulse: OTEL_EXPORTER_MPULSE_CONFIG_URL."""
        return f"{self.url}/api/config.json"

    @property
    def signed_config_url(self) -> str:
        """The signed configuration address of mPulse, for clients that have the REST secret."""
        return f"{self.url}/api/v2/config.json"

    @property
    def mpulse_settings(self) -> MPulseSettings:
        """The settings that point an mPulse exporter or client here: keywords, or environment in capitals."""
        return {"api_key": self.mpulse.key, "domain": self.mpulse.domain, "config_url": self.config_url}

    @property
    def mparticle_settings(self) -> MParticleSettings:
        """The settings that point an mParticle exporter or client here."""
        app = self.mparticle
        return {"api_key": app.api_key, "api_secret": app.api_secret, "base_url": self.url}

    @property
    def mparticle_pixel_settings(self) -> MParticlePixelSettings:
        """The settings that point a client of mParticle's Pixel Service here."""
        return {"web_api_key": self.mparticle.web_api_key, "base_url": self.url}

    @property
    def mparticle_analytics_settings(self) -> MParticleAnalyticsSettings:
        """The settings that point an mParticle Analytics exporter or client here."""
        return {"api_key": self.mparticle_analytics.api_key, "base_url": f"{self.url}{BASE_PATH}"}

    @property
    def received(self) -> Received:
        """What arrived."""
        return Received(self.inbox)

    def reset(self) -> None:
        """Forget what arrived and what was ordered; vendors are friendly again."""
        self.inbox.clear()
        self._faults.clear()
        self._conditions.forget()
        for vendor in self._vendors:
            vendor.reset()

    def answer_next(
        self,
        status: int = 503,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        on: str = ANY,
        delay_seconds: float = 0.0,
        close: bool = False,
        reset: bool = False,
        counted: bool = False,
    ) -> None:
        """
        Answer the next `times` requests of a kind like this.

        The kinds are `beacon` and `config` of mPulse, `events` and `pixel` of mParticle, `track`, `identify`,
        `alias`, `suppress` and `delete` of mParticle Analytics, and `any`.

        `close` drops the connection without an answer, `reset` does so with a TCP reset. With `counted` the
        vendor takes the request all the same: only the answer is lost, as on a network that fails.
        """
        answer = Answer(status, body, tuple((headers or {}).items()), delay_seconds, close, reset)
        self._faults.add(Fault(answer, on, times, counted))

    def become(self, vendor: str, condition: str) -> None:
        """
        Put a vendor in a lasting condition, until `well` or `reset()`.

        Conditions are `well`, `429`, `503`, `slow`, `down`, and `rate_limited` and `crumb_expired` of mPulse.
        Raises ValueError for another.
        """
        self._conditions.become(vendor, condition)

    def as_wire(self) -> dict[str, object]:
        """The JSON form of everything received, as /sandbox/received.json gives it."""
        counts, records = self.inbox.counts, self.inbox.records
        vendors: dict[str, dict[str, object]] = {v.name: v.summary(records) for v in self._vendors}
        requests: dict[str, dict[str, int]] = {vendor.name: {} for vendor in self._vendors}
        for name, kind, count in counts.requests:
            requests.setdefault(name, {})[kind] = count
        return {
            "requests": requests,
            "vendors": vendors,
            "findings": [{**asdict(finding), "count": count} for finding, count in counts.findings],
            "forgotten": counts.forgotten,
            "recent": [as_wire(record) for record in records[-RECENT:]],
        }

    def _respond(self, request: Request) -> Answer:
        if request.path == "/" or request.path.startswith("/sandbox/"):
            return self._side_api(request)
        for vendor in self._vendors:
            kind = vendor.kind_of(request)
            if kind is not None:
                return self._vendor_answer(vendor, kind, request)
        return self._unknown_path(request)

    def _vendor_answer(self, vendor: Vendor, kind: str, request: Request) -> Answer:
        fault, condition = self._faults.take(kind), self._conditions.of(vendor.name)
        instead = fault.answer if fault is not None else condition.answer
        answer, record = self._answered(vendor, kind, request, instead, fault)
        is_probe = PROBE_HEADER in request.headers
        self._note(_record_of_fault(vendor.name, kind, request, answer) if is_probe else record, request)
        return _dated(answer, record.arrived_unix_ms)

    def _answered(
        self, vendor: Vendor, kind: str, request: Request, instead: Answer | None, fault: Fault | None
    ) -> tuple[Answer, Record]:
        if instead is not None and not (fault is not None and fault.counted):
            return instead, _record_of_fault(vendor.name, kind, request, instead)
        answer, record = vendor.answer(request)
        if instead is not None:
            return instead, record
        delay_seconds = max(answer.delay_seconds, self._conditions.of(vendor.name).delay_seconds)
        return replace(answer, delay_seconds=delay_seconds), record

    def _note(self, record: Record, request: Request) -> None:
        self.inbox.add(replace(record, raw=raw_of(request)))

    def _unknown_path(self, request: Request) -> Answer:
        names = ", ".join(vendor.name for vendor in self._vendors)
        finding = Finding(
            "unknown_path", "error", f"Nothing lives at this path; the sandbox stands for {names}."
        )
        self._note(_record("", "unknown", request, 404, (finding,)), request)
        return Answer(404, finding.sentence.encode(), _TEXT)

    def _side_api(self, request: Request) -> Answer:
        """For people and other processes on this machine; a web page from elsewhere is kept out."""
        if not (_is_local(request.host) and _is_local(_origin(request))):
            return Answer(403, b"ask by the loopback address", _TEXT)
        route = (request.method, request.path)
        of_page = self._page.routes.get(route)
        if of_page is not None:
            return of_page(request)
        handler = _SIDE_API.get(route)
        if handler is None:
            there_is = ", ".join(" ".join(known) for known in (*_SIDE_API, *self._page.routes))
            return Answer(404, f"there is {there_is}".encode(), _TEXT)
        return handler(self, request)

    def _clear(self) -> None:
        """Forget what arrived and what vendors learned of it; how they are at present stays."""
        self.inbox.clear()
        for vendor in self._vendors:
            app: Any = vendor  # each vendor has switches of a type of its own
            switches = app.switches
            vendor.reset()
            app.switches = switches

    def _own_keys(self) -> tuple[str, ...]:
        of_mparticle = self.mparticle
        return (
            *(self.mpulse.key, of_mparticle.api_key, of_mparticle.api_secret, of_mparticle.web_api_key),
            *(self.mparticle_analytics.api_key, self.mpulse.rest_secret),
        )

    def _settings_lines(self) -> list[str]:
        """The environment that points the exporters here; a key that somebody brought is not shown."""
        own = {"api_key": self.mpulse.key if self.mpulse.key == DEFAULT_KEY else STARS}
        vendors: dict[str, Mapping[str, object]] = {
            "MPULSE": {**self.mpulse_settings, **own},
            "MPARTICLE": {**self.mparticle_settings, "api_secret": STARS},
            "MPARTICLE_ANALYTICS": self.mparticle_analytics_settings,
        }
        return [
            f"export OTEL_EXPORTER_{vendor}_{name.upper()}={value}"
            for vendor, settings in vendors.items()
            for name, value in settings.items()
        ]

    def _show_summary(self, request: Request) -> Answer:
        if "text/html" in request.headers.get("accept", ""):
            return self._page.show()
        return Answer(200, _summary_text(self._masked_wire()).encode(), _TEXT)

    def _show_received(self, request: Request) -> Answer:
        """Masked, unless asked with ?secrets=1."""
        is_open = pairs_from(request.query).first.get("secrets") == "1"
        return Answer(200, json_text(self.as_wire() if is_open else self._masked_wire()).encode(), _JSON)

    def _masked_wire(self) -> dict[str, object]:
        return masked_wire(self.as_wire(), self.inbox.records[-RECENT:], self._keys)

    def _take_reset(self, _: Request) -> Answer:
        self.reset()
        return Answer(204)

    def _take_answer_next(self, request: Request) -> Answer:
        try:
            self._faults.add(fault_from_json(request.body))
        except (ValueError, TypeError, RecursionError) as error:
            return Answer(400, str(error)[:500].encode(), _TEXT)
        return Answer(204)


_SIDE_API: dict[tuple[str, str], Callable[[Sandbox, Request], Answer]] = {
    ("GET", "/"): Sandbox._show_summary,
    ("GET", "/sandbox/received.json"): Sandbox._show_received,
    ("POST", "/sandbox/reset"): Sandbox._take_reset,
    ("POST", "/sandbox/answer-next"): Sandbox._take_answer_next,
}


def _dated(answer: Answer, unix_ms: int) -> Answer:
    """With a Date (RFC 9110, 6.6.1) of the vendor's own clock, as real servers send it."""
    if any(name.lower() == "date" for name, _ in answer.headers):
        return answer
    date = formatdate(unix_ms / 1000, usegmt=True)
    return replace(answer, headers=(*answer.headers, ("Date", date)))


def _record_of_fault(vendor: str, kind: str, request: Request, answer: Answer) -> Record:
    """A request the vendor never saw; status 0 when it got no answer at all."""
    return _record(vendor, kind, request, 0 if answer.close or answer.reset else answer.status)


def _record(
    vendor: str, kind: str, request: Request, status: int, findings: tuple[Finding, ...] = ()
) -> Record:
    return Record(
        vendor=vendor,
        kind=kind,
        method=request.method,
        path=request.path,
        arrived_unix_ms=int(time.time() * 1000),
        status=status,
        findings=findings,
    )


def _origin(request: Request) -> str:
    """Where the web page that asks comes from, as host:port; empty when none asks."""
    origin = request.headers.get("origin", "")
    return origin.partition("://")[2] or origin


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or "localhost"
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _summary_text(wire: dict[str, object]) -> str:
    parts = {part: wire[part] for part in ("requests", "vendors", "findings")}
    return f"otel_vendor_exporters sandbox\n\n{json.dumps(parts, indent=2)}\n\nmore: /sandbox/received.json\n"
