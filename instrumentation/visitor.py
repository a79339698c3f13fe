"""
The visitor: who is acting, and where.

    with visitor(user_id="u-1", page_group="Checkout"):     for a block; also async with
    @visitor(lambda call: {"user_id": call.arguments["user"]})     for a function
    set_visitor(user_id="u-1")      known from here on, in the block or request around

A visitor holds for what runs inside: across `await`, in tasks, and in threads started with a copied context.
It never stands in baggage or in outgoing headers. Visitors of requests come from `middleware`; onto spans
and log records of any library they are put by the processors in `otel_vendor_exporters.visitor`.
What may be told, and how it is read, stands in `visitor_details`.
Rule: what is wrong with a visitor is said once and left out; it never fails the application, and what is told
under an id that cannot be used is nobody's rather than another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from opentelemetry import trace

from instrumentation.captures import Call, Site
from instrumentation.decorators import Decorator
from instrumentation.probes import Args, Kwargs
from instrumentation.visitor_details import (
    NOBODY,
    SITE,
    VisitorDetails,
    fields_of,
    known_fields_of,
    wrong_names_in,
)
from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.attributes import VISITOR, VisitorFields, VisitorScope

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue
    from typing_extensions import Unpack

_Attributes: TypeAlias = Mapping[str, object]


def visitor(
    of: Callable[[Call], VisitorDetails | None] | None = None, /, **details: Unpack[VisitorDetails]
) -> VisitorDecorator:
    """
    Say who is acting in a block, or in a function's calls: a context manager and a decorator.

    What is not told is inherited from the visitor around; another user inherits no identities, attributes or
    consent, another session no start and length. An id that was told and cannot be used, or an `of` that
    fails, is another user whom nobody knows. `of` reads the details off each call of the function.
    Raises TypeError for a detail that does not exist.
    """
    _check(details)
    return VisitorDecorator("visitor", partial(VisitorProbe, of=of, told=fields_of(details)))


def set_visitor(**details: Unpack[VisitorDetails]) -> None:
    """
    Tell more of the visitor of a request that `VisitorMiddleware` wraps, in all its threads and tasks.

    Elsewhere for the rest of the block, or without one of the thread or task; what a task or thread tells
    that began in the block is its own. Spans that began in it are told when they are current, or outermost.
    It never waits, so signal handlers and finalizers may call it.
    Raises TypeError for a detail that does not exist.
    """
    _check(details)
    told = fields_of(details)
    scope = VISITOR.get()
    if scope is not None and scope.is_shared:
        scope.tell(partial(_known, told=told))
    else:
        scope = _scope_told_here(scope, told)
        VISITOR.set(scope)
    _tell_running_spans(scope, VisitorScope(_usable(told)).attributes(names.DEFAULT_VISITOR_FIELDS))


def current_visitor() -> Mapping[str, object]:
    """All that is known of the current visitor, by attribute name; empty without one."""
    scope = VISITOR.get()
    return {} if scope is None else dict(scope.attributes(names.ALL_VISITOR_FIELDS))


def stamp_server_span(scope: VisitorScope) -> None:
    """Put the visitor's default fields on the span that a server began before the visitor was known."""
    try:
        span: Any = trace.get_current_span()  # Any: the API's has no attributes to be read, the SDK's has
        if span.is_recording():
            own = getattr(span, "attributes", None)
            span.set_attributes(scope.attributes_beside(own, names.DEFAULT_VISITOR_FIELDS))
    except Exception as fault:  # noqa: BLE001 - a span may be of any package
        SITE.report("span", fault)


def _tell_running_spans(scope: VisitorScope, told: Mapping[str, object]) -> None:
    """
    Put what became known on spans that began before, so that no processor could.

    That is the current one, and the outermost one of the block or request.
    """
    try:
        stamp = cast("Mapping[str, AttributeValue]", told)
        current = trace.get_current_span()
        if current is not scope.around and current.is_recording():
            current.set_attributes(stamp)
        if scope.span not in (None, current) and scope.span.is_recording():
            scope.span.set_attributes(stamp)
    except Exception as fault:  # noqa: BLE001 - as above
        SITE.report("span", fault)


def scope_of(details: VisitorDetails, around: VisitorScope | None) -> VisitorScope:
    """A visitor inside another. What is wrong with a detail is reported, not raised: it is a callback's."""
    try:
        return _inside(around, known_fields_of(dict(details), SITE))
    except Exception as fault:  # noqa: BLE001 - names, too, may be any objects
        SITE.report("details", fault)
        return _inside(around, NOBODY)


