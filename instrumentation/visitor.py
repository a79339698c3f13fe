"""
The visitor: who is acting, and where.

    with visitor(user_id="u-1", page_group="Checkout"):     for a block; also async with
    @visitor(lambda call: {"user_id": call.arguments["user"]})     for a function
    set_visitor(user_id="u-1")      known from here on, in the block or request around

A visitor holds for what runs inside: across `await`, in tasks, and in threads started with a copied context.
It never stands in baggage or in outgoing headers. Visitors of requests come from `middleware`; onto spans
and log records of any library they are put by the processors in `otel_vendor_exporters.visitor`.
Rule: what is wrong with a visitor is said once and left out; it never fails the application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Token
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from opentelemetry import trace

from instrumentation.captures import Call, Site
from instrumentation.decorators import Decorator
from instrumentation.probes import Args, Kwargs
from instrumentation.redaction import cut
from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.attributes import VISITOR, VisitorFields, VisitorScope

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue
    from typing_extensions import Unpack

SITE: Final = Site("visitor")
_MOST_TEXT: Final = 1024
_LONGEST_SHOWN: Final = 40
_MOST_ELEMENTS: Final = 1000
_MOST_NUMBER: Final = 10**15


class VisitorDetails(TypedDict, total=False):
    """
    What may be told of a visitor. What is None is not told.

    `session_start_unix_ms` is in milliseconds since the epoch, `session_length` counts page views, and
    `session_limited` says that mPulse wants nothing of this session. `identities` go by short names (email,
    name, full_name, hash, mpid) or mParticle's (google, facebook, ...). `consent` goes by purpose:
    {"gdpr.analytics": True, "ccpa.data_sale_opt_out": False}.
    """

    user_id: str | int | None
    anonymous_id: str | int | None
    identities: Mapping[str, str] | None
    session_id: str | None
    session_start_unix_ms: int | None
    session_length: int | None
    session_limited: bool | None
    page_group: str | None
    ab_test: str | None
    dimensions: Mapping[str, str | bool | int | float] | None
    user_attributes: Mapping[str, str | bool | int | float | Sequence[str]] | None
    consent: Mapping[str, bool] | None
    client_address: str | None
    user_agent: str | None


def visitor(
    of: Callable[[Call], VisitorDetails | None] | None = None, /, **details: Unpack[VisitorDetails]
) -> VisitorDecorator:
    """
    Say who is acting in a block, or in a function's calls: a context manager and a decorator.

    What is not told is inherited from the visitor around; another user inherits no identities, attributes or
    consent, another session no start and length. `of` reads the details off each call of the function.
    Raises TypeError for a detail that does not exist.
    """
    _check(details)
    return VisitorDecorator("visitor", partial(VisitorProbe, of=of, told=_fields_of(details)))


def set_visitor(**details: Unpack[VisitorDetails]) -> None:
    """
    Tell more of the visitor of a request that `VisitorMiddleware` wraps, in all its threads and tasks.

    Elsewhere for the rest of the block, or without one of the thread or task; what a task or thread tells
    that began in the block is its own. Spans that began in it are told when they are current, or outermost.
    It never waits, so signal handlers and finalizers may call it.
    Raises TypeError for a detail that does not exist.
    """
    _check(details)
    told = _fields_of(details)
    scope = VISITOR.get()
    if scope is not None and scope.is_shared:
        scope.tell(partial(merged, told=told))
    else:
        scope = _scope_told_here(scope, told)
        VISITOR.set(scope)
    _tell_running_spans(scope, VisitorScope(told).attributes(names.DEFAULT_VISITOR_FIELDS))


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
        return _inside(around, _known_fields(dict(details), SITE))
    except Exception as fault:  # noqa: BLE001 - names, too, may be any objects
        SITE.report("details", fault)
        return _inside(around, {})


def _known_fields(details: Mapping[str, object], site: Site) -> VisitorFields:
    """The fields of details that a callback told; a name that does not exist is said, and the others stay."""
    wrong = _wrong_name_in(details)
    if wrong:
        site.report("details", TypeError(), wrong)
    return _fields_of(details)


def _inside(around: VisitorScope | None, told: VisitorFields) -> VisitorScope:
    return VisitorScope(told if around is None else merged(around.fields, told))


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
            return merged(self._told, _known_fields(dict(details or {}), self._site))
        except Exception as fault:  # noqa: BLE001 - application code
            self._site.report("visitor", fault)
            return self._told


def merged(around: VisitorFields, told: VisitorFields) -> VisitorFields:
    """What is told, and of what was known around it all that can still be true."""
    if not told:
        return around
    kept = dict(around)
    if _differ(around, told, "ids", names.USER_ID):
        for field in ("ids", *names.PERSONAL_VISITOR_FIELDS):
            kept.pop(field, None)
    if _differ(around, told, "session", names.SESSION_ID):
        kept.pop("session", None)
    for field, attributes in told.items():
        kept[field] = {**kept.get(field, {}), **attributes}
    return kept


def _differ(around: VisitorFields, told: VisitorFields, field: str, name: str) -> bool:
    before, now = around.get(field, {}).get(name), told.get(field, {}).get(name)
    return before is not None and now is not None and before != now


def _check(details: Mapping[str, object]) -> None:
    wrong = _wrong_name_in(details)
    if wrong:
        raise TypeError(wrong)


def _wrong_name_in(details: Iterable[str]) -> str:
    """What is wrong with the first name that is no detail's, and the nearest one; empty without any."""
    for name in details:
        if name not in _DETAILS:
            from difflib import get_close_matches  # only here: it is slow to import

            shown = cut(str(name), _LONGEST_SHOWN)
            nearest = get_close_matches(shown, _DETAILS, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(_DETAILS)}"
            return f"a visitor has no {shown!r}: {hint}"
    return ""


