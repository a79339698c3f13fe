"""
What the instrumentation, the exporters and applications agree on: attribute names, and the current visitor.

OpenTelemetry's names where they exist (semantic conventions 1.44), ours beside them. Anything with the
`mpulse.` prefix may be set on any span or metric point by any code: it speaks to the mPulse exporter and
to nobody else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from threading import get_ident
from typing import Any, TypeAlias
from weakref import ref

# OpenTelemetry's
SESSION_ID = "session.id"
HTTP_ROUTE = "http.route"
USER_ID = "user.id"
USER_EMAIL = "user.email"
USER_NAME = "user.name"
USER_FULL_NAME = "user.full_name"
USER_HASH = "user.hash"
ENDUSER_PSEUDO_ID = "enduser.pseudo.id"
CLIENT_ADDRESS = "client.address"
USER_AGENT_ORIGINAL = "user_agent.original"
ENDUSER_ID = "enduser.id"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_ATTRIBUTES = frozenset({EXCEPTION_TYPE, "exception.message", "exception.stacktrace"})
EVENT_NAME = "event.name"  # what log records had before they had a field of that name
OTEL_EVENT_NAME = "otel.event.name"  # where the SDK's own logging handler leaves it
SERVICE_NAME = "service.name"
DEPLOYMENT_ENVIRONMENT_NAME = "deployment.environment.name"
OTEL_SCOPE_NAME = "otel.scope.name"
OTEL_SCOPE_VERSION = "otel.scope.version"

# The scope of what decorators record. An instrument of it has the name it was given as its description, where
# an instrument may not be called so.
DECORATORS_SCOPE = "instrumentation.decorators"

# mPulse
MPULSE_TIMER = "mpulse.timer"
MPULSE_PAGE_GROUP = "mpulse.page_group"
MPULSE_AB_TEST = "mpulse.ab_test"
MPULSE_DIMENSION_PREFIX = "mpulse.dimension."
MPULSE_SESSION_START_UNIX_MS = "mpulse.session.start_unix_ms"
MPULSE_SESSION_LENGTH = "mpulse.session.length"
MPULSE_SESSION_LIMITED = "mpulse.session.limited"  # true: mPulse wants nothing of this session

# mParticle
MPARTICLE_PREFIX = "mparticle."
MPARTICLE_MPID = "mparticle.mpid"
MPARTICLE_IDENTITY_PREFIX = "mparticle.identity."
MPARTICLE_CUSTOMER_ID = "mparticle.identity.customer_id"  # what user.id becomes there
MPARTICLE_USER_ATTRIBUTE_PREFIX = "mparticle.user_attributes."
MPARTICLE_CONSENT_PREFIX = "mparticle.consent."  # then gdpr.<purpose>, or ccpa.data_sale_opt_out
MPARTICLE_CUSTOM_EVENT_TYPE = "mparticle.custom_event_type"
MPARTICLE_CUSTOM_FLAG_PREFIX = "mparticle.custom_flags."
MPARTICLE_COMMERCE_EVENT = "mparticle.commerce_event"  # an event name; its body is the event

# mParticle Analytics
MPULSE_PREFIX = "mpulse."
MPARTICLE_PREFIX = "mparticle."

# What never leaves as a plain attribute unless allow_attributes names it: who and where a person is, what
# headers, queries and statements may hold of them. What identities are made of goes as identities alone.
PERSONAL_ATTRIBUTES = (
    *("user.*", "enduser.*", "client.*", "http.client_ip", "net.peer.ip", "network.peer.address"),
    *("user_agent.original", "http.user_agent", "http.request.header.*", "http.response.header.*"),
    *("source.*", "net.sock.peer.*"),
    *("url.query", "url.fragment", "db.query.text", "db.query.parameter.*", "db.statement"),
)

# The current visitor: attributes by field. The default fields name nobody by name or address.
DEFAULT_VISITOR_FIELDS = ("ids", "session", "page_group", "ab_test", "dimensions")
ALL_VISITOR_FIELDS = (*DEFAULT_VISITOR_FIELDS, "identities", "user_attributes", "consent", "client")
PERSONAL_VISITOR_FIELDS = frozenset({"identities", "user_attributes", "consent"})

_WHOLE_FIELDS = frozenset({"ids", "session"})  # half of one id and half of another would be nobody's
VisitorFields: TypeAlias = Mapping[str, Mapping[str, object]]


class _Known:
    """What is known of a visitor at a time, until more is: that is `later`."""

    __slots__ = ("fields", "later", "merged")

    def __init__(self, fields: VisitorFields) -> None:
        self.fields = fields
        self.merged: dict[tuple[str, ...], Mapping[str, object]] = {}
        self.later: dict[str, _Known] = {}


class VisitorScope:
    """
    What is known of the visitor within one block or request: attributes by field.

    Any thread or task may ask and tell; nothing is locked, so a signal handler, a finalizer or a forked child
    may come in at any time. A request's scope is shared (`is_shared`) by all that works for it; else each
    task that tells more makes a scope of its own. `span` is the outermost one that began in the scope, a
    server's mostly: what becomes known later is put on it. `around` is the span that the scope began in, and
    that is not the visitor's.
    """

    __slots__ = ("_known", "_runner", "around", "is_shared", "span")

    def __init__(self, fields: VisitorFields) -> None:
        # Any: spans of the OpenTelemetry API, which this file does without
        self.span: Any = None
        self.around: Any = None
        self.is_shared = False
        self._known = _Known(fields)
        self._runner = _runner()

    @property
    def fields(self) -> VisitorFields:
        """Attribute names and values by field."""
        return self._latest().fields

    def is_of_this_task(self) -> bool:
        """Whether it is this task, or outside of tasks this thread, that the scope began in; or any may."""
        return self.is_shared or self._runner == _runner()

    def tell(self, change: Callable[[VisitorFields], VisitorFields]) -> None:
        """From now on, the visitor is what `change` makes of what is known; it may be asked several times."""
        while True:
            known = self._latest()
            later = _Known(change(known.fields))
            if known.later.setdefault("", later) is later:  # one step, so of several tellers one comes first
                self._known = later
                return

    def _latest(self) -> _Known:
        known = self._known  # perhaps an earlier one, put back by a teller that was held up
        while known.later:
            known = known.later[""]
        return known

    def attributes(self, wanted: tuple[str, ...]) -> Mapping[str, object]:
        """The attributes of the wanted fields; not to be changed."""
        known = self._known
        if known.later:
            known = self._latest()
        found = known.merged.get(wanted)
        if found is None:
            found = known.merged[wanted] = {
                name: value for field in wanted for name, value in known.fields.get(field, {}).items()
            }
        return found

    def attributes_beside(
        self, own: Mapping[str, object] | None, wanted: tuple[str, ...]
    ) -> Mapping[str, object]:
        """What may stand beside a record's own attributes: they go first, and no two visitors are mixed."""
        told = self.attributes(wanted)
        if not own or own.keys().isdisjoint(told):
            return told
        fields = self.fields
        is_someone_else = own.get(USER_ID, told.get(USER_ID)) != told.get(USER_ID)
        found: dict[str, object] = {}
        for field in wanted:
            of_field = fields.get(field, {})
            if field in _WHOLE_FIELDS and not own.keys().isdisjoint(of_field):
                continue
            if field in PERSONAL_VISITOR_FIELDS and is_someone_else:
                continue
            found.update((name, value) for name, value in of_field.items() if name not in own)
        return found


