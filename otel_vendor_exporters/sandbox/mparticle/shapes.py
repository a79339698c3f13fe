"""
What an mParticle batch may look like: its keys, their types, its closed lists of words.

Tables only; those of the events stand in `event_shapes`. Written from contract/mparticle.md
sections 2 to 6 and 12, that is from the published JSON schema of 2026 ("S26") and the JSON reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind = Literal[
    "text",  # a string
    "scalar",  # read as a string: string, number or boolean; null allowed
    "attribute",  # a user attribute: a scalar, or a list of scalars
    "integer32",
    "integer64",
    "unsigned64",
    "number",
    "boolean",
    "guid",  # a UUID the server converts: another text is refused with its whole batch
    "uuid",  # a UUID by the schema alone
    "address",  # an IPv4 or IPv6 literal
    "anything",
    "server_made",
    "disputed",  # the documents contradict one another: leave it out
]


@dataclass(frozen=True, slots=True)
class Plain:
    """A single value."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Word:
    """One of a closed list; `elsewhere` are words only some documents or SDKs know."""

    words: frozenset[str]
    elsewhere: frozenset[str] = frozenset()
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free names and values of one shape."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Fields:
    """
    An object with known keys.

    `required` is refused when missing by every document, `required_by_schema` only by the schema.
    `spellings` are other names of a key that live clients use. `closed` refuses unknown keys, else they are
    ignored.
    """

    shapes: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    required_by_schema: tuple[str, ...] = ()
    closed: bool = True
    spellings: Mapping[str, str] = field(default_factory=dict)


Shape: TypeAlias = "Plain | Word | ListOf | MapOf | Fields"

TEXT, SCALAR, ATTRIBUTE = Plain("text"), Plain("scalar"), Plain("attribute")
INTEGER32, INTEGER64, UNSIGNED64 = Plain("integer32"), Plain("integer64"), Plain("unsigned64")
NUMBER, BOOLEAN, GUID, UUID = Plain("number"), Plain("boolean"), Plain("guid"), Plain("uuid")
ADDRESS, ANYTHING = Plain("address"), Plain("anything")
SERVER_MADE, DISPUTED = Plain("server_made"), Plain("disputed")


def each(names: str, shape: Shape) -> dict[str, Shape]:
    """Several keys of one shape."""
    return dict.fromkeys(names.split(), shape)


def word(words: str, elsewhere: str = "", *, enforced: bool = True) -> Word:
    """A closed list, written with spaces."""
    return Word(frozenset(words.split()), frozenset(elsewhere.split()), enforced)


_OTHER_IDS = tuple(f"other_id_{number}" for number in range(2, 11))
IDENTITY_NAMES = (
    *("customer_id", "email", "other", *_OTHER_IDS, "mobile_number", "phone_number_2", "phone_number_3"),
    *("facebook", "twitter", "google", "microsoft", "yahoo", "facebook_custom_audience_id", "alias"),
)
# Section 4: what the Python, Node and Ruby SDKs, RudderStack, IDSync and the pixel write.
IDENTITY_SPELLINGS = {
    "customerid": "customer_id",
    "facebookcustomaudienceid": "facebook_custom_audience_id",
    **{f"other{number}": f"other_id_{number}" for number in range(2, 11)},
}
RESERVED_ATTRIBUTES = (
    *("$age", "$gender", "$country", "$zip", "$city", "$state", "$address"),
    *("$firstname", "$lastname", "$mobile"),
)
_ORIENTATION = word(
    "portrait portrait_upside_down landscape LandscapeLeft LandscapeRight FaceUp FaceDown Square square",
    enforced=False,
)
CONNECTION = word("offline wifi mobile")

