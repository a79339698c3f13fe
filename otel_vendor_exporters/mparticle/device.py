"""
The device: what the user holds in hand, what runs on it, where it is and how it does.

Sources: Node SDK guide ("Device Information"), JSON Reference, S26; all four objects are closed. It is the
consumer's device, never the server this runs on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from otel_vendor_exporters.mparticle.values import (
    Flags,
    Int32,
    Int64,
    Latitude,
    Longitude,
    Number,
    Uuid,
    WireValue,
)
from otel_vendor_exporters.mparticle.vocabulary import (
    ApplicationOs,
    ConnectionType,
    LocationSource,
    Orientation,
    Platform,
    TrackingStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeviceInformation(WireValue):
    """
    The device and its advertising ids.

    When `http_header_user_agent` is missing, mParticle takes the User-Agent of the request instead.
    """

    WHERE: ClassVar[str] = "device_info"

    brand: str | None = None
    product: str | None = None
    device: str | None = None
    android_uuid: str | None = None
    device_manufacturer: str | None = None
    platform: Platform | None = None
    os_version: str | None = None
    device_model: str | None = None
    screen_height: Int32 | None = None
    screen_width: Int32 | None = None
    screen_dpi: Int32 | None = None
    device_country: str | None = None
    locale_language: str | None = None
    locale_country: str | None = None
    network_country: str | None = None
    network_carrier: str | None = None
    network_code: str | None = None
    network_mobile_country_code: str | None = None
    timezone_offset: Int32 | None = None  # hours from UTC
    build_identifier: str | None = None
    http_header_user_agent: str | None = None
    ios_advertising_id: Uuid | None = None
    ios_idfv: Uuid | None = None
    android_advertising_id: Uuid | None = None
    roku_advertising_id: Uuid | None = None
    roku_publisher_id: Uuid | None = None
    fire_advertising_id: Uuid | None = None
    microsoft_advertising_id: str | None = None
    microsoft_publisher_id: str | None = None
    amp_id: str | None = None
    push_token: str | None = None
    cpu_architecture: str | None = None
    radio_access_technology: str | None = None
    bluetooth_version: str | None = None
    build_version_release: str | None = None
    att_authorization_status: TrackingStatus | None = None
    att_timestamp_unixtime_ms: Int64 | None = None  # the JSON Reference says Int32, its example needs Int64
    is_tablet: bool | None = None
    push_notification_sound_enabled: bool | None = None
    push_notification_vibrate_enabled: bool | None = None
    supports_telephony: bool | None = None
    has_nfc: bool | None = None
    bluetooth_enabled: bool | None = None
    limit_ad_tracking: bool | None = None
    is_dst: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApplicationInformation(WireValue):
    """The application that the events are about."""

    WHERE: ClassVar[str] = "application_info"

    application_name: str | None = None
    application_version: str | None = None
    application_build_number: str | None = None
    install_referrer: str | None = None
    package: str | None = None
    os: ApplicationOs | None = None
    apple_search_ads_attributes: Mapping[str, Flags] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Location(WireValue):
    """Where it happened. `region_code` is the part of ISO 3166-2 behind the hyphen: NY, not US-NY."""

    WHERE: ClassVar[str] = "location"

    latitude: Latitude
    longitude: Longitude
    accuracy: Number | None = None  # metres
    country_code: str | None = None
    region_code: str | None = None
    city_name: str | None = None
    postal_code: str | None = None
    dma_code: Int32 | None = None
    location_source: LocationSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeviceState(WireValue):
    """How the device did when the event happened."""

    WHERE: ClassVar[str] = "device_current_state"

    time_since_start_ms: Int64 | None = None
    battery_level: Number | None = None
    data_connection_type: ConnectionType | None = None
    data_connection_type_detail: str | None = None
    gps_state: bool | None = None
    total_system_memory_usage_bytes: Int64 | None = None
    disk_space_free_bytes: Int64 | None = None
    external_disk_space_free_bytes: Int64 | None = None
    cpu: str | None = None
    system_memory_available_bytes: Number | None = None
    system_memory_low: bool | None = None
    system_memory_threshold_bytes: Number | None = None
    application_memory_available_bytes: Number | None = None
    application_memory_max_bytes: Number | None = None
    application_memory_total_bytes: Number | None = None
    device_orientation: Orientation | None = None
    status_bar_orientation: Orientation | None = None