def _runner() -> object:
    """What runs here: an asyncio task, by a reference that does not keep it, else the thread."""
    asyncio = sys.modules.get("asyncio")  # where nobody imported it there are no tasks, and it is slow
    running_loop = getattr(asyncio, "_get_running_loop", None)  # not there while it is being imported
    if asyncio is None or running_loop is None or running_loop() is None:
        return get_ident()
    task = asyncio.current_task()
    return get_ident() if task is None else ref(task)


def visitor_fields(names: str | Iterable[str]) -> tuple[str, ...]:
    """
    The fields of a setting: "default", "all", or names of fields.

    Raises ValueError for a name that is none.
    """
    if names == "default":
        return DEFAULT_VISITOR_FIELDS
    if names == "all":
        return ALL_VISITOR_FIELDS
    wanted = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in wanted if name not in ALL_VISITOR_FIELDS]
    if unknown:
        known = ", ".join(ALL_VISITOR_FIELDS)
        raise ValueError(f'{unknown[0]!r} is no field of a visitor: use "default", "all", or some of {known}')
    return wanted


# A variable of its own, not a key in OpenTelemetry's context: server instrumentations replace that context
# by the one they read off the incoming headers, and whoever stood in it would be gone. Nor does it travel.
VISITOR: ContextVar[VisitorScope | None] = ContextVar("otel_vendor_exporters_visitor", default=None)