LOCATION = Fields(
    {
        **each("latitude longitude accuracy", NUMBER),
        **each("country_code region_code city_name postal_code", TEXT),
        "dma_code": INTEGER32,
        "location_source": word("unknown ip_lookup lat_long"),
    },
    required_by_schema=("latitude", "longitude"),
)
DEVICE_STATE = Fields(
    {
        **each(
            "time_since_start_ms total_system_memory_usage_bytes disk_space_free_bytes "
            "external_disk_space_free_bytes",
            INTEGER64,
        ),
        **each(
            "battery_level system_memory_available_bytes system_memory_threshold_bytes "
            "application_memory_available_bytes application_memory_max_bytes application_memory_total_bytes",
            NUMBER,
        ),
        **each("data_connection_type_detail cpu", TEXT),
        **each("gps_state system_memory_low", BOOLEAN),
        **each("device_orientation status_bar_orientation", _ORIENTATION),
        "data_connection_type": CONNECTION,
    }
)
_DEVICE = Fields(
    {
        **each(
            "brand product device android_uuid device_manufacturer os_version device_model device_country "
            "locale_language locale_country network_country network_carrier network_code "
            "network_mobile_country_code build_identifier http_header_user_agent microsoft_advertising_id "
            "microsoft_publisher_id amp_id push_token cpu_architecture radio_access_technology "
            "bluetooth_version build_version_release",
            TEXT,
        ),
        **each("screen_height screen_width screen_dpi timezone_offset", INTEGER32),
        **each(
            "ios_advertising_id ios_idfv android_advertising_id roku_advertising_id roku_publisher_id "
            "fire_advertising_id",
            GUID,
        ),
        **each(
            "is_tablet push_notification_sound_enabled push_notification_vibrate_enabled supports_telephony "
            "has_nfc bluetooth_enabled limit_ad_tracking is_dst",
            BOOLEAN,
        ),
        "platform": word(
            "iOS Android web tvOS roku out_of_band alexa smart_tv fire_tv xbox", "desktop FireTV Unknown"
        ),
        "att_authorization_status": word("authorized denied not_determined restricted"),
        "att_timestamp_unixtime_ms": INTEGER64,
    }
)
_APPLICATION = Fields(
    {
        **each(
            "application_name application_version application_build_number install_referrer package", TEXT
        ),
        "os": word(
            "IOS Android WindowsPhone MobileWeb UnityIOS UnityAndroid Desktop TVOS Roku OutOfBand Alexa "
            "SmartTV FireTV Xbox Unknown",
            enforced=False,
        ),
        "apple_search_ads_attributes": MapOf(MapOf(TEXT)),
    },
    spellings={"sideloaded_kits_count": ""},
)
_CONSENT = Fields(
    {
        "consented": BOOLEAN,
        "timestamp_unixtime_ms": INTEGER64,
        **each("document location hardware_id regulation", TEXT),
    },
    required=("consented", "timestamp_unixtime_ms"),
)
_CONTEXT = Fields(
    {
        "data_plan": Fields({"plan_id": TEXT, "plan_version": INTEGER32}, required=("plan_id",)),
        "location": LOCATION,
    }
)

BATCH = Fields(
    {
        "environment": word("production development", "unknown"),
        "events": ListOf(ANYTHING),  # each is checked by its own type
        "user_identities": Fields(each(" ".join(IDENTITY_NAMES), SCALAR), spellings=IDENTITY_SPELLINGS),
        "user_attributes": MapOf(ATTRIBUTE),
        "deleted_user_attributes": ListOf(TEXT),
        "device_info": _DEVICE,
        "application_info": _APPLICATION,
        "consent_state": Fields({"gdpr": MapOf(_CONSENT), "ccpa": Fields({"data_sale_opt_out": _CONSENT})}),
        "context": _CONTEXT,
        "ip": ADDRESS,
        "mpid": INTEGER64,
        "mp_deviceid": GUID,
        "source_request_id": TEXT,
        "integration_attributes": MapOf(MapOf(TEXT)),
        "partner_identities": MapOf(TEXT),
        "partner_identity": TEXT,
        "attribution_info": Fields(
            each("service_provider publisher campaign", TEXT),
            required=("service_provider", "publisher", "campaign"),
        ),
        **each(
            "api_key api_keys source_info timestamp_unixtime_ms batch_id origin_mpid sdk_version job_id",
            SERVER_MADE,
        ),
    },
    spellings={"schema_version": ""},
)
