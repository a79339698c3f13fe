"""
The pixel: one event as the query string of a GET.

Pure. Source: "Pixel Service". It carries custom events and screen views of one user, nothing else, and knows
the Web SDK's names of identities and event types.

How it escapes a comma within a list is not documented. mParticle's own AMP client percent-encodes each
element and joins them with bare commas, and so do we; `commas=` offers what is safe if the server decodes
before it splits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import quote

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.batching import Sealed
from otel_vendor_exporters.mparticle.device import Location
from otel_vendor_exporters.mparticle.units import OwnedEvent, SealedBatch
from otel_vendor_exporters.mparticle.user import UserIdentities
from otel_vendor_exporters.mparticle.values import Attributes, Flags, Int64, Name, WireValue
from otel_vendor_exporters.mparticle.vocabulary import Environment

MOST_URL_BYTES = 2000  # mParticle names no limit; what servers and proxies on the way are known to take

Commas: TypeAlias = Literal["encode", "space", "reject"]
MessageType: TypeAlias = Literal["AppEvent", "ScreenView"]
# `media` is known from the Web SDK, "Pixel Service" leaves it out.
PixelEventType: TypeAlias = Literal[
    "unknown",
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

_IDENTITY_NAMES: Mapping[str, str] = {
    "customer_id": "customerid",
    "facebook_custom_audience_id": "facebookcustomaudienceid",
    **{f"other_id_{number}": f"other{number}" for number in range(2, 11)},
}
_LISTS = (
    ("attrs_k", "attrs_v", "custom_attributes"),
    ("ua_k", "ua_v", "user_attributes"),
    ("ui_t", "ui_v", "user_identities"),
    ("flags_k", "flags_v", "custom_flags"),
)
_LISTS_BYTES = len("&attrs_k=&attrs_v=")

_MESSAGE_TYPES = {"custom_event": ("AppEvent", "event_name"), "screen_view": ("ScreenView", "screen_name")}
_SHARED = ("timestamp_unixtime_ms", "custom_attributes", "custom_flags", "location")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PixelEvent(WireValue):
    """A custom event ("AppEvent") or a screen view. `hostname` and `title` are of screen views only."""

    WHERE: ClassVar[str] = "pixel"

    message_type: MessageType
    timestamp_unixtime_ms: Int64
    environment: Environment
    event_name: Name | None = None
    custom_event_type: PixelEventType | None = None
    hostname: str | None = None
    title: str | None = None
    custom_attributes: Attributes | None = None
    user_attributes: Attributes | None = None  # texts only: the pixel has no lists in lists
    user_identities: UserIdentities | None = None  # or a map of them, as every nested value
    custom_flags: Flags | None = None
    location: Location | None = None
    application_version: str | None = None

    @classmethod
    def check(cls, form: Mapping[str, object]) -> None:
        """A page's keys belong to a page."""
        if form["message_type"] == "AppEvent" and form.keys() & {"hostname", "title"}:
            raise EncodingError("pixel.hostname and pixel.title take a ScreenView", field="pixel.hostname")


def pixel_target(event: PixelEvent, web_api_key: str, commas: Commas = "encode") -> str:
    """Path and query of the GET."""
    return f"/v1/{quote(web_api_key, safe='')}/Pixel?{query_of(event, commas)}"


def query_of(event: PixelEvent, commas: Commas = "encode") -> str:
    """The event as a query string; ASCII."""
    form: Mapping[str, Any] = event.form  # Any: each key's own type
    parts = [f"dt={form['message_type']}"]
    if form["message_type"] == "AppEvent" or "custom_event_type" in form:
        parts.append("et=" + _pascal_case(form.get("custom_event_type", "unknown")))
    parts.append(f"ct={form['timestamp_unixtime_ms']}")
    parts.extend(_texts(form, (("n", "event_name"), ("hn", "hostname"), ("ttl", "title"))))
    for names, values, key in _LISTS:
        if key in form:
            parts.append(
                f"{names}={_list([_IDENTITY_NAMES.get(one, one) for one in form[key]], commas, key)}"
            )
            parts.append(f"{values}={_list(form[key].values(), commas, key)}")
    if "location" in form:
        parts.append(f"lc={_degrees(form['location']['latitude'])},{_degrees(form['location']['longitude'])}")
    parts.extend(_texts(form, (("av", "application_version"),)))
    parts.append("dbg=" + ("true" if form["environment"] == "development" else "false"))
    return "&".join(parts)


