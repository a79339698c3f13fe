"""
The passage of one unit to its vendor and back, and how it is shown.

Nothing that is shown holds a secret: those of the settings, credentials in headers and mPulse's crumb are
stars.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

from otel_vendor_exporters.delivery.request import Item, Outcome, Reply, Request, Verdict
from otel_vendor_exporters.delivery.transport import Transport
from otel_vendor_exporters.delivery.vendor import Vendor

STARS = "*****"
_MOST_SHOWN = 2000
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
# mPulse's crumb and signature, in queries, forms and JSON.
_CRUMB = re.compile(r'((?:[?&]|^)(?:h\.cr|s)=|"h\.cr"\s*:\s*")[^&"]*')
_EXIT_STATUS = {Outcome.DELIVERED: 0, Outcome.REFUSED: 2, Outcome.DROPPED: 2}
_LATER = 1
# Dropped, and nothing is missing (the ledger's words): exit status, and what an exporter would do.
_NO_LOSS = {
    "carried": (_LATER, "not delivered now; an exporter would send it along with the next of its metric"),
    "already_merged": (0, "not sent, since it came about before; an exporter would not send it either"),
}
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Step:
    """One request and its answer."""

    request: Request
    reply: Reply
    seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What went and came back, and what became of the unit: `outcome` is None when nothing could be sent.

    `reason` is the ledger's word for it, `secrets` are what must not be shown.
    """

    steps: tuple[Step, ...]
    outcome: Outcome | None
    words: tuple[str, ...]
    secrets: tuple[str, ...] = field(default=(), repr=False)
    reason: str = ""

    @property
    def exit_status(self) -> int:
        """0 delivered, 1 not now, 2 never."""
        if self.reason in _NO_LOSS:
            return _NO_LOSS[self.reason][0]
        return _LATER if self.outcome is None else _EXIT_STATUS.get(self.outcome, _LATER)


class Recorder(Transport):
    """A transport that remembers. One thread."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def send(self, request: Request, timeout_seconds: float) -> Reply:
        """As the transport does."""
        began = monotonic()
        reply = super().send(request, timeout_seconds)
        self.steps.append(Step(request, reply, monotonic() - began))
        return reply


def passed(
    vendor: Vendor[U],
    unit: Callable[[], Item[U]],
    recorder: Recorder,
    timeout_seconds: float,
    secrets: Iterable[str],
) -> Sent:
    """Take one unit, which is made when the vendor is ready, to the vendor, once."""
    heard = _Ear()
    with heard:
        verdicts = _verdicts(vendor, unit, recorder, timeout_seconds)
    recorder.close()
    outcomes = [verdict.outcome for verdict in verdicts]
    said = [one for verdict in verdicts for one in (verdict.words or verdict.reason,) if one]
    return Sent(
        tuple(recorder.steps),
        outcomes[0] if outcomes else None,
        tuple(dict.fromkeys([*heard.words, *said])),
        tuple(one for one in secrets if one),
        next((verdict.reason for verdict in verdicts), ""),
    )


def text_of(sent: Sent) -> Iterator[str]:
    """What went and came back, for people, line by line."""
    for step in sent.steps:
        request, reply = step.request, step.reply
        yield f"> {request.method} {masked(request.url, sent.secrets)}"
        yield from (f"> {name}: {value}" for name, value in _headers(request.headers, sent.secrets))
        yield from _body_lines("> ", request.body or b"", sent.secrets)
        if reply.failure is None:
            yield f"< HTTP {reply.status} after {step.seconds:.2f} s"
            yield from (f"< {name}: {value}" for name, value in _headers(reply.headers, sent.secrets))
            yield from _body_lines("< ", reply.body, sent.secrets)
        else:
            yield f"< {reply.failure.value} after {step.seconds:.2f} s: {reply.words}"
        yield ""
    yield from (masked(one, sent.secrets) for one in sent.words)
    yield _outcome(sent)


def json_of(sent: Sent) -> str:
    """The same for programs."""
    form = {
        "schema": 1,
        "exit_status": sent.exit_status,
        "outcome": _outcome(sent),
        "words": [masked(one, sent.secrets) for one in sent.words],
        "steps": [_step_form(step, sent.secrets) for step in sent.steps],
    }
    return json.dumps(form, indent=2, ensure_ascii=False)


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, however they are written: plain, percent-encoded or in JSON."""
    for secret in secrets:
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
            text = text.replace(form, STARS)
    return _CRUMB.sub(rf"\1{STARS}", text)


def _verdicts(
    vendor: Vendor[U], unit: Callable[[], Item[U]], recorder: Recorder, timeout_seconds: float
) -> list[Verdict[U]]:
    if vendor.prepare(timeout_seconds, hurry=True) > 0:
        return []
    packed = vendor.pack([unit()])
    verdicts = list(packed.verdicts)
    for parcel in packed.parcels:
        request = vendor.request(parcel)
        if request is not None:
            verdicts += vendor.judge(parcel, recorder.send(request, timeout_seconds))
    return verdicts


class _Ear(logging.Handler):
    """Hears what this library would log. What it says after a semicolon is of waiting and trying again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []
        self._logger = logging.getLogger("otel_vendor_exporters")

    def emit(self, record: logging.LogRecord) -> None:
        """Remember it."""
        self.words.append(record.getMessage().partition(";")[0])

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)


def _outcome(sent: Sent) -> str:
    if sent.reason in _NO_LOSS:
        return _NO_LOSS[sent.reason][1]
    if sent.outcome is Outcome.DELIVERED:
        return "delivered"
    if sent.exit_status == _LATER:
        return "not delivered now; an exporter would keep it and try again"
    return "not delivered; an exporter would count it as lost"


def _headers(headers: Any, secrets: Iterable[str]) -> Iterator[tuple[str, str]]:  # Any: a mapping of texts
    for name, value in headers.items():
        shown = STARS if name.lower() in _SECRET_HEADERS else masked(value, secrets)
        yield _printable(name), _printable(shown)


def _printable(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)


def _body_lines(mark: str, body: bytes, secrets: Iterable[str]) -> Iterator[str]:
    if body:
        yield mark + _body_text(body, secrets)


def _body_text(body: bytes, secrets: Iterable[str]) -> str:
    text = masked(body.decode("utf-8", "backslashreplace"), secrets)
    text = _printable(text)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}… ({len(body)} bytes)"


def _step_form(step: Step, secrets: tuple[str, ...]) -> dict[str, Any]:  # Any: whatever JSON holds
    request, reply = step.request, step.reply
    return {
        "request": {
            "method": request.method,
            "url": masked(request.url, secrets),
            "headers": dict(_headers(request.headers, secrets)),
            "body": _body_text(request.body or b"", secrets),
        },
        "answer": {
            "status": reply.status,
            "headers": dict(_headers(reply.headers, secrets)),
            "body": _body_text(reply.body, secrets),
            "failure": reply.failure.value if reply.failure else None,
            "words": reply.words,
        },
        "seconds": round(step.seconds, 3),
    }
