"""
Context: what an event tells besides its own attributes: of its resource, scope, record or span.

Pure. What a resource and a scope contribute is written down once, since thousands of records share them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.mparticle_analytics.texts import SURELY_SHORT, Shown, cut, property_texts

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

Pairs = tuple[tuple[str, str], ...]
_MOST_REMEMBERED = 1_000
_UNKNOWN_SERVICE = "unknown_service"  # what the SDK says when nobody named the service
_BODY = "log.body"


class Context:
    """Finds the chosen properties of a record's surroundings. Any thread may call."""

    def __init__(
        self,
        chosen: Sequence[str],
        lets: Callable[[str], bool] = lambda _: True,
        lets_inner: Callable[[str], bool] = lambda _: True,
        shown: Callable[[str], Shown | None] = lambda _: None,
    ) -> None:
        """
        `lets` says of names whether they may be sent, `lets_inner` of dotted ones that come of maps, and
        `shown` what of their texts.
        """
        chosen = tuple(name for name in dict.fromkeys(chosen) if lets(name))  # no name twice
        self._lets_inner, self._shown = lets_inner, shown
        own = {*_OF_LOG, *_OF_SPAN, _BODY, names.OTEL_SCOPE_NAME, names.OTEL_SCOPE_VERSION}
        self._of_resource = [name for name in chosen if name not in own]
        self._of_scope = [
            name for name in chosen if name in (names.OTEL_SCOPE_NAME, names.OTEL_SCOPE_VERSION)
        ]
        self._of_log = [(name, _OF_LOG[name]) for name in chosen if name in _OF_LOG]
        self._of_span = [(name, _OF_SPAN[name]) for name in chosen if name in _OF_SPAN]
        self._tells_body = _BODY in chosen
        # By identity; the objects are kept, so that no other takes their place.
        self._known: dict[tuple[int, int], tuple[object, object, Pairs]] = {}

    def of_log(self, record: ReadableLogRecord, event_name: object) -> list[tuple[str, str]]:
        """Names and texts of what is told of a log record."""
        pairs = list(self._shared(record.resource, record.instrumentation_scope))
        log = record.log_record
        for name, read in self._of_log:
            text = read(log)
            if text:
                pairs.append((name, text))
        body = log.body
        if not self._tells_body or body is None or (isinstance(body, str) and body == event_name):
            return pairs
        if type(body) is str and len(body) <= SURELY_SHORT:
            pairs.append((_BODY, body))
        else:
            pairs.extend(property_texts({_BODY: body}, Counter(), self._lets_inner, self._shown).items())
        return pairs

    def of_span(self, span: ReadableSpan) -> list[tuple[str, str]]:
        """Names and texts of what is told of a span."""
        pairs = list(self._shared(span.resource, span.instrumentation_scope))
        for name, read in self._of_span:
            text = read(span)
            if text:
                pairs.append((name, text))
        return pairs

    def _shared(self, resource: Resource, scope: InstrumentationScope | None) -> Pairs:
        key = (id(resource), id(scope))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known = {}
            known = self._known[key] = (resource, scope, self._shared_pairs(resource, scope))
        return known[2]

    def _shared_pairs(self, resource: Resource | None, scope: InstrumentationScope | None) -> Pairs:
        told: Mapping[str, object] = resource.attributes if resource is not None else {}
        chosen = {name: told[name] for name in self._of_resource if name in told}
        if str(chosen.get(names.SERVICE_NAME, "")).startswith(_UNKNOWN_SERVICE):
            del chosen[names.SERVICE_NAME]
        if scope is not None:
            of_scope = {names.OTEL_SCOPE_NAME: scope.name, names.OTEL_SCOPE_VERSION: scope.version or None}
            chosen.update({name: of_scope[name] for name in self._of_scope})
        return tuple(property_texts(chosen, Counter(), self._lets_inner, self._shown).items())


def _trace_id(of: object) -> str:
    number = getattr(of, "trace_id", None)
    return f"{number:032x}" if number else ""


def _span_id(of: object) -> str:
    number = getattr(of, "span_id", None)
    return f"{number:016x}" if number else ""


def _severity_text(log: LogRecord) -> str:
    text = log.severity_text
    return cut(text) if isinstance(text, str) else ""


_OF_LOG: dict[str, Callable[..., str]] = {
    "log.severity_text": _severity_text,
    "trace_id": _trace_id,
    "span_id": _span_id,
}
_OF_SPAN: dict[str, Callable[..., str]] = {
    "span.name": lambda span: cut(str(span.name)),
    "trace_id": lambda span: _trace_id(span.context),
    "span_id": lambda span: _span_id(span.context),
}
