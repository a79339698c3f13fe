"""
mParticle as its documents describe it: the Events API for servers, and the Pixel Service.

Knows no sockets. Answers what the real service would, and tells what it would have refused, thrown away, cut
or misread. Written from contract/mparticle.md, checks in the order of its section 11.
"""

from __future__ import annotations

import base64
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote

from otel_vendor_exporters.sandbox.document import Document, JsonPath, parse
from otel_vendor_exporters.sandbox.exchange import Answer, Request, shown
from otel_vendor_exporters.sandbox.inbox import Finding, Record, Severity
from otel_vendor_exporters.sandbox.mparticle.answers import (
    error_body,
    escaped,
    request_problems,
    server_message,
    sizes,
    unreadable,
    wrong_root,
)
from otel_vendor_exporters.sandbox.mparticle.batches import (
    MParticleBatch,
    MParticlePixel,
    MParticleUpload,
    stored_batches,
    users_of,
)
from otel_vendor_exporters.sandbox.mparticle.checks import Problem, Rank, shape_problems
from otel_vendor_exporters.sandbox.mparticle.pixel import GIF, batch_of, pixel_from, pixel_problems
from otel_vendor_exporters.sandbox.mparticle.rules import Circumstances, Json, cut_to_limits, rule_problems
from otel_vendor_exporters.sandbox.mparticle.workspace import Workspace

Mode = Literal["strict", "live"]

# Made up, open nothing; in the form of the real ones.
DEFAULT_KEY = "us1-5a0d1c0f3b6e4c8f9d2a7b1e4f60c3d8"
DEFAULT_SECRET = "sandbox-uX3mZpQ7vL2kR9tW4yB6nC8dF1gH5jS0"  # noqa: S105 - opens nothing
DEFAULT_WEB_KEY = "us1-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
MAX_REQUEST_BYTES = 256_000
MAX_BATCH_BYTES = 128_000
MAX_EVENT_NAMES = 1_000
MAX_FINDINGS = 100
_EVENTS_PATH = re.compile(r"(?:/s2s)?/v2/(events|bulkevents|bulkevents/historical)/?")
_PIXEL_PATH = re.compile(r"/v1/([^/]+)/pixel", re.IGNORECASE)
_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_PICTURE = (("Content-Type", "image/gif"), ("Cache-Control", "no-store"))
_SEVERITIES: dict[Mode, dict[Rank, Severity]] = {
    "strict": {Rank.ADVICE: "warning"},
    "live": {Rank.ADVICE: "warning", Rank.LOSS: "warning", Rank.SCHEMA: "warning"},
}


