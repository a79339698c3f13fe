"""
Codec: how sealed batches are written to a spool file: what delivery asks of them, and the body as it is sent.

Pure. The body holds no credentials. Rule: what was written is read again as the very same batch, or refused
with ValueError.
"""

from __future__ import annotations

import json

from otel_vendor_exporters.mparticle.units import SealedBatch


class BatchCodec:
    """Implements delivery's `Codec`."""

    units = "mparticle/1"

    def encode(self, unit: SealedBatch) -> bytes:
        """Everything but the body as a JSON list, a line break and the body."""
        body, *others = unit
        return b"%b\n%b" % (json.dumps(others).encode(), body)

    def decode(self, body: bytes) -> SealedBatch:
        """The batch that `encode` wrote. Raises ValueError for anything else."""
        head, separator, content = body.partition(b"\n")
        try:
            source_request_id, events, ordering_key, subject = json.loads(head)
        except (TypeError, RecursionError) as error:
            raise ValueError("no batch of mparticle") from error
        texts = (source_request_id, ordering_key or "", subject or "")
        if not (separator and type(events) is int and all(isinstance(one, str) for one in texts)):
            raise ValueError("no batch of mparticle")
        return SealedBatch(content, source_request_id, events, ordering_key, subject)

    def merge_key(self, unit: SealedBatch) -> None:
        """None: no two batches are one."""

    def subjects(self, unit: SealedBatch) -> tuple[str, ...]:
        """The user, by the first of their identities."""
        return () if unit.subject is None else (unit.subject,)
