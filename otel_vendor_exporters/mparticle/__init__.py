"""
mParticle: OpenTelemetry's events become events of a user.

    mapping ──▶ events, commerce, user, device ──▶ units ──▶ batching ──▶ mParticle
                (values: what a field takes; texts: attributes; vocabulary: closed sets)
                wire: the batch and its bytes      pixel: the same for a browser's key
                answers: what mParticle said of which batch
"""

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
from otel_vendor_exporters.mparticle.pixel import PixelEvent
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
    "FirstRun",
    "Impression",
    "Location",
    "NetworkPerformance",
    "OptOut",
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
