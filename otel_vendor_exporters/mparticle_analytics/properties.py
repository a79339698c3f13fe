"""
Properties: from a record's attributes to the members of an event's `properties`, as JSON.

Pure. Which attributes are sent, and how their names are written, is worked out once per name; so a record
costs one look-up and one piece of text for each attribute. Records with nested values take the long way.
Rule: the JSON is the same as that of `wire.AnalyticsEvent` with the same properties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.addresses import bare_url, is_url
from otel_vendor_exporters.mparticle_analytics.lists import Lists
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.texts import (
    MOST_PROPERTIES,
    SURELY_SHORT,
    Shown,
    has_lone_surrogate,
    is_nested,
    property_texts,
    text_of,
)
from otel_vendor_exporters.mparticle_analytics.wire import joined, pair, quoted

_MOST_REMEMBERED = 10_000
_OURS = (names.MPARTICLE_PREFIX, names.MPULSE_PREFIX)  # attributes that speak to exporters
_SIMPLE = frozenset({str, int, bool, float, bytes, type(None)})
Extras = Iterable[tuple[str, str]]  # names and texts of what is added to an event


class _Known(NamedTuple):
    """
    What is known of names. Whoever uses it takes it once: another thread may begin a new one meanwhile.

    `starts` are the beginnings of members, `"name":`, empty for what is not sent as a property; `of_user` the
    bare names of what describes the user; `urls` are the names of URLs. A record with one of `strange`, which
    are not to be remembered, takes the long way.
    """

    starts: dict[str, str]
    of_user: dict[str, str]
    urls: set[str]
    strange: frozenset[str] = frozenset()


class Properties:
    """Writes properties, by the allow and deny lists. Any thread may call."""

    def __init__(self, settings: AnalyticsSettings) -> None:
        self._lists = Lists(settings)
        ids = (*settings.user_id_from, *settings.anonymous_id_from)
        self._consumed = frozenset((*ids, names.EVENT_NAME, names.OTEL_EVENT_NAME))
        self._bare_url = partial(bare_url, keeps_query=self._lists.names("url.query"))
        self._known = _Known({}, {}, set())
        self.lets_context = self._lists.lets_context
        self.lets_in_context = self._lists.lets_in_context

    def of(
        self,
        attributes: Mapping[str, object],
        extras: Extras,
        left_out: Counter[str],
        of_user: dict[str, object],
    ) -> str:
        """
        The members for `attributes`, then for those `extras` that no attribute is named like.

        Attributes that describe the user, and may be sent, are put into `of_user`, by their bare names.
        """
        known = self._known
        if not attributes.keys() <= known.starts.keys():
            known = self._learn(known, attributes)
        if known.strange or not _SIMPLE.issuperset(map(type, attributes.values())):
            return self._long_way(attributes, extras, left_out, of_user)
        parts: list[str] = []
        starts = known.starts
        urls = () if known.urls.isdisjoint(attributes) else known.urls
        for name, value in attributes.items():
            start = starts[name]
            if not start:
                if name in known.of_user:
                    of_user[known.of_user[name]] = value
                continue
            if type(value) is str and len(value) <= SURELY_SHORT and name not in urls:
                text: str | None = value
            else:
                text = text_of(value, left_out, self._bare_url if name in urls else None)
            if text is not None:
                parts.append(start + quoted(text))
        parts += [pair(name, text) for name, text in extras if name not in attributes]
        if len(parts) > MOST_PROPERTIES:
            left_out["too_many_properties"] += 1
            del parts[MOST_PROPERTIES:]
        return joined(parts)

    def of_user(self, attributes: Mapping[str, object]) -> dict[str, object]:
        """Those of the attributes that describe the user and may be sent, by their bare names."""
        return {
            _bare(name): value
            for name, value in attributes.items()
            if is_of_user(name) and self._lists.lets_of_user(_bare(name), has_inner=is_nested(value))
        }

    def user_texts(self, of_user: Mapping[str, object], left_out: Counter[str]) -> dict[str, str]:
        """Names and texts of what describes the user."""
        return property_texts(of_user, left_out, self._lists.lets_in_user, self.shown)

    def shown(self, name: str) -> Shown | None:
        """What is shown of a URL: neither user and password nor, unless allowed, its query."""
        return self._bare_url if is_url(name) else None

    def _long_way(
        self,
        attributes: Mapping[str, object],
        extras: Extras,
        left_out: Counter[str],
        of_user: dict[str, object],
    ) -> str:
        of_user.update(self.of_user(attributes))
        chosen = {name: value for name, value in attributes.items() if self._lets(name, is_nested(value))}
        texts = property_texts(chosen, left_out, self._lists.lets_inner, self.shown)
        for name, text in extras:
            if name not in attributes and len(texts) < MOST_PROPERTIES:
                texts.setdefault(name, text)
        return joined(pair(name, text) for name, text in texts.items())

    def _lets(self, name: str, has_inner: bool) -> bool:
        """Whether an attribute may be sent as a property, or something in it."""
        is_others = name in self._consumed or name.startswith(_OURS)
        return not is_others and bool(name or has_inner) and self._lists.lets(name, has_inner=has_inner)

    def _learn(self, known: _Known, attributes: Iterable[str]) -> _Known:
        """What is known of these names and others; a new beginning when it is too much."""
        if len(known.starts) >= _MOST_REMEMBERED:
            known = self._known = _Known({}, {}, set())
        unknown = [name for name in attributes if name not in known.starts]
        if any(len(name) > SURELY_SHORT or has_lone_surrogate(name) for name in unknown):
            return known._replace(strange=frozenset(unknown))
        for name in unknown:
            if is_url(name):
                known.urls.add(name)
            if is_of_user(name) and self._lists.lets_of_user(_bare(name), has_inner=False):
                known.of_user[name] = _bare(name)
            # The last: whoever finds it here finds the rest.
            known.starts[name] = f"{quoted(name)}:" if self._lets(name, has_inner=False) else ""
        return known


def is_of_user(name: str) -> bool:
    """Whether an attribute describes the user and not the event."""
    return name.startswith(names.MPARTICLE_USER_ATTRIBUTE_PREFIX)


def _bare(name: str) -> str:
    return name[len(names.MPARTICLE_USER_ATTRIBUTE_PREFIX) :]
