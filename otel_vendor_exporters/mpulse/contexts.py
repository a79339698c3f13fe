"""
Contexts: from attributes to page group, A/B bucket, session and dimensions.

Pure. What an attribute says about *where* a record belongs is decided here, for spans and metric points
alike. Sources: "Send custom data with mPulse" and boomerang's plugins/page-params.js for what is removed
from values; attribute names stand in `otel_vendor_exporters.attributes`.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.settings import AB_TEST, MPulseSettings
from otel_vendor_exporters.mpulse.units import Context, Session
from otel_vendor_exporters.mpulse.wire import number_text

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

LONGEST_VALUE = 128  # no limit is documented; a bound of ours
_MOST_REMEMBERED = 4096
_MOST_READ = 4096  # characters of a value that are looked at
_LONGEST_REMEMBERED = 4000  # characters of all names and values of a context together
_LARGEST_NUMBER = 10**LONGEST_VALUE
_NOT_IN_PAGE_GROUP = re.compile(r"[^A-Za-z0-9_ -]")
_NOT_IN_DIMENSION = re.compile(r"[^A-Za-z0-9_. -]")
_ROUTE_SEPARATORS = re.compile(r"[/.:]+")
_SPACES = re.compile(r" {2,}")
_OF_RESOURCE = "\0"  # in front of a resource's attribute name, in an unresolved context


class ProcessSession:
    """
    The session of what carries none: one per process, a new one after the idle time.

    Not pure in itself: `new_id` is called for each new session.
    """

    def __init__(self, new_id: Callable[[], str], now_unix_ms: int) -> None:
        self._new_id = new_id
        self._session = Session(new_id(), now_unix_ms, 0)
        self._used_unix_ms = now_unix_ms

    def at(self, now_unix_ms: int, idle_seconds: float) -> Session:
        """The session in force; being asked for keeps it alive."""
        if now_unix_ms - self._used_unix_ms > idle_seconds * 1000:
            self._session = Session(self._new_id(), now_unix_ms, 0)
        self._used_unix_ms = now_unix_ms
        return self._session


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered while the definitions stay the same."""

    definitions: Definitions | None
    wanted: Mapping[str, str]  # attribute name to dimension name, the strongest first
    contexts: dict[object, tuple[Resource | None, Context]]  # the resource: while held, its id is its own
    resources: dict[int, tuple[Resource, Mapping[str, str]]]  # by id; holding one keeps its id its own


