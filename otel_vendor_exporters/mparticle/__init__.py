"""
mParticle: OpenTelemetry's events become events of a user.

    mapping ──▶ composing ──▶ kinds ──▶ batching ──▶ mParticle
    (people: whose it is)     (sorting: which attribute goes where)    answers: what it said of which batch

    The model, for mapping and for direct use: events, commerce, user, device, wire (the batch), pixel;
    built on values (what a field takes), texts (attributes) and vocabulary (closed sets).
    feed ──▶ client, exporters: I/O, over delivery; codec: what of it stands in a spool file.
"""

from otel_vendor_exporters.mparticle.client import EventsClient, PixelClient
from otel_vendor_exporters.mparticle.commerce import (
    Impression,
    Product,
    ProductAction,
    Promotion,
    PromotionAction,
    ShoppingCart,
)
from otel_vendor_exporters.mparticle.device import (
    ApplicationInformation,
    DeviceInformation,
    DeviceState,
    Location,
)
from otel_vendor_exporters.mparticle.events import (
    ApplicationStateTransition,
    Breadcrumb,
    CommerceEvent,
    CrashReport,
    CustomEvent,
    Event,
    FirstRun,
    NetworkPerformance,
    OptOut,
    ProfileChange,
    PushMessage,
    PushRegistration,
    ScreenView,
    SessionEnd,
    SessionStart,
    Uninstall,
    UserAttributeChange,
    UserIdentityChange,
)
from otel_vendor_exporters.mparticle.exporters import MParticleLogExporter, MParticleSpanExporter
from otel_vendor_exporters.mparticle.pixel import PixelEvent
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.user import (
    CcpaConsent,
    Consent,
    ConsentState,
    UserIdentities,
    UserIdentity,
)
from otel_vendor_exporters.mparticle.wire import Attribution, Batch, BatchContext, DataPlan

__all__ = [
    "ApplicationInformation",
    "ApplicationStateTransition",
    "Attribution",
    "Batch",
    "BatchContext",
    "Breadcrumb",
    "CcpaConsent",
    "CommerceEvent",
    "Consent",
    "ConsentState",
    "CrashReport",
    "CustomEvent",
    "DataPlan",
    "DeviceInformation",
    "DeviceState",
    "Event",
    "EventsClient",
    "FirstRun",
    "Impression",
    "Location",
    "MParticleLogExporter",
    "MParticleSettings",
    "MParticleSpanExporter",
    "NetworkPerformance",
    "OptOut",
    "PixelClient",
    "PixelEvent",
    "Product",
    "ProductAction",
    "ProfileChange",
    "Promotion",
    "PromotionAction",
    "PushMessage",
    "PushRegistration",
    "ScreenView",
    "SessionEnd",
    "SessionStart",
    "ShoppingCart",
    "Uninstall",
    "UserAttributeChange",
    "UserIdentities",
    "UserIdentity",
    "UserIdentityChange",
]
