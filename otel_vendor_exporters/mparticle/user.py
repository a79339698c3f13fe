"""
The user: who a batch is about and what they consented to.

Sources: Node SDK guide ("User Identities", "Consent State"), JSON Reference, S26. Keys are the Events API's;
three official SDKs write `customerid`, which S26 refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from otel_vendor_exporters.mparticle.values import Filled, Int64, WireValue
from otel_vendor_exporters.mparticle.vocabulary import IdentityType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserIdentities(WireValue):
    """
    The names a user goes by. Device ids are in DeviceInformation.

    An empty text is refused: as an identity it would be shared by everyone who has none.
    """

    WHERE: ClassVar[str] = "user_identities"

    email: Filled | None = None  # first, as in the example of "Pixel Service"
    customer_id: Filled | None = None
    other: Filled | None = None
    other_id_2: Filled | None = None
    other_id_3: Filled | None = None
    other_id_4: Filled | None = None
    other_id_5: Filled | None = None
    other_id_6: Filled | None = None
    other_id_7: Filled | None = None
    other_id_8: Filled | None = None
    other_id_9: Filled | None = None
    other_id_10: Filled | None = None
    mobile_number: Filled | None = None
    phone_number_2: Filled | None = None
    phone_number_3: Filled | None = None
    facebook: Filled | None = None
    twitter: Filled | None = None
    google: Filled | None = None
    microsoft: Filled | None = None
    yahoo: Filled | None = None
    facebook_custom_audience_id: Filled | None = None
    alias: Filled | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserIdentity(WireValue):
    """One identity with its history, as `user_identity_change` tells it."""

    WHERE: ClassVar[str] = "user_identity"

    identity_type: IdentityType
    identity: Filled
    timestamp_unixtime_ms: Int64
    created_this_batch: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Consent(WireValue):
    """One answer of the user: to what document, where, when, on which device."""

    WHERE: ClassVar[str] = "consent"

    consented: bool
    timestamp_unixtime_ms: Int64
    document: str | None = None
    location: str | None = None
    hardware_id: str | None = None
    regulation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CcpaConsent(WireValue):
    """CCPA has one purpose. `consented` True means: opted out of the sale of data."""

    WHERE: ClassVar[str] = "consent_state.ccpa"

    data_sale_opt_out: Consent | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConsentState(WireValue):
    """Consents by law. The names of GDPR purposes are those defined in mParticle's privacy settings."""

    WHERE: ClassVar[str] = "consent_state"

    gdpr: Mapping[str, Consent] | None = None
    ccpa: CcpaConsent | None = None
