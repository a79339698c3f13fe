"""
Events: the seventeen types that have a schema.

Sources: Node SDK guide ("Events"), JSON Reference, S26. What the server makes itself (event ids, session ids,
the names of commerce events) has no field, nor has what its documents contradict each other about
(`crash_report.breadcrumbs`, `push_message_behavior`). `pre_attribution` and `push_reaction` are names only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.commerce import Impression, ProductAction, PromotionAction, ShoppingCart
from otel_vendor_exporters.mparticle.device import DeviceState, Location
from otel_vendor_exporters.mparticle.texts import MOST_ACTION_IDENTIFIER_LENGTH, cut
from otel_vendor_exporters.mparticle.user import UserIdentity
from otel_vendor_exporters.mparticle.values import (
    Attributes,
    Filled,
    Flags,
    Int32,
    Int64,
    Name,
    Uint64,
    UserAttribute,
    Uuid,
    WireValue,
    text,
)
from otel_vendor_exporters.mparticle.vocabulary import (
    ActivityType,
    ApplicationState,
    ConnectionType,
    CustomEventType,
    ProfileEventType,
    PushMessageType,
    PushNetwork,
    TransitionType,
)

_COMMERCE_VARIANTS = frozenset({"product_action", "promotion_action", "product_impressions"})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Event(WireValue):
    """
    What every event has: when, which message, in which session.

    Without a timestamp it happened when mParticle received it. `form` is the event's `data` object; its type
    is WHERE.
    """

    timestamp_unixtime_ms: Int64 | None = None
    source_message_id: Uuid | None = None
    session_uuid: Uuid | None = None  # the server hashes its spelling: write one session one way

    @property
    def event_type(self) -> str:
        """The word for it on the wire."""
        return self.WHERE


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DetailedEvent(Event):
    """What every event but the start of a session may have."""

    custom_attributes: Attributes | None = None
    custom_flags: Flags | None = None
    location: Location | None = None
    device_current_state: DeviceState | None = None
    event_num: Int64 | None = None  # position in the session, from 0
    data_connection_type: ConnectionType | None = None
    view_controller: str | None = None
    is_main_thread: bool | None = None
    canonical_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CustomEvent(DetailedEvent):
    """Something the user did: a name and a type. The Node SDK's AppEvent."""

    WHERE: ClassVar[str] = "custom_event"

    event_name: Name
    custom_event_type: CustomEventType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScreenView(DetailedEvent):
    """The user looks at a screen or a page."""

    WHERE: ClassVar[str] = "screen_view"

    screen_name: Name
    activity_type: ActivityType | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CommerceEvent(DetailedEvent):
    """Exactly one of an action on products, an action on promotions, impressions of products."""

    WHERE: ClassVar[str] = "commerce_event"

    product_action: ProductAction | None = None
    promotion_action: PromotionAction | None = None
    product_impressions: Sequence[Impression] | None = None
    shopping_cart: ShoppingCart | None = None
    currency_code: str | None = None
    screen_name: str | None = None
    is_non_interactive: bool | None = None

    @classmethod
    def check(cls, form: Mapping[str, object]) -> None:
        """One of the three variants, and only one."""
        if len(_COMMERCE_VARIANTS & form.keys()) != 1:
            raise EncodingError(
                "commerce_event takes exactly one of product_action, promotion_action, product_impressions",
                field="commerce_event",
            )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SessionStart(Event):
    """A session begins. The JSON Reference allows no other keys; SDKs repeat session_uuid as message id."""

    WHERE: ClassVar[str] = "session_start"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SessionEnd(DetailedEvent):
    """A session is over."""

    WHERE: ClassVar[str] = "session_end"

    session_duration_ms: Int64


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CrashReport(DetailedEvent):
    """
    An exception. Severity is free; `fatal` and `error` are the words mParticle's own SDKs use.

    The message may be empty, as `str(ValueError())` is: S26 takes even null there.
    """

    WHERE: ClassVar[str] = "crash_report"

    severity: Filled
    message: str
    class_name: str | None = None
    stack_trace: str | None = None
    exception_handled: bool | None = None
    topmost_context: str | None = None
    pl_crash_report_file_base64: str | None = None
    ios_image_base_address: Uint64 | None = None
    ios_image_size: Uint64 | None = None
    session_number: Int32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Breadcrumb(DetailedEvent):
    """A step on the way to a crash."""

    WHERE: ClassVar[str] = "breadcrumb"

    label: Filled
    session_number: Int32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NetworkPerformance(DetailedEvent):
    """
    A call that the application made. `response_code` is 0 when there was no response.

    The JSON Reference's table says a text, S26 and every SDK a number.
    """

    WHERE: ClassVar[str] = "network_performance"

    url: Filled
    response_code: Int64
    http_verb: str | None = None
    time_elapsed: Int32 | None = None  # milliseconds
    bytes_in: Int32 | None = None
    bytes_out: Int32 | None = None
    data: str | None = None  # base64


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OptOut(DetailedEvent):
    """The user opts out of everything, or in again."""

    WHERE: ClassVar[str] = "opt_out"

    is_opted_out: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PushRegistration(DetailedEvent):
    """The device's push token is registered, or no longer."""

    WHERE: ClassVar[str] = "push_registration"

    register: bool
    registration_token: Filled


def _action_identifier(value: Any, where: str) -> str:  # Any: as in every rule
    return cut(text(value, where), MOST_ACTION_IDENTIFIER_LENGTH)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PushMessage(DetailedEvent):
    """A push message. Its payload is JSON, as text."""

    WHERE: ClassVar[str] = "push_message"

    push_message_token: Filled
    push_message_type: PushMessageType
    push_notification_payload: Filled
    message: str | None = None
    network: PushNetwork | None = None
    application_state: ApplicationState | None = None
    action_identifier: Annotated[str, _action_identifier] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApplicationStateTransition(DetailedEvent):
    """The application starts, ends, comes to the front or goes to the back."""

    WHERE: ClassVar[str] = "application_state_transition"

    application_transition_type: TransitionType
    is_first_run: bool | None = None
    is_upgrade: bool | None = None
    successfully_closed: bool | None = None
    push_notification_payload: str | None = None
    launch_referral: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProfileChange(DetailedEvent):
    """One user becomes another on this device."""

    WHERE: ClassVar[str] = "profile"

    previous_mpid: Int64
    current_mpid: Int64
    profile_event_type: ProfileEventType


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserAttributeChange(DetailedEvent):
    """An attribute of the user is set, replaced or deleted."""

    WHERE: ClassVar[str] = "user_attribute_change"

    user_attribute_name: Name
    new: UserAttribute | None = None
    old: UserAttribute | None = None
    deleted: bool | None = None
    is_new_attribute: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserIdentityChange(DetailedEvent):
    """One identity takes another's place. S26 requires both, and we send no null."""

    WHERE: ClassVar[str] = "user_identity_change"

    new: UserIdentity
    old: UserIdentity


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FirstRun(DetailedEvent):
    """The application runs for the first time."""

    WHERE: ClassVar[str] = "first_run"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Uninstall(DetailedEvent):
    """The application is gone from the device."""

    WHERE: ClassVar[str] = "uninstall"