def _fields_of(details: Mapping[str, object]) -> VisitorFields:
    """Details by keyword as attributes by field; what does not fit is reported and left out."""
    fields: dict[str, dict[str, object]] = {}
    for detail, value in details.items():
        if value is None or detail not in _DETAILS:
            continue
        field, attributes_of = _DETAILS[detail]
        try:
            attributes = attributes_of(value)
        except Exception as fault:  # noqa: BLE001 - a lazy object asks a database, which may be down
            SITE.report(detail, fault)
            continue
        if attributes:
            fields.setdefault(field, {}).update(attributes)
    return fields


# From a detail's value to attributes. Raises TypeError or ValueError for what is no such value, and whatever
# an object of the application raises.

_AttributesOf = Callable[[Any], Mapping[str, object]]  # Any: whatever the application tells


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value[:_MOST_TEXT]


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    if not 0 <= value < _MOST_NUMBER:
        raise ValueError("out of range")
    return int(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither True nor False")
    return value


def _plain_value(value: object) -> object:
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_text(each) for each in islice(value, _MOST_ELEMENTS))
    return _text(value)


def _one(name: str, read: Callable[[object], object]) -> _AttributesOf:
    def attributes(value: object) -> Mapping[str, object]:
        found = read(value)
        return {} if found == "" else {name: found}

    return attributes


def _many(name_of: Callable[[str], str], read: Callable[[object], object]) -> _AttributesOf:
    def attributes(values: Mapping[str, object]) -> Mapping[str, object]:
        told = islice(values.items(), _MOST_ELEMENTS)
        return {name_of(key): read(value) for key, value in told if value is not None}

    return attributes


_SHORT_IDENTITIES: Final = {
    "email": names.USER_EMAIL,
    "name": names.USER_NAME,
    "full_name": names.USER_FULL_NAME,
    "hash": names.USER_HASH,
    "mpid": names.MPARTICLE_MPID,
}


def _identity(name: str) -> str:
    return _SHORT_IDENTITIES.get(name, names.MPARTICLE_IDENTITY_PREFIX + name)


_DETAILS: Final[Mapping[str, tuple[str, _AttributesOf]]] = {
    "user_id": ("ids", _one(names.USER_ID, _text)),
    "anonymous_id": ("ids", _one(names.ENDUSER_PSEUDO_ID, _text)),
    "identities": ("identities", _many(_identity, _text)),
    "session_id": ("session", _one(names.SESSION_ID, _text)),
    "session_start_unix_ms": ("session", _one(names.MPULSE_SESSION_START_UNIX_MS, _count)),
    "session_length": ("session", _one(names.MPULSE_SESSION_LENGTH, _count)),
    "session_limited": ("session", _one(names.MPULSE_SESSION_LIMITED, _flag)),
    "page_group": ("page_group", _one(names.MPULSE_PAGE_GROUP, _text)),
    "ab_test": ("ab_test", _one(names.MPULSE_AB_TEST, _text)),
    "dimensions": ("dimensions", _many(names.MPULSE_DIMENSION_PREFIX.__add__, _plain_value)),
    "user_attributes": (
        "user_attributes",
        _many(names.MPARTICLE_USER_ATTRIBUTE_PREFIX.__add__, _plain_value),
    ),
    "consent": ("consent", _many(names.MPARTICLE_CONSENT_PREFIX.__add__, _flag)),
    "client_address": ("client", _one(names.CLIENT_ADDRESS, _text)),
    "user_agent": ("client", _one(names.USER_AGENT_ORIGINAL, _text)),
}
