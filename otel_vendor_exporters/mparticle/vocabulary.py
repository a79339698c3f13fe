"""
Vocabulary: the closed sets of words that mParticle takes.

Each is a Literal, so that a type checker knows the words and `closed_set` gives them at run time.
Source: the Events API's JSON schema of 2026-08 (S26) and the JSON Reference; where they disagree, what both
accept. Words that only the server writes (`promotion_view`, `native`, ...) have no place here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Environment: TypeAlias = Literal["production", "development"]

# `attribution` is in the JSON Reference and in official SDKs; S26 lacks it and refuses the whole batch.
CustomEventType: TypeAlias = Literal[
    "navigation",
    "location",
    "search",
    "transaction",
    "user_content",
    "user_preference",
    "social",
    "other",
    "media",
]

# `remove_from_wish_list` is spelt so.
ProductActionType: TypeAlias = Literal[
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "checkout_option",
    "click",
    "view_detail",
    "purchase",
    "refund",
    "add_to_wishlist",
    "remove_from_wish_list",
]
PromotionActionType: TypeAlias = Literal["view", "click"]

TransitionType: TypeAlias = Literal[
    "application_initialized", "application_exit", "application_background", "application_foreground"
]
ProfileEventType: TypeAlias = Literal["signup", "login", "logout", "update", "delete"]
ActivityType: TypeAlias = Literal["activity_started", "activity_stopped"]
PushMessageType: TypeAlias = Literal["sent", "received", "action"]
PushNetwork: TypeAlias = Literal["apn", "gcm"]
ApplicationState: TypeAlias = Literal["not_running", "background", "foreground"]

Platform: TypeAlias = Literal[
    "iOS", "Android", "web", "tvOS", "roku", "out_of_band", "alexa", "smart_tv", "fire_tv", "xbox"
]
ApplicationOs: TypeAlias = Literal[
    "IOS",
    "Android",
    "WindowsPhone",
    "MobileWeb",
    "UnityIOS",
    "UnityAndroid",
    "Desktop",
    "TVOS",
    "Roku",
    "OutOfBand",
    "Alexa",
    "SmartTV",
    "FireTV",
    "Xbox",
]
TrackingStatus: TypeAlias = Literal["authorized", "denied", "not_determined", "restricted"]
Orientation: TypeAlias = Literal[
    "portrait",
    "portrait_upside_down",
    "landscape",
    "LandscapeLeft",
    "LandscapeRight",
    "FaceUp",
    "FaceDown",
    "Square",
]
ConnectionType: TypeAlias = Literal["offline", "wifi", "mobile"]
LocationSource: TypeAlias = Literal["unknown", "ip_lookup", "lat_long"]

IdentityType: TypeAlias = Literal[
    "other",
    "customer_id",
    "facebook",
    "twitter",
    "google",
    "microsoft",
    "yahoo",
    "email",
    "alias",
    "facebook_custom_audience_id",
    "other_id_2",
    "other_id_3",
    "other_id_4",
    "other_id_5",
    "other_id_6",
    "other_id_7",
    "other_id_8",
    "other_id_9",
    "other_id_10",
    "mobile_number",
    "phone_number_2",
    "phone_number_3",
]


def closed_set(words: object) -> frozenset[str]:
    """The words of one of these sets."""
    return frozenset(get_args(words))