class Contexts:
    """
    Makes contexts from attributes; equal attributes give the same object.

    Safe to use from several threads: its memories are dictionaries that are only added to, or replaced
    whole. `left_out`, where it is an argument, counts the values that have no place in a beacon.
    """

    def __init__(self, settings: MPulseSettings) -> None:
        self._settings = settings
        self._memory = _Memory(None, {}, {}, {})
        self._starts: OrderedDict[str, int] = OrderedDict()

    def context(
        self,
        attributes: Mapping[str, object],
        resource: Resource | None,
        definitions: Definitions | None,
        process_session: Session | None,
        seen_unix_ms: int,
        left_out: Counter[str],
        *,
        route: bool,
    ) -> Context:
        """
        The context that `attributes` tell; unresolved while `definitions` are unknown.

        `route`: whether http.route may name the page group.
        """
        if definitions is not None and definitions.sends_undefined:
            definitions = None  # any attribute may become a dimension: which do is found out in packing
        memory = self._memory
        if memory.definitions is not definitions:
            memory = self._memory = _Memory(definitions, self._wanted_by(definitions), {}, {})
        page_group = attributes.get(names.MPULSE_PAGE_GROUP)
        from_route = page_group is None and route
        if from_route:
            page_group = attributes.get(names.HTTP_ROUTE)
        ab_test = attributes.get(names.MPULSE_AB_TEST)
        session = process_session
        which_session: object = id(session)  # the context in the memory holds it, so its id is its own
        if names.SESSION_ID in attributes:
            session = self._session_of(attributes, seen_unix_ms, left_out) or process_session
            which_session = session
        said = _said(attributes, memory)
        key: object = (page_group, from_route, ab_test, which_session, id(resource), said)
        try:
            known = memory.contexts.get(key)
        except TypeError:  # a value that cannot be hashed has no place; it is left out below
            known = key = None
        if known is not None:
            return known[1]
        before = left_out.total()
        context = Context(
            page_group=self._page_group(page_group, left_out, from_route=from_route),
            ab_test=self._ab_test(ab_test, left_out),
            session=session,
            dimensions=self._dimensions(attributes, resource, memory, left_out),
            resolved=definitions is not None,
        )
        again = left_out.total() > before  # then it is to be counted again when it comes again
        if key is not None and not again and _is_short(page_group, said):
            _remember(memory.contexts, key, (resource, context))
        return context

    # Page group, A/B bucket, session

    def _page_group(self, value: object, left_out: Counter[str], *, from_route: bool) -> str | None:
        if isinstance(value, str):
            text = _ROUTE_SEPARATORS.sub(" ", value[:_MOST_READ]) if from_route else value
            text = self._cleaned(text, _NOT_IN_PAGE_GROUP)
            if text:
                return text
        if value is not None and value != "/":  # the route of the front page says nothing, and loses nothing
            left_out["page_group"] += 1
        default = self._settings.page_group
        return self._cleaned(default, _NOT_IN_PAGE_GROUP) or None if default else None

    def _ab_test(self, value: object, left_out: Counter[str]) -> str | None:
        if isinstance(value, str) and AB_TEST.fullmatch(value):
            return value
        if value is not None:
            left_out["ab_test"] += 1
        return self._settings.ab_test

    def _session_of(
        self, attributes: Mapping[str, object], seen_unix_ms: int, left_out: Counter[str]
    ) -> Session | None:
        """The session an attribute names; its start, where none is told, is when we first heard of it."""
        session_id = attributes[names.SESSION_ID]
        if not isinstance(session_id, str) or not session_id:
            if session_id is not None:
                left_out["session"] += 1
            return None
        session_id = session_id[:LONGEST_VALUE]
        start = attributes.get(names.MPULSE_SESSION_START_UNIX_MS)
        length = attributes.get(names.MPULSE_SESSION_LENGTH)
        if not _is_count(start):
            start = self._first_seen(session_id, seen_unix_ms)
        return Session(session_id, int(start), int(length) if _is_count(length) else 0)  # type: ignore[call-overload]

    def _first_seen(self, session_id: str, seen_unix_ms: int) -> int:
        start = self._starts.setdefault(session_id, seen_unix_ms)
        if len(self._starts) > _MOST_REMEMBERED:
            self._starts.popitem(last=False)
        return start

    # Dimensions

    def _dimensions(
        self,
        attributes: Mapping[str, object],
        resource: Resource | None,
        memory: _Memory,
        left_out: Counter[str],
    ) -> tuple[tuple[str, str], ...]:
        if memory.definitions is None:
            return self._everything(attributes, resource)
        found = self._found(attributes, memory.wanted, left_out)
        if resource is not None:
            found = {**self._of_resource(resource, memory), **found}
        return tuple(sorted(found.items()))

    def _found(
        self, attributes: Mapping[str, object], wanted: Mapping[str, str], left_out: Counter[str]
    ) -> dict[str, str]:
        """Dimension name to value; of two attributes for one dimension, the one listed first in `wanted`."""
        matches = attributes.keys() & wanted.keys()
        if not matches:
            return {}
        keys = [key for key in wanted if key in matches] if len(matches) > 1 else matches
        found: dict[str, str] = {}
        for key in keys:
            text = self._value(attributes[key])
            if text is not None:
                found.setdefault(wanted[key], text)
            elif attributes[key] is not None:
                left_out["dimension"] += 1
        return found

    def _wanted_by(self, definitions: Definitions | None) -> Mapping[str, str]:
        """Attribute name to dimension name, the strongest first: explicit, setting, name, label."""
        dimensions = definitions.dimensions if definitions else {}
        taken = {*dimensions, *self._settings.dimensions}
        return {
            **{names.MPULSE_DIMENSION_PREFIX + name: name for name in dimensions},
            **{key: name for key, name in self._settings.dimensions.items() if name in dimensions},
            **{name: name for name in dimensions if name not in self._settings.dimensions},
            **{label: name for name, label in dimensions.items() if label not in taken},
        }

    def _of_resource(self, resource: Resource, memory: _Memory) -> Mapping[str, str]:
        known = memory.resources.get(id(resource))
        if known is None:
            known = (resource, self._found(resource.attributes, memory.wanted, Counter()))
            _remember(memory.resources, id(resource), known)
        return known[1]

    def _everything(
        self, attributes: Mapping[str, object], resource: Resource | None
    ) -> tuple[tuple[str, str], ...]:
        """All attributes that could be a dimension, until it is known which are."""
        found = self._candidates(attributes)
        of_resource = self._candidates(resource.attributes) if resource is not None else {}
        inherited = {_OF_RESOURCE + key: text for key, text in of_resource.items() if key not in found}
        return tuple(sorted({**found, **inherited}.items()))

    def _candidates(self, attributes: Mapping[str, object]) -> dict[str, str]:
        """Attribute name to text; what the setting names stands under its dimension's explicit name."""
        setting = self._settings.dimensions
        found: dict[str, str] = {}
        ordered = [(key, key) for key in attributes if isinstance(key, str) and key not in setting]
        ordered += [
            (key, names.MPULSE_DIMENSION_PREFIX + setting[key]) for key in setting if key in attributes
        ]
        for key, name in ordered:
            text = None if name in found else self._value(attributes[key])
            if text is not None:
                found[name] = text
        return found

    def _value(self, value: object) -> str | None:
        text = _as_text(value)
        return None if text is None else self._cleaned(text, _NOT_IN_DIMENSION) or None

    def _cleaned(self, text: str, removed: re.Pattern[str]) -> str:
        if self._settings.sanitize:
            text = _SPACES.sub(" ", removed.sub("", text[:_MOST_READ]))
        return text.strip()[:LONGEST_VALUE].strip()


