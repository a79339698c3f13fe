"""
Mapping: from the SDK's spans to timings.

Pure. Which timer a span is: its attribute `mpulse.timer`, else the `timers` setting, else its own name.
Only names the app defines are sent; the others are counted and named, because mPulse itself would answer 204
to them all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeAlias

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.interrupts import let_through
from otel_vendor_exporters.mpulse.budget import SAMPLED_OUT
from otel_vendor_exporters.mpulse.contexts import Contexts
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.unfit import NoTiming, Unfit, attribute_of, unfit, unreadable
from otel_vendor_exporters.mpulse.units import Session, Timing, Unit
from otel_vendor_exporters.mpulse.wire import MOST_MILLISECONDS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import Attributes

_MOST_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 1000
_TOO_LONG_NANOSECONDS = MOST_MILLISECONDS * 1_000_000 + 500_000  # would be rounded to more than the most
_tuple = tuple.__new__  # makes a timing as Timing(…) does, without its call in between
Keeps = Callable[[str, int, int], bool]  # timer name, trace id, span id
_Given: TypeAlias = "tuple[Definitions | None, Names, Contexts, Session | None, Keeps | None]"


@dataclass(slots=True)
class Mapped:
    """What became of source records: units to keep, counts of those left out, and names nobody defined."""

    units: list[Unit] = field(default_factory=list)
    records: int = 0  # source records that are in `units`, or would be but for their session
    session_limited: int = 0  # timings that mPulse wants nothing of
    ignored: Counter[str] = field(default_factory=Counter)
    undefined: Counter[str] = field(default_factory=Counter)
    either: set[str] = field(default_factory=set)  # those of `undefined` that could be metric or timer
    left_out: Counter[str] = field(default_factory=Counter)  # values of mapped records that have no place
    unfit: set[Unfit] = field(default_factory=set)  # those of `ignored` and `left_out` that are to be said
    no_timings: dict[str, NoTiming] = field(default_factory=dict)  # by the metric that is kept for it


class Names:
    """Names by a setting of globs, else as they are."""

    def __init__(self, globs: Mapping[str, str]) -> None:
        self._globs = globs
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The definition name for `name`; what is no text stays what it is."""
        if not isinstance(name, str):  # the SDK takes anything for a span's name
            return name
        known = self._known.get(name)
        if known is None:
            match = (to for glob, to in self._globs.items() if fnmatchcase(name, glob))
            known = next(match, name)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known = {}
            if len(name) <= _LONGEST_REMEMBERED:
                self._known[name] = known
        return known


def timings_from(
    spans: Sequence[ReadableSpan],
    definitions: Definitions | None,
    timers: Names,
    contexts: Contexts,
    process_session: Session | None,
    keeps: Keeps | None = None,
) -> Mapped:
    """A timing for every span that is a timer. While `definitions` are unknown every span may be one."""
    mapped = Mapped()
    given = (definitions, timers, contexts, process_session, keeps)
    try:
        _add_timings(mapped, spans, *given)
    except Exception as error:  # noqa: BLE001  one span is malformed: each by itself, so that the others are sent
        let_through(error)
        mapped = Mapped()
        for span in spans:
            _add_span(mapped, span, given)
    mapped.records = len(mapped.units) + mapped.session_limited
    return mapped


def _add_span(mapped: Mapped, span: ReadableSpan, given: _Given) -> None:
    try:
        _add_timings(mapped, (span,), *given)
    except Exception as error:  # noqa: BLE001  whatever is wrong with a span, the next is not
        reason = unreadable(error)
        mapped.ignored[reason] += 1
        mapped.unfit.add(unfit(attribute_of(span, "name"), reason))


def _add_timings(
    mapped: Mapped,
    spans: Sequence[ReadableSpan],
    definitions: Definitions | None,
    timers: Names,
    contexts: Contexts,
    process_session: Session | None,
    keeps: Keeps | None,
) -> None:
    defined = None if definitions is None or definitions.sends_undefined else definitions.timers
    for span in spans:
        attributes = _plain(span.attributes)
        timer = attributes.get(names.MPULSE_TIMER) or timers.of(span.name)
        start, end = span.start_time, span.end_time
        if (
            not isinstance(timer, str)
            or not isinstance(start, int)
            or not isinstance(end, int)
            or not 0 <= end - start < _TOO_LONG_NANOSECONDS
        ):
            reason = _reason_to_ignore(timer, start, end)
            mapped.ignored[reason] += 1
            mapped.unfit.add(unfit(timer, reason))
            continue
        if defined is not None and timer not in defined:
            mapped.undefined[timer] += 1
            continue
        if attributes.get(names.MPULSE_SESSION_LIMITED) is True:
            mapped.session_limited += 1  # mPulse told the visitor's browser to send nothing of this session
            continue
        if keeps is not None and not keeps(timer, span.context.trace_id, span.context.span_id):
            mapped.ignored[SAMPLED_OUT] += 1
            continue
        end_unix_ms = end // 1_000_000
        context = contexts.context(
            attributes,
            span.resource,
            definitions,
            process_session,
            start // 1_000_000,
            mapped.left_out,
            route=True,
        )
        milliseconds = (end - start + 500_000) // 1_000_000  # rounded half up
        mapped.units.append(_tuple(Timing, (timer, milliseconds, end_unix_ms, context)))


def _plain(attributes: Attributes) -> Mapping[str, object]:
    """A dictionary: the SDK's own mapping takes ten times as long for each question."""
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes or {})


def _reason_to_ignore(timer: object, start: int | None, end: int | None) -> str:
    if not isinstance(timer, str):
        return "timer_name_is_not_text"
    if start is None or end is None:
        return "not_ended"
    if not isinstance(start, int) or not isinstance(end, int):
        return "time_is_not_whole_nanoseconds"  # the SDK takes start_time=time.time() * 1e9
    return "negative_duration" if end < start else "too_long"
