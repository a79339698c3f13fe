"""
How mParticle words its refusals, and what it finds wrong with a request as a whole.

Pure. The form is that of the live server (contract, section 1.4): JSON with HTML-escaped messages that name
the place in the body. Where no message is on record the words are ours.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence

from otel_vendor_exporters.sandbox.document import Document, JsonPath, place_of, spans, written
from otel_vendor_exporters.sandbox.exchange import Request, shown
from otel_vendor_exporters.sandbox.inbox import Finding
from otel_vendor_exporters.sandbox.mparticle.checks import Problem, Rank

MAX_BATCHES = 100
MAX_EVENTS = 100
MAX_MESSAGE = 1_000


def error_body(messages: Sequence[str]) -> bytes:
    """The body that tells of refused batches; empty when there are none."""
    if not messages:
        return b""
    return json.dumps({"errors": [{"code": "BAD_REQUEST", "message": text} for text in messages]}).encode()


def server_message(problem: Problem, document: Document, root: JsonPath) -> str:
    """
    What the server says of the problem it refuses a batch for, escaped.

    `root` is the batch's place in the body. The server names a place inside an event from that event on, any
    other from the root of the body on.
    """
    message = (problem.message or problem.sentence)[:MAX_MESSAGE]
    if problem.has_place:
        inside_event = problem.path[:1] == ("events",) and len(problem.path) > 2
        named = problem.path[2:] if inside_event else (*root, *problem.path)
        place = place_of(document.text, (*root, *problem.path))
        message += f" Path '{written(named)[:MAX_MESSAGE]}', line {place.line}, position {place.position}."
    return escaped(message)


def escaped(message: str) -> str:
    """As the live server escapes: double quotes become &quot;, single ones stay."""
    return html.escape(message, quote=False).replace('"', "&quot;")


def unreadable(request: Request, error: Exception) -> tuple[Finding, str]:
    """What is told of a body that is no JSON, and what the server answers."""
    encoding = request.headers.get("content-encoding", "identity")
    if not request.body:
        return _error("empty_body", "The body is empty: send a batch."), "A request body is required."
    if encoding != "identity":
        sentence = f"Content-Encoding `{shown(encoding)}`: mParticle documents no compression; turn it off."
        return _error("content_encoding", sentence), "Invalid JSON."
    sentence = f"The body is not JSON in UTF-8: {shown(str(error))}."
    return _error("bad_json", sentence), "Invalid JSON."


def wrong_root(request: Request, content: object) -> tuple[Finding, str] | None:
    """A body of the wrong kind for its path, or with too many batches."""
    bulk = "/bulkevents" in request.path
    if bulk and not isinstance(content, list):
        finding = _error("root_not_array", "/v2/bulkevents takes an array of batches: put it in brackets.")
        return (
            finding,
            "The type requires a JSON array to deserialize correctly. Path '', line 1, position 1.",
        )
    if not bulk and not isinstance(content, dict):
        finding = _error("root_not_object", "/v2/events takes one batch: send arrays to /v2/bulkevents.")
        return (
            finding,
            "The type requires a JSON object to deserialize correctly. Path '', line 1, position 1.",
        )
    if isinstance(content, list) and len(content) > MAX_BATCHES:
        sentence = f"{len(content)} batches in one request, and {MAX_BATCHES} are allowed: send several."
        return _error("too_many_batches", sentence), f"More than {MAX_BATCHES} batches in one request."
    return None


def request_problems(request: Request, document: Document, batches: Sequence[object]) -> Iterator[Problem]:
    """What is odd about a request whose batches could be read."""
    if request.content_type != "application/json":
        sentence = f"Content-Type is `{shown(request.content_type)}`: send application/json."
        yield _about_request(Rank.ADVICE, "bad_content_type", sentence)
    if request.path.endswith("/"):
        yield _about_request(Rank.ADVICE, "trailing_slash", "The path ends in `/`: leave that away.")
    for name in document.repeated_keys:
        sentence = f"`{shown(name)}` stands twice in one object, and only the last counts."
        yield _about_request(Rank.ADVICE, f"repeated_key:{shown(name)}", sentence)
    if not batches:
        yield _about_request(Rank.ADVICE, "no_batches", "The array is empty: do not send it.")
    if len(batches) > 1 and sum(_event_count(batch) for batch in batches) > MAX_EVENTS:
        sentence = f"More than {MAX_EVENTS} events in one request: send several."
        yield _about_request(Rank.LOSS, "too_many_events", sentence)


def sizes(document: Document, body_bytes: int, limit: int) -> list[int]:
    """Bytes of each batch as sent; a body within the limit is not looked into, since none can be over it."""
    if not isinstance(document.content, list):
        return [body_bytes]
    if body_bytes <= limit:
        return [0] * len(document.content)
    return [len(document.text[start:end].encode()) for start, end in spans(document.text)]


def _event_count(batch: object) -> int:
    events = batch.get("events") if isinstance(batch, dict) else None
    return len(events) if isinstance(events, list) else 0


def _about_request(rank: Rank, code: str, sentence: str) -> Problem:
    return Problem(rank, code, (), sentence)


def _error(code: str, sentence: str) -> Finding:
    return Finding(code, "error", sentence)
