"""
Lists: which names may be sent, by the allow and the deny list of the settings.

Pure. What comes of a map has a dotted name, and may be meant by it or by the name of a map it is in; what
describes the user by its attribute's name or by the bare one.
Rule: what is denied is never sent, and where there is an allow list it names all that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import translate

from otel_vendor_exporters import attributes as names
from otel_vendor_exporters.mparticle_analytics.settings import NOT_SENT, AnalyticsSettings


class Lists:
    """Answers by name. Any thread may call."""

    def __init__(self, settings: AnalyticsSettings) -> None:
        allowed, denied = settings.allow_attributes, settings.deny_attributes
        self._allow = _pattern(allowed or ("*",))
        self._named = _pattern(allowed)
        self._never = _pattern(denied)
        self._deny = _pattern((*denied, *(() if allowed else NOT_SENT)))

    def names(self, name: str) -> bool:
        """Whether the allow list names it."""
        return bool(self._named.match(name))

    def lets(self, name: str, *, has_inner: bool) -> bool:
        """Whether an attribute may be sent or, if it is a map, something in it."""
        return not self._deny.match(name) and (has_inner or bool(self._allow.match(name)))

    def lets_inner(self, name: str) -> bool:
        """Whether a dotted name may be sent that comes of a map."""
        known_as = (name, *_maps_of(name))
        denied = self._deny.match(name) or _any(self._never, known_as)
        return _any(self._allow, known_as) and not denied and not self._is_personal(name)

    def lets_of_user(self, bare: str, *, has_inner: bool) -> bool:
        """Whether what describes the user may be sent or, if it is a map, something in it."""
        known_as = _of_user(bare)
        return not _any(self._never, known_as) and (has_inner or _any(self._allow, known_as))

    def lets_in_user(self, name: str) -> bool:
        """Whether a dotted name may be sent that comes of a map which describes the user."""
        known_as = [one for bare in (name, *_maps_of(name)) for one in _of_user(bare)]
        return _any(self._allow, known_as) and not _any(self._never, known_as)

    def lets_context(self, name: str) -> bool:
        """Whether a context property may be sent, which was chosen by its name."""
        return not self._never.match(name)

    def lets_in_context(self, name: str) -> bool:
        """Whether a dotted name may be sent that comes of a map which is a context property."""
        return not _any(self._never, (name, *_maps_of(name))) and not self._is_personal(name)

    def _is_personal(self, name: str) -> bool:
        """Whether a dotted name ends like personal data, in whatever map it is."""
        return not self._named.match(name) and _any(_PERSONAL, _tails_of(name))


def _pattern(globs: Iterable[str]) -> re.Pattern[str]:
    """What matches any of the globs, whole."""
    return re.compile("|".join(map(translate, globs)) or r"(?!)")


_PERSONAL = _pattern(names.PERSONAL_ATTRIBUTES)


def _any(pattern: re.Pattern[str], known_as: Iterable[str]) -> bool:
    return any(map(pattern.match, known_as))


def _of_user(bare: str) -> tuple[str, str]:
    return bare, f"{names.MPARTICLE_USER_ATTRIBUTE_PREFIX}{bare}"


def _maps_of(name: str) -> Iterator[str]:
    """The names of the maps that hold what has a dotted name."""
    return (name[:index] for index, one in enumerate(name) if one == ".")


def _tails_of(name: str) -> Iterator[str]:
    """A dotted name as the maps that hold it would call it."""
    return (name[index + 1 :] for index, one in enumerate(name) if one == ".")
