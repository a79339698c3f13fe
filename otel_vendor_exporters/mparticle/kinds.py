"""
Kinds: which event a record is, and what that kind of event takes from it.

Pure. Section 8 of the wire contract, as tables: the name of a record, or an exception among its attributes,
decides its kind; a kind says which attributes it may use up and how its fields are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple, TypeAlias, TypeVar

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.events import (
    ApplicationStateTransition,
    Breadcrumb,
    CommerceEvent,
    CrashReport,
    CustomEvent,
    Event,
    NetworkPerformance,
    ScreenView,
    SessionEnd,
    SessionStart,
)
from otel_vendor_exporters.mparticle.texts import MOST_NAME_LENGTH, cut, text_of, value_text
from otel_vendor_exporters.mparticle.units import Owner

Data: TypeAlias = "dict[str, object]"  # of one event, being filled
T = TypeVar("T")

FATAL, ERROR = 21, 17  # the least severity numbers of their names
_MOST_INT32 = 2**31 - 1
_TRUE = frozenset({True, "true", "True"})  # the SDK writes exception.escaped as a text

_EXCEPTION_NAMES = frozenset({"exception", "app.crash"})
_EXCEPTION_ENDING = ".exception"  # http.server.request.exception, db.client.operation.exception, ...

# By severity number, lowest first; none, as span events have it, is an error.
_SEVERITIES = ((1, "debug"), (9, "info"), (13, "warning"), (ERROR, "error"), (FATAL, "fatal"))

_SCREEN_NAMES = ("app.screen.name", "app.screen.id", "url.path", "browser.document.url.full")
_TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("android.app.state", "created"): "application_initialized",
    ("android.app.state", "foreground"): "application_foreground",
    ("android.app.state", "background"): "application_background",
    ("ios.app.state", "active"): "application_foreground",
    ("ios.app.state", "foreground"): "application_foreground",
    ("ios.app.state", "inactive"): "application_background",
    ("ios.app.state", "background"): "application_background",
    ("ios.app.state", "terminate"): "application_exit",
}
# Stable names first, then those of semantic conventions before 1.23.
_METHODS = ("http.request.method", "http.method")
_URLS = ("url.full", "http.url")
_STATUSES = ("http.response.status_code", "http.status_code")
_BYTES_IN = ("http.response.body.size", "http.response.size", "http.response_content_length")
_BYTES_OUT = ("http.request.body.size", "http.request.size", "http.request_content_length")


@dataclass(slots=True)
class Told:
    """
    What a record says: `own` is for its kind to use up, `rest` are custom attributes, ready.

    What is taken from `own` is gone; what is left of it in the end goes to `rest`. `body` is None once used.
    """

    kind: Kind
    name: str
    unix_ms: int
    message_id: str
    own: dict[str, object]
    rest: dict[str, str]
    body: object = None
    severity: int = 0
    custom_type: str = "other"
    duration_ms: int = 0
    session_id: str = ""

    def first(self, *attributes: str) -> object:
        """The first of these that says something, taken; the others stay."""
        for name in attributes:
            if not _is_blank(self.own.get(name)):
                return self.own.pop(name)
        return None

    def only(self, attributes: tuple[str, ...]) -> object:
        """The first of these that says something; all are taken, as they are names of one thing."""
        said = [self.own.pop(name) for name in attributes if name in self.own]
        return next((value for value in said if value is not None), None)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """
    A kind of event: its class, the attributes it may use up, and how its own fields are made.

    Fields are right as they are made; only those of a `foreign` kind are the application's and are checked.
    """

    event: type[Event]
    fill: Callable[[Told, Data], None]
    takes: Mapping[str, str] = field(default_factory=dict)  # attribute to the field it becomes
    body_as: str = ""  # the field that the record's body may become
    has_details: bool = True  # attributes, flags, place: everything but the start of a session
    foreign: bool = False


def kind_of_name(name: str, screens: frozenset[str]) -> Kind:
    """The kind of a record with that event name."""
    if name in _NAMED:
        return _NAMED[name]
    if name in _EXCEPTION_NAMES or name.endswith(_EXCEPTION_ENDING):
        return CRASH
    return SCREEN if name in screens else CUSTOM


def default_type(name: str) -> str:
    """The type of a custom event whose name no setting knows."""
    return "navigation" if name in ("app.screen.click", "app.widget.click") else "other"


def _custom_event(told: Told, data: Data) -> None:
    data["event_name"] = cut(told.name, MOST_NAME_LENGTH)
    data["custom_event_type"] = told.custom_type


def _screen_view(told: Told, data: Data) -> None:
    name = told.first(*_SCREEN_NAMES)
    data["screen_name"] = cut(told.name if name is None else text_of(name), MOST_NAME_LENGTH)


def _crash_report(told: Told, data: Data) -> None:
    said_type = told.only(("exception.type",))
    trace = told.only(("exception.stacktrace",))
    context = told.only(("code.function.name", "code.function"))
    if told.name:
        told.rest["event_name"] = value_text(told.name)
    _add(
        data,
        class_name=_text(said_type),
        message=_crash_message(told, said_type),
        severity=_severity(told),
        stack_trace=_text(trace),
        exception_handled=not _ends_the_application(told),
        topmost_context=_text(context),
    )


def _crash_message(told: Told, said_type: object) -> str:
    """Required, so something is said in any case."""
    said = told.only(("exception.message",))
    if said in (None, "") and told.body not in (None, ""):
        said, told.body = told.body, None
    if said in (None, ""):
        said = said_type
    return "unknown" if said in (None, "") else value_text(said)


def _severity(told: Told) -> str:
    if told.name == "app.crash":
        return "fatal"
    words = [word for least, word in _SEVERITIES if told.severity >= least]
    return words[-1] if words else "error"


def _ends_the_application(told: Told) -> bool:
    """`logger.exception` is ERROR although the exception was handled: only FATAL says it was not."""
    escaped = told.only(("exception.escaped",))
    return (
        told.severity >= FATAL
        or told.name == "app.crash"
        or (isinstance(escaped, (str, bool)) and escaped in _TRUE)
    )


def _transition(told: Told, data: Data) -> None:
    states = (
        (name, text_of(told.own.pop(name)))
        for name in ("android.app.state", "ios.app.state")
        if name in told.own
    )
    transition = next((_TRANSITIONS[state] for state in states if state in _TRANSITIONS), None)
    if transition is None:
        raise EncodingError("device.app.lifecycle has no state that mParticle knows", field="app.state")
    data["application_transition_type"] = transition


def _commerce_event(told: Told, data: Data) -> None:
    body, told.body = told.body, None
    if not isinstance(body, Mapping):
        raise EncodingError("commerce_event takes a body that is a map", field="commerce_event")
    unknown = [key for key in body if key not in _COMMERCE_FIELDS]
    if unknown:
        raise EncodingError("commerce_event has keys that mParticle does not know", field="commerce_event")
    data.update(body)


def _breadcrumb(told: Told, data: Data) -> None:
    label, told.body = told.body, None
    text = "" if label is None else value_text(label)
    if _is_blank(text):  # mParticle would refuse the whole batch for it
        raise EncodingError("breadcrumb.label is empty", field="breadcrumb.label")
    data["label"] = text


def _session_end(told: Told, data: Data) -> None:
    data["session_duration_ms"] = told.duration_ms


def _network_performance(told: Told, data: Data) -> None:
    url, status = told.only(_URLS), told.only(_STATUSES)
    if not url:
        raise EncodingError("network_performance.url is missing", field="network_performance.url")
    _add(
        data,
        http_verb=_text(told.only(_METHODS)),
        url=text_of(url),
        response_code=_size(status) or 0,
        time_elapsed=min(told.duration_ms, _MOST_INT32),
        bytes_in=_size(told.only(_BYTES_IN)),
        bytes_out=_size(told.only(_BYTES_OUT)),
    )


def _nothing(told: Told, data: Data) -> None:
    pass


def _add(data: Data, **fields: object) -> None:
    data.update({name: value for name, value in fields.items() if value is not None})


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: object) -> str | None:
    return None if value is None else text_of(value)


def _size(value: object) -> int | None:
    """Too much for Int32 is the most it holds: one byte more would refuse the batch."""
    return min(value, _MOST_INT32) if type(value) is int and value >= 0 else None


_COMMERCE_FIELDS = frozenset(
    {
        *("product_action", "promotion_action", "product_impressions", "shopping_cart", "currency_code"),
        *("screen_name", "is_non_interactive"),
    }
)

CUSTOM = Kind(CustomEvent, _custom_event)
CONTEXT = Kind(Event, _nothing)  # of a span, as far as its events share it
SCREEN = Kind(ScreenView, _screen_view, dict.fromkeys(_SCREEN_NAMES, "screen_name"))
CRASH = Kind(
    CrashReport,
    _crash_report,
    {
        "exception.type": "class_name",
        "exception.message": "message",
        "exception.stacktrace": "stack_trace",
        "exception.escaped": "exception_handled",
        "code.function.name": "topmost_context",
        "code.function": "topmost_context",
    },
    body_as="message",
)
BREADCRUMB = Kind(Breadcrumb, _breadcrumb, body_as="label")
SESSION_START = Kind(SessionStart, _nothing, {"session.previous_id": "session_uuid"}, has_details=False)
SESSION_END = Kind(SessionEnd, _session_end)
COMMERCE = Kind(CommerceEvent, _commerce_event, foreign=True)
NETWORK = Kind(
    NetworkPerformance,
    _network_performance,
    {
        **dict.fromkeys(_METHODS, "http_verb"),
        **dict.fromkeys(_URLS, "url"),
        **dict.fromkeys(_STATUSES, "response_code"),
        **dict.fromkeys(_BYTES_IN, "bytes_in"),
        **dict.fromkeys(_BYTES_OUT, "bytes_out"),
    },
)
_STATES = ("android.app.state", "ios.app.state")
_LIFECYCLE = Kind(
    ApplicationStateTransition, _transition, dict.fromkeys(_STATES, "application_transition_type")
)
# Of what kinds take, ids and closed words, without which there is no event or a wrong one.
NEEDED = frozenset({"session.previous_id", "exception.escaped", *_STATUSES, *_STATES})

_NAMED: Mapping[str, Kind] = {
    "session.start": SESSION_START,
    "session.end": SESSION_END,
    "device.app.lifecycle": _LIFECYCLE,
    names.MPARTICLE_COMMERCE_EVENT: COMMERCE,
}
SESSIONS = frozenset({SESSION_START, SESSION_END})


class Ended(NamedTuple):
    """How long a session was, in ms, 0 when its beginning was not seen; and whose, if it was."""

    duration_ms: int
    owner: Owner | None


class Sessions:
    """
    Sessions that began and ended, so that an end can say how long it was.

    Bounded: the oldest are forgotten. Any thread may call.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._lock = Lock()
        self._began: dict[str, tuple[int, Owner]] = {}  # unix_ms, by session_uuid
        self._ended: dict[str, int] = {}  # the unix_ms from which a start is one of another life

    def begin(self, session_uuid: str, unix_ms: int, owner: Owner) -> None:
        """Remember when it began and whose it is, after an end of its own once more."""
        with self._lock:
            self._remember(self._began, session_uuid, (unix_ms, owner))
            if self._ended.get(session_uuid, unix_ms + 1) <= unix_ms:
                del self._ended[session_uuid]

    def end(self, session_uuid: str, unix_ms: int) -> Ended | None:
        """What is known of the session that ends; None when its end was seen before."""
        with self._lock:
            if session_uuid in self._ended:
                return None
            began = self._began.pop(session_uuid, None)
            # A start that was not seen yet may be late, and then says the time of an end that came at once.
            self._remember(self._ended, session_uuid, unix_ms if began else unix_ms + 1)
        if began is None:
            return Ended(0, None)
        return Ended(max(unix_ms - began[0], 0), began[1])

    def _remember(self, memory: dict[str, T], key: str, value: T) -> None:
        memory[key] = value
        if len(memory) > self._most:
            del memory[next(iter(memory))]