def _said(attributes: Mapping[str, object], memory: _Memory) -> tuple[tuple[object, ...], ...]:
    """What the attributes say of dimensions, as a key: types matter, since 1 and True are equal."""
    if memory.definitions is None:
        said: Iterable[tuple[str, object]] = attributes.items()
    else:
        said = [(key, attributes[key]) for key in memory.wanted if key in attributes]
    return tuple([one if type(one[1]) is str else (*one, type(one[1])) for one in said])


def _is_short(page_group: object, said: tuple[tuple[object, ...], ...]) -> bool:
    """Whether remembering these values takes little memory; what is no scalar has no place anyway."""
    length = sum([len(str(pair[0])) for pair in said])
    for value in (page_group, *[pair[1] for pair in said]):
        if isinstance(value, str):
            length += len(value)
        elif value is not None and not isinstance(value, (bool, int, float)):
            return False
    return length <= _LONGEST_REMEMBERED


def _remember(memory: dict[Any, Any], key: object, value: object) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value


def resolved(context: Context, definitions: Definitions) -> Context:
    """`context` with its attributes turned into the dimensions that are defined."""
    if context.resolved:
        return context
    values = dict(context.dimensions)
    found: dict[str, str] = {}
    for name, label in definitions.dimensions.items():
        keys = [names.MPULSE_DIMENSION_PREFIX + name, name]
        if label not in definitions.dimensions:
            keys.append(label)
        for key in (*keys, *[_OF_RESOURCE + key for key in keys]):  # a span's own word goes first
            if key in values:
                found[name] = values[key]
                break
    if definitions.sends_undefined:
        found = {**_undefined(values), **found}
    return context._replace(dimensions=tuple(sorted(found.items())), resolved=True)


def _undefined(values: Mapping[str, str]) -> dict[str, str]:
    """The dimensions that attributes name explicitly, whether they are defined or not."""
    explicit = names.MPULSE_DIMENSION_PREFIX
    of_resource = _OF_RESOURCE + explicit
    inherited = {
        key.removeprefix(of_resource): text for key, text in values.items() if key.startswith(of_resource)
    }
    own = {key.removeprefix(explicit): text for key, text in values.items() if key.startswith(explicit)}
    return {**inherited, **own}


def _as_text(value: object) -> str | None:
    """An attribute's value as a dimension's, or None for what has no place there."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and abs(value) < _LARGEST_NUMBER:
        text = number_text(value)
        return text if len(text) <= LONGEST_VALUE else None  # part of a number is another number
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15
