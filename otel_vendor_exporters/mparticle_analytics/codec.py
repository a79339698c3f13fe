"""
Codec: how events and calls are written to a spool file: the kind, and the content as it will be sent.

Pure. The content holds no key. Rule: what was written is read again as the very same unit, or refused with
ValueError.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from otel_vendor_exporters.mparticle_analytics.units import REMOVALS, Kind, Unit

_IDS: dict[Kind, tuple[str, ...]] = {
    Kind.EVENT: ("eventUniqueId",),
    Kind.GET_EVENT: ("eventUniqueId",),
    Kind.IDENTIFY: ("uniqueId",),
    Kind.ALIAS: ("previousId", "newId"),
    Kind.SUPPRESS: ("uniqueId",),
    Kind.DELETE: ("uniqueId",),
}


class UnitCodec:
    """Implements delivery's `Codec`."""

    units = "mparticle_analytics/1"

    def encode(self, unit: Unit) -> bytes:
        """The kind's name, a line break and the content."""
        return b"%b\n%b" % (unit.kind.value.encode(), unit.content)

    def decode(self, body: bytes) -> Unit:
        """The unit that `encode` wrote. Raises ValueError for anything else."""
        name, _, content = body.partition(b"\n")
        kind = Kind(name.decode())
        fields = _fields(kind, content)
        try:
            users = tuple(fields[field] for field in _IDS[kind])
        except (KeyError, TypeError) as error:
            raise ValueError("no unit of mparticle_analytics") from error
        if not all(isinstance(user, str) and user for user in users):
            raise ValueError("no unit of mparticle_analytics")
        return Unit(kind, users, content)

    def merge_key(self, unit: Unit) -> None:
        """None: no two events are one."""

    def subjects(self, unit: Unit) -> tuple[str, ...]:
        """The users; a removal is not its user's data, which another removal takes out."""
        return () if unit.kind in REMOVALS else unit.users


def _fields(kind: Kind, content: bytes) -> dict[str, str]:
    if kind is Kind.GET_EVENT:
        return {name: values[0] for name, values in parse_qs(content.decode("ascii")).items()}
    try:
        fields: dict[str, str] = json.loads(content)
    except RecursionError as error:
        raise ValueError("no unit of mparticle_analytics") from error
    return fields
