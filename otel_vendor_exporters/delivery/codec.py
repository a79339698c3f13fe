"""Codec: how a vendor's units are written to a spool file and read again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from otel_vendor_exporters.delivery.request import U


class Codec(Protocol[U]):
    """
    How a vendor's units are written. Without credentials: those are put on when a unit is sent.

    `units` names the way with its version; files written in another way are not read.
    """

    units: str

    def encode(self, unit: U) -> bytes:
        """The unit as bytes."""
        ...

    def decode(self, body: bytes) -> U:
        """The unit that `encode` wrote. Raises ValueError for anything else."""
        ...

    def merge_key(self, unit: U) -> Hashable | None:
        """What an item of this unit may merge by."""
        ...

    def subjects(self, unit: U) -> tuple[str, ...]:
        """Whose data the unit is."""
        ...


class BytesCodec:
    """For units that are bytes already."""

    units = "bytes/1"

    def encode(self, unit: bytes) -> bytes:
        """The unit."""
        return unit

    def decode(self, body: bytes) -> bytes:
        """The unit."""
        return body

    def merge_key(self, unit: bytes) -> None:
        """None: bytes do not merge."""

    def subjects(self, unit: bytes) -> tuple[str, ...]:  # noqa: ARG002  nobody knows
        """Nobody's."""
        return ()
