"""
Permits: what may leave, by the allow and the deny list of the settings.

Pure. What leaves has more than one name: its attribute's, and those it has on the wire (`exception.message`
is a crash's `message`, `client.address` the batch's `ip`).
Rule: either list reaches it by any of its names, and nothing that is denied is allowed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from otel_vendor_exporters.attributes import PERSONAL_ATTRIBUTES
from otel_vendor_exporters.mparticle.settings import MParticleSettings


class Permits:
    """Answers by name; who asks often remembers the answer."""

    def __init__(self, settings: MParticleSettings) -> None:
        self._allowed = settings.allow_attributes
        self._denied = settings.deny_attributes

    def denies(self, *names: str) -> bool:
        """Whether it must not leave, by one of its names."""
        return any(_matches(name, self._denied) for name in names)

    def lets(self, *names: str) -> bool:
        """Whether it may leave in the place that is made for it: where there is a list, it must name it."""
        if self.denies(*names):
            return False
        return not self._allowed or any(_matches(name, self._allowed) for name in names)

    def lets_plain(self, name: str) -> bool:
        """Whether an attribute may leave as it is: what is personal only if the list names it."""
        return self.lets(name) and (bool(self._allowed) or not _matches(name, PERSONAL_ATTRIBUTES))


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