def shortened(event: PixelEvent, most_query_bytes: int, commas: Commas = "encode") -> tuple[PixelEvent, int]:
    """The event with a query of that length, and how many attributes it lost for it, the largest first."""
    attributes: dict[str, str] = dict(event.form.get("custom_attributes", {}))  # type: ignore[call-overload]  # a map
    bare = replace(event, custom_attributes=None) if attributes else event
    room = most_query_bytes - len(query_of(bare, commas))
    if room < 0:
        raise EncodingError(f"pixel takes {most_query_bytes} bytes without attributes", field="pixel")
    kept = _fitting(attributes, room - _LISTS_BYTES)
    dropped = len(attributes) - len(kept)
    return (replace(event, custom_attributes=kept) if dropped else event), dropped


def _fitting(attributes: Mapping[str, str], room: int) -> dict[str, str]:
    """The attributes without the largest, as many as it takes."""
    short = {name: text for name, text in attributes.items() if len(name) + len(text) <= room}
    sizes = {name: len(_quoted(name)) + len(_quoted(text)) + len(",,") for name, text in short.items()}
    excess = sum(sizes.values()) - len(",,") - room
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        excess -= sizes[name]
        del short[name]
    return short


def seal_pixels(events: Iterable[OwnedEvent], most_query_bytes: int, commas: Commas = "encode") -> Sealed:
    """
    The events as queries, one by one, in order; those that a pixel cannot carry are counted.

    What is kept for the pixel is a `SealedBatch` all the same: of one event, its body the query.
    """
    sealed = Sealed()
    users: dict[str, Mapping[str, object]] = {}
    for owner, text in events:
        form = json.loads(text)
        if owner.head not in users:
            users[owner.head] = _of_user(json.loads(owner.head + "}"))
        try:
            event, dropped = shortened(_pixel_of(form, users[owner.head]), most_query_bytes, commas)
        except EncodingError as error:
            sealed.drop([text], f"unfit:{error.field}")
            continue
        if dropped:
            sealed.left_out["too_large:attribute"] += dropped
        body = query_of(event, commas).encode("ascii")
        message_id = form["data"]["source_message_id"]
        sealed.batches.append(SealedBatch(body, message_id, 1, owner.ordering_key, owner.subject))
    return sealed


def _of_user(batch: Mapping[str, Any]) -> Mapping[str, object]:
    """What of a batch a pixel can say: no address, device, consent or plan."""
    return {
        "environment": batch["environment"],
        "user_identities": batch.get("user_identities"),
        "user_attributes": batch.get("user_attributes"),
        "application_version": batch.get("application_info", {}).get("application_version"),
    }


def _pixel_of(form: Mapping[str, Any], user: Mapping[str, object]) -> PixelEvent:
    """The event for the pixel. Raises EncodingError for one that has none."""
    event_type, data = form["event_type"], form["data"]
    if event_type not in _MESSAGE_TYPES:
        raise EncodingError(f"pixel takes no {event_type}", field=f"pixel.{event_type}")
    message_type, name = _MESSAGE_TYPES[event_type]
    contents: dict[str, Any] = {
        **user,
        "message_type": message_type,
        "event_name": data[name],
        "custom_event_type": data.get("custom_event_type"),
        **{key: data.get(key) for key in _SHARED},
    }
    return PixelEvent(**contents)


def _texts(form: Mapping[str, Any], parameters: Iterable[tuple[str, str]]) -> Iterable[str]:
    return [f"{parameter}={_quoted(form[key])}" for parameter, key in parameters if key in form]


def _list(elements: Iterable[str], commas: Commas, key: str) -> str:
    """Elements with bare commas between them; urlencode would turn those into `%2C`, too."""
    if commas == "space":
        elements = [one.replace(",", " ") for one in elements]
    elif commas == "reject" and any("," in one for one in elements):
        raise EncodingError(f"pixel.{key} takes no commas", field=f"pixel.{key}")
    return ",".join(_quoted(one) for one in elements)


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _pascal_case(word: str) -> str:
    return "".join(part.capitalize() for part in word.split("_"))


def _degrees(value: float) -> str:
    return format(Decimal(repr(value)), "f")  # repr, as it is exact; without its exponent