@dataclass(frozen=True, slots=True)
class MParticleSwitches:
    """
    How the emulator's limits behave. The default is a service with room.

    With `batches_per_second` what is above it gets 429 with `Retry-After` (seconds, None leaves it out) and
    `X-mp-rate-limit-exceeded`, and each answer below it tells the percentage used.
    """

    batches_per_second: int | None = None
    retry_after_seconds: int | None = 1
    rate_limit_exceeded: str = "app"
    slow_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.batches_per_second is not None and self.batches_per_second < 1:
            raise ValueError(f"batches_per_second={self.batches_per_second} must be at least 1, or None")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of one batch."""

    batch: MParticleBatch
    findings: tuple[Finding, ...]
    message: str = ""


class MParticleApp:
    """
    One mParticle workspace with a key for servers and one for the web. Any thread may call anything.

    `mode="strict"` refuses what the published schema of 2026 refuses. `mode="live"` takes what the live
    server is known to take (`customerid`, numbers as text, further keys), and warns of it.
    """

    name = "mparticle"
    kinds: tuple[str, ...] = ("events", "pixel")

    def __init__(
        self,
        *,
        api_key: str = DEFAULT_KEY,
        api_secret: str = DEFAULT_SECRET,
        web_api_key: str = DEFAULT_WEB_KEY,
        mode: Mode = "strict",
        max_request_bytes: int = MAX_REQUEST_BYTES,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        max_event_names: int = MAX_EVENT_NAMES,
        now: Callable[[], float] = time.time,
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"mode={mode!r}: choose strict or live")
        self.api_key = api_key
        self.api_secret = api_secret
        self.web_api_key = web_api_key
        self.mode: Mode = mode
        self.switches = MParticleSwitches()
        self._max_request_bytes = max_request_bytes
        self._max_batch_bytes = max_batch_bytes
        self._workspace = Workspace(max_event_names)
        self._now = now

    def reset(self) -> None:
        """Friendly limits again, and no memory of ids and names."""
        self.switches = MParticleSwitches()
        self._workspace.clear()

    def kind_of(self, request: Request) -> str | None:
        """`events`, `pixel`, or None for what is not mParticle's."""
        if _EVENTS_PATH.fullmatch(request.path):
            return "events"
        return "pixel" if _PIXEL_PATH.fullmatch(request.path) else None

    def answer(self, request: Request) -> tuple[Answer, Record]:
        """What mParticle answers, and what it would have done."""
        if self.kind_of(request) == "pixel":
            return self._answer_pixel(request)
        return self._answer_upload(request)

    def summary(self, records: Iterable[Record]) -> dict[str, object]:
        """Batches by what became of them, events by type, and users, for received.json."""
        kept = tuple(records)
        uploads = [record for record in kept if isinstance(record, MParticleUpload)]
        stored = stored_batches(kept)
        return {
            "batches": dict(Counter(batch.status for upload in uploads for batch in upload.batches)),
            "events": dict(Counter(event.type for batch in stored for event in batch.events)),
            "users": len(users_of(stored)),
        }

    def _answer_upload(self, request: Request) -> tuple[Answer, Record]:
        refusal = self._refusal_unread(request)
        if refusal is not None:
            return refusal[0], self._upload(request, refusal[0], (refusal[1],))
        try:
            document = parse(request.body)
        except (ValueError, RecursionError) as error:
            return self._refused_whole(request, *unreadable(request, error))
        wrong = wrong_root(request, document.content)
        if wrong is not None:
            return self._refused_whole(request, *wrong)
        return self._answer_document(request, document)

    def _refusal_unread(self, request: Request) -> tuple[Answer, Finding] | None:
        """The refusals for which the body need not be read."""
        if request.method != "POST":
            finding = _error("bad_method", f"{shown(request.method)} carries no batch: use POST.")
            return Answer(405, headers=(("Allow", "POST"),)), finding
        authorization = request.headers.get("authorization")
        if authorization is None:
            finding = _error("no_authorization", "Authorization is missing: set api_key and api_secret.")
            return Answer(401), finding
        wrong = self._wrong_credentials(authorization)
        if wrong:
            return Answer(403), _error("wrong_credentials", wrong)
        if request.body_too_large or len(request.body) > self._max_request_bytes:
            sentence = f"The request is over {self._max_request_bytes} bytes: send fewer batches in one."
            return Answer(413), _error("request_too_large", sentence)
        return None

    def _wrong_credentials(self, authorization: str) -> str:
        scheme, _, encoded = authorization.partition(" ")
        try:
            key, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except ValueError:
            key, colon, secret = "", "", ""
        if scheme.lower() != "basic" or not colon:
            return "Authorization must be `Basic base64(api_key:api_secret)`."
        if key == self.web_api_key:
            return "This is the key of the web platform: api_key must be one for servers."
        if key != self.api_key:
            return "api_key is not this workspace's."
        return "" if secret == self.api_secret else "api_secret does not belong to api_key."

    def _answer_document(self, request: Request, document: Document) -> tuple[Answer, Record]:
        bulk = isinstance(document.content, list)
        batches = document.content if isinstance(document.content, list) else [document.content]
        used = self._used_rate(len(batches))
        if used > 1.0:
            answer = self._rate_limited()
            sentence = "More batches in a second than allowed: wait as long as Retry-After says."
            return answer, self._upload(request, answer, (Finding("rate_limited", "warning", sentence),))
        bytes_of = sizes(document, len(request.body), self._max_batch_bytes)
        verdicts = [
            self._judge(batch, document, (index,) if bulk else (), self._came(request, bytes_of[index]))
            for index, batch in enumerate(batches)
        ]
        answer = self._answer_to(verdicts, used)
        general = tuple(self._finding(problem) for problem in request_problems(request, document, batches))
        findings = general + tuple(finding for verdict in verdicts for finding in verdict.findings)
        return answer, self._upload(request, answer, findings, tuple(verdict.batch for verdict in verdicts))

    def _judge(self, batch: object, document: Document, root: JsonPath, came: Circumstances) -> _Verdict:
        """Shape, rules, limits, memory; the first problem that refuses decides."""
        if not isinstance(batch, dict):
            sentence = "A batch must be a JSON object."
            problem = Problem(Rank.FATAL, "wrong_type:batch", (), sentence, "A batch is required.")
            return self._refused({}, [problem], problem, document, root, came)
        problems = list(shape_problems(batch))
        if not any(problem.rank is Rank.FATAL for problem in problems):
            problems += rule_problems(batch, came)
        refusing = next((problem for problem in problems if self._refuses(problem)), None)
        if refusing is not None:
            return self._refused(batch, problems, refusing, document, root, came)
        kept, cuts = cut_to_limits(batch)
        problems += cuts
        if any(problem.rank is Rank.UNPROCESSED for problem in problems):
            return self._verdict(MParticleBatch("not_processed", kept, came.now_unix_ms), problems, root)
        stored, remembered = self._workspace.store(kept)
        if stored is None:
            return self._verdict(MParticleBatch("duplicate", kept, came.now_unix_ms), remembered, root)
        problems += remembered
        return self._verdict(MParticleBatch("stored", stored, came.now_unix_ms), problems, root)

    def _refused(
        self,
        batch: Json,
        problems: list[Problem],
        refusing: Problem,
        document: Document,
        root: JsonPath,
        came: Circumstances,
    ) -> _Verdict:
        told = [refusing, *(problem for problem in problems if problem is not refusing)]
        message = server_message(refusing, document, root)
        return self._verdict(MParticleBatch("refused", batch, came.now_unix_ms), told, root, message)

    def _verdict(
        self, batch: MParticleBatch, problems: list[Problem], root: JsonPath, message: str = ""
    ) -> _Verdict:
        where = f"batch {root[0]}: " if root else ""
        findings = tuple(self._finding(problem, where) for problem in problems[:MAX_FINDINGS])
        return _Verdict(batch, findings, message)

    def _refuses(self, problem: Problem) -> bool:
        return problem.rank is Rank.FATAL or (problem.rank is Rank.SCHEMA and self.mode == "strict")

    def _finding(self, problem: Problem, where: str = "") -> Finding:
        severity = _SEVERITIES[self.mode].get(problem.rank, "error")
        return Finding(problem.code, severity, f"{where}{problem.sentence}")

    def _came(self, request: Request, size_bytes: int) -> Circumstances:
        return Circumstances(
            now_unix_ms=int(self._now() * 1000),
            size_bytes=size_bytes,
            max_batch_bytes=self._max_batch_bytes,
            user_agent=request.user_agent,
            historical="/historical" in request.path,
        )

    def _used_rate(self, batches: int) -> float:
        limit = self.switches.batches_per_second
        return self._workspace.rate_after(batches, limit) if limit else 0.0

    def _rate_limited(self) -> Answer:
        switches = self.switches
        headers = [("X-mp-rate-limit-exceeded", f'"{switches.rate_limit_exceeded}"')]
        if switches.retry_after_seconds is not None:
            headers.append(("Retry-After", str(switches.retry_after_seconds)))
        return Answer(429, headers=tuple(headers), delay_seconds=switches.slow_seconds)

    def _answer_to(self, verdicts: list[_Verdict], used_rate: float) -> Answer:
        messages = [verdict.message for verdict in verdicts if verdict.message]
        headers: tuple[tuple[str, str], ...] = _JSON if messages else ()
        if self.switches.batches_per_second:
            headers += (("X-mp-rate-limit-percentage-used", str(int(used_rate * 100))),)
        status = 400 if messages and len(messages) == len(verdicts) else 202
        return Answer(status, error_body(messages), headers, delay_seconds=self.switches.slow_seconds)

    def _refused_whole(self, request: Request, finding: Finding, message: str) -> tuple[Answer, Record]:
        answer = Answer(400, error_body([escaped(message)]), _JSON)
        return answer, self._upload(request, answer, (finding,))

    def _upload(
        self,
        request: Request,
        answer: Answer,
        findings: tuple[Finding, ...],
        batches: tuple[MParticleBatch, ...] = (),
    ) -> MParticleUpload:
        return MParticleUpload(
            vendor=self.name,
            kind="events",
            method=request.method,
            path=request.path,
            arrived_unix_ms=int(self._now() * 1000),
            status=answer.status,
            findings=findings,
            body_characters=len(request.body) if batches else 0,
            batches=batches,
        )

    def _answer_pixel(self, request: Request) -> tuple[Answer, Record]:
        """A picture. That a refusal is 400, and 403 for a wrong key, is our choice: none is documented."""
        pixel = pixel_from(request.query)
        came = self._came(request, 0)
        problems = list(pixel_problems(pixel, request, came))
        status = self._pixel_status(request, problems)
        kept, cuts = cut_to_limits(batch_of(pixel, came.now_unix_ms))
        batch = None
        if status == 200:
            stored, remembered = self._workspace.store(kept)
            problems += [*cuts, *remembered]
            batch = MParticleBatch("stored", stored or kept, came.now_unix_ms)
        record = MParticlePixel(
            vendor=self.name,
            kind="pixel",
            method=request.method,
            path=request.path,
            arrived_unix_ms=came.now_unix_ms,
            status=status,
            pairs=pixel.pairs,
            findings=tuple(self._finding(problem) for problem in problems[:MAX_FINDINGS]),
            body_characters=len(request.query),
            batch=batch,
        )
        if status != 200:
            return Answer(status), record
        return Answer(200, GIF, _PICTURE, self.switches.slow_seconds), record

    def _pixel_status(self, request: Request, problems: list[Problem]) -> int:
        if request.method not in ("GET", "HEAD"):
            sentence = f"{shown(request.method)} carries no pixel: use GET."
            problems.insert(0, Problem(Rank.FATAL, "bad_method", (), sentence))
            return 405
        found = _PIXEL_PATH.fullmatch(request.path)
        if found is None or unquote(found[1]) != self.web_api_key:
            sentence = "The key in the path is not this workspace's key for the web: set web_api_key."
            problems.insert(0, Problem(Rank.FATAL, "wrong_web_api_key", (), sentence))
            return 403
        return 400 if any(self._refuses(problem) for problem in problems) else 200


def _error(code: str, sentence: str) -> Finding:
    return Finding(code, "error", sentence)