def _scope_told_here(before: VisitorScope | None, told: VisitorFields) -> VisitorScope:
    """The scope from here on, in this task alone; of another's scope the running spans are not told."""
    scope = _inside(before, told)
    if before is None:
        scope.span = trace.get_current_span()
    elif before.is_of_this_task():
        scope.span, scope.around = before.span, before.around
    else:
        scope.around = before.span or before.around
    return scope


def left(token: Token[VisitorScope | None]) -> None:
    """Make the visitor around current again."""
    try:
        VISITOR.reset(token)
    except (
        ValueError,
        RuntimeError,
    ):  # ended elsewhere, by the garbage collector say; nothing is current there
        return


class VisitorDecorator(Decorator):
    """What `visitor(...)` gives: put it on a function or a class, or enter it."""

    def __enter__(self) -> None:
        self._enter()

    async def __aenter__(self) -> None:
        self._enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit(error)


class _Stay:
    """One run under a visitor."""

    __slots__ = ("inner", "token")

    inner: VisitorScope | None

    def __init__(self, token: Token[VisitorScope | None]) -> None:
        self.token = token


class VisitorProbe:
    """Makes a visitor current while a function's body or a block runs; records nothing (see `Probe`)."""

    def __init__(
        self, site: Site, of: Callable[[Call], VisitorDetails | None] | None, told: VisitorFields
    ) -> None:
        self._site = site
        self._of = of
        self._told = told

    def start(self, args: Args, kwargs: Kwargs) -> _Stay:
        """Enter."""
        told = self._told if self._of is None else self._told_by_call(args, kwargs)
        scope = _inside(VISITOR.get(), told)
        scope.around = trace.get_current_span()
        return _Stay(VISITOR.set(scope))

    def suspend(self, scope: _Stay) -> None:
        """Leave, remembering what was current inside."""
        scope.inner = VISITOR.get()
        left(scope.token)

    def resume(self, scope: _Stay) -> None:
        """Enter again."""
        scope.token = VISITOR.set(scope.inner)

    def stop(self, scope: _Stay, result: object, error: BaseException | None) -> None:  # noqa: ARG002
        """Leave."""
        left(scope.token)

    def _told_by_call(self, args: Args, kwargs: Kwargs) -> VisitorFields:
        assert self._of is not None
        try:
            details = self._of(Call(self._site.arguments(args, kwargs)))
            return _joined(self._told, known_fields_of(dict(details or {}), self._site))
        except Exception as fault:  # noqa: BLE001 - application code
            self._site.report("visitor", fault)
            return _joined(self._told, NOBODY)


def _inside(around: VisitorScope | None, told: VisitorFields) -> VisitorScope:
    return VisitorScope(_usable(told) if around is None else _known(around.fields, told))


def _known(around: VisitorFields, told: VisitorFields) -> VisitorFields:
    return _usable(_joined(around, told))


def _joined(around: VisitorFields, told: VisitorFields) -> VisitorFields:
    """What is told, and of what was known around it all that can still be true."""
    if not told:
        return around
    kept = dict(around)
    if _is_someone_else(around.get("ids", {}), told.get("ids", {})):
        for field in ("ids", *names.PERSONAL_VISITOR_FIELDS):
            kept.pop(field, None)
    if _is_another(around.get("session", {}), told.get("session", {}), names.SESSION_ID):
        kept.pop("session", None)
    for field, attributes in told.items():
        kept[field] = {**kept.get(field, {}), **attributes}
    return kept


def _is_someone_else(before: _Attributes, now: _Attributes) -> bool:
    """Whether another user is told; or an id that cannot be used, which may be another's."""
    if _is_another(before, now, names.USER_ID):
        return True
    is_the_same = now.get(names.USER_ID) is not None and names.USER_ID in before
    return None in now.values() and not is_the_same


def _is_another(before: _Attributes, now: _Attributes, name: str) -> bool:
    return name in now and before.get(name) is not None and before[name] != now[name]


def _usable(fields: VisitorFields) -> VisitorFields:
    """The fields without ids that cannot be used."""
    if not any(None in fields.get(field, {}).values() for field in ("ids", "session")):
        return fields
    return {
        field: {name: value for name, value in attributes.items() if value is not None}
        for field, attributes in fields.items()
    }


def _check(details: Iterable[str]) -> None:
    for wrong in wrong_names_in(details):
        raise TypeError(wrong.words)
