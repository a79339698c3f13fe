"""
What arrived at mParticle, in the words a test uses: batches, events, users, pixels.

A view on the journal; holds nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_vendor_exporters.sandbox.inbox import Record
from otel_vendor_exporters.sandbox.mparticle.batches import (
    MParticleBatch,
    MParticleEvent,
    MParticlePixel,
    MParticleUpload,
    MParticleUser,
    stored_batches,
    users_of,
)


class MParticleReceived:
    """What mParticle has received since the last reset. Every property looks anew."""

    def __init__(self, records: Callable[[], tuple[Record, ...]]) -> None:
        self._records = records

    @property
    def uploads(self) -> tuple[MParticleUpload, ...]:
        """The requests to the Events API that reached the vendor."""
        return tuple(record for record in self._records() if isinstance(record, MParticleUpload))

    @property
    def pixels(self) -> tuple[MParticlePixel, ...]:
        """The requests to the Pixel Service that reached the vendor."""
        return tuple(record for record in self._records() if isinstance(record, MParticlePixel))

    @property
    def batches(self) -> tuple[MParticleBatch, ...]:
        """The batches mParticle would have kept, pixels among them, each once."""
        return stored_batches(self._records())

    @property
    def refused(self) -> tuple[MParticleBatch, ...]:
        """The batches it would have refused, thrown away unprocessed, or recognised as repeated."""
        uploads = self.uploads
        return tuple(batch for upload in uploads for batch in upload.batches if batch.status != "stored")

    @property
    def events(self) -> tuple[MParticleEvent, ...]:
        """Every event of every kept batch."""
        return tuple(event for batch in self.batches for event in batch.events)

    @property
    def users(self) -> tuple[MParticleUser, ...]:
        """Everyone the batches speak of, each with all events, in the order first seen."""
        return users_of(self.batches)

    def user(self, **identity: str) -> MParticleUser:
        """The user with an identity, as in `user(customer_id="u-1")`; raises LookupError for nobody."""
        for user in self.users:
            if identity.items() <= user.identities.items():
                return user
        raise LookupError(f"no user with {identity}")
