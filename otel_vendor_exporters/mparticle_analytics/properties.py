"""
Properties: from a record's attributes to the members of an event's `properties`, as JSON.

Pure. Which attributes are sent, and how their names are written, is worked out once per name; so a record
costs one look-up and one piece of text for each attribute. Records with nested values take the long way.
Rule: the JSON is the same as that of `wire.AnalyticsEvent` with the same properties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.addresses import bare_url, is_url
from otel_vendor_exporters.mparticle_analytics.settings import NOT_SENT, AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.texts import (
    MOST_PROPERTIES,
    SURELY_SHORT,
    is_nested,
    property_texts,
    text_of,
)
from otel_vendor_exporters.mparticle_analytics.wire import joined, pair, quoted

_MOST_REMEMBERED = 10_000
_OURS = (names.MPARTICLE_PREFIX, names.MPULSE_PREFIX)  # attributes that speak to exporters
_NOTHING = ""
_SIMPLE = frozenset({str, int, bool, float, bytes, type(None)})
Extras = Iterable[tuple[str, str]]  # names and texts of what is added to an event


class Properties:
    """Writes properties, by the allow and deny lists. Any thread may call."""

    def __init__(self, settings: AnalyticsSettings) -> None:
        self._allow = settings.allow_attributes or ("*",)
        self._never = settings.deny_attributes
        self._named = settings.allow_attributes
        self._deny = self._never + (() if settings.allow_attributes else NOT_SENT)
        self._consumed = frozenset((*settings.user_id_from, *settings.anonymous_id_from, names.EVENT_NAME))
        self._starts: dict[str, str] = {}  # attribute name to `"name":`
        self._keeps_query = any(fnmatchcase("url.query", one) for one in settings.allow_attributes)
        self._special: set[str] = set()  # names that may have to be cut, and may then be equal; and of URLs

    def of(
        self,
        attributes: Mapping[str, object],
        extras: Extras,
        left_out: Counter[str],
        of_user: dict[str, object],
    ) -> str:
        """
        The members for `attributes`, then for those `extras` that no attribute is named like.

        Attributes that describe the user are put into `of_user`, by their bare names.
        """
        if not attributes.keys() <= self._starts.keys():
            for name in attributes:
                self._start(name)
        if not _SIMPLE.issuperset(map(type, attributes.values())) or not self._special.isdisjoint(attributes):
            return self._long_way(attributes, extras, left_out, of_user)
        parts: list[str] = []
        starts = self._starts
        for name, value in attributes.items():
            start = starts.get(name) or self._start(name)
            if not start:
                if is_of_user(name):
                    of_user[_bare(name)] = value
                continue
            text = text_of(value, left_out) if type(value) is not str or len(value) > SURELY_SHORT else value
            if text is not None:
                parts.append(start + quoted(text))
        parts += [pair(name, text) for name, text in extras if name not in attributes]
        if len(parts) > MOST_PROPERTIES:
            left_out["too_many_properties"] += 1
            del parts[MOST_PROPERTIES:]
        return joined(parts)

    def _long_way(
        self,
        attributes: Mapping[str, object],
        extras: Extras,
        left_out: Counter[str],
        of_user: dict[str, object],
    ) -> str:
        chosen: dict[str, object] = {}
        for name, value in attributes.items():
            if is_of_user(name):
                of_user[_bare(name)] = value
            elif self._start(name) or (is_nested(value) and not self._is_silenced(name)):
                chosen[name] = value
        texts = property_texts(chosen, left_out, self._lets_inner, self.told)
        for name, text in extras:
            if name not in attributes and len(texts) < MOST_PROPERTIES:
                texts.setdefault(name, text)
        return joined(pair(name, text) for name, text in texts.items())

    def _lets_inner(self, name: str) -> bool:
        """Whether a dotted name that comes of a map may be sent: it, or a map it is in, must be allowed."""
        names_of_it = (name, *_maps_of(name))
        allowed = any(_matches(one, self._allow) for one in names_of_it)
        denied = _matches(name, self._deny) or any(_matches(one, self._never) for one in names_of_it)
        return allowed and not denied and not self._is_personal(name)

    def told(self, name: str, value: object) -> object:
        """What of a value may be sent: of a URL neither user and password nor, unless allowed, its query."""
        if isinstance(value, str) and is_url(name):
            return bare_url(value, keeps_query=self._keeps_query)
        return value

    def lets_context(self, name: str) -> bool:
        """Whether a context property may be sent, which was chosen by its name."""
        return not _matches(name, self._never)

    def lets_in_context(self, name: str) -> bool:
        """Whether a dotted name may be sent that comes of a map which is a context property."""
        names_of_it = (name, *_maps_of(name))
        return not any(_matches(one, self._never) for one in names_of_it) and not self._is_personal(name)

    def _is_personal(self, name: str) -> bool:
        """Whether a dotted name ends like personal data, in whatever map it is."""
        return not _matches(name, self._named) and any(
            _matches(one, names.PERSONAL_ATTRIBUTES) for one in _tails_of(name)
        )

    def _start(self, name: str) -> str:
        """The member's beginning, empty for what is not sent."""
        start = self._starts.get(name)
        if start is None:
            sent = bool(name) and not self._is_silenced(name) and _matches(name, self._allow)
            start = f"{quoted(name)}:" if sent else _NOTHING
            if len(self._starts) >= _MOST_REMEMBERED:
                self._starts, self._special = {}, set()
            self._starts[name] = start
            if len(name) > SURELY_SHORT or is_url(name):
                self._special.add(name)
        return start

    def _is_silenced(self, name: str) -> bool:
        """Whether neither an attribute nor anything in it is ever sent."""
        return name in self._consumed or name.startswith(_OURS) or _matches(name, self._deny)


def is_of_user(name: str) -> bool:
    """Whether an attribute describes the user and not the event."""
    return name.startswith(names.MPARTICLE_USER_ATTRIBUTE_PREFIX)


def _bare(name: str) -> str:
    return name[len(names.MPARTICLE_USER_ATTRIBUTE_PREFIX) :]


def _maps_of(name: str) -> Iterator[str]:
    """The names of the maps that hold what has a dotted name."""
    return (name[:index] for index, one in enumerate(name) if one == ".")


def _tails_of(name: str) -> Iterator[str]:
    """A dotted name as the maps that hold it would call it."""
    return (name[index + 1 :] for index, one in enumerate(name) if one == ".")


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
