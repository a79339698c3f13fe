"""
Merges: which anonymous ids were merged into whom, for good and for all processes that use one spool folder.

Asked on the sender's thread before an alias leaves, since it may touch the disk. A register holds hashes: of
an anonymous id as soon as somebody claims it, of the pair it was claimed for, and of the pair when the merge
came about. So a claim that never came about is made good by whoever inherits the alias, and by nobody else.
Rule: an anonymous id is merged into one user at most; where that cannot be known, it is not merged.
"""

from __future__ import annotations

import json

from otel_vendor_exporters.delivery.register import Register
from otel_vendor_exporters.mparticle_analytics.units import Unit
from otel_vendor_exporters.mparticle_analytics.users import ALREADY_MERGED, MERGED_ELSEWHERE

UNREMEMBERED = (
    "merge_not_remembered"  # the ledger's word for an alias that could not be written down: later ones may be
)


class Merges:
    """Claims anonymous ids for the users they are to be merged into. Any thread may call."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def objection(self, alias: Unit) -> str | None:
        """Why an alias must not leave; None when it may, and then nobody else may merge its anonymous id."""
        pair = alias.users
        self._register.refresh()
        if _name("merged", pair) in self._register:
            return ALREADY_MERGED
        claimed = _name("claimed", pair)
        if claimed in self._register:
            return None
        anonymous = _name("anonymous", pair[:1])
        if self._register.claim(anonymous, claimed):
            return None
        return MERGED_ELSEWHERE if anonymous in self._register else UNREMEMBERED

    def came_about(self, alias: Unit) -> None:
        """Analytics took the alias: it is not sent again."""
        self._register.add(_name("merged", alias.users))

    def renew_after_fork(self) -> None:
        """What is known stays known."""
        self._register.renew_after_fork()


def _name(what: str, ids: tuple[str, ...]) -> str:
    return json.dumps([what, *ids])
