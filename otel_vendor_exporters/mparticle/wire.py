"""
The batch: everything of one user that travels together, and its exact bytes.

Pure. Sources: Node SDK guide ("Batch", "Uploading Data"), "HTTP API", "JSON Reference". Ids are the caller's:
`source_request_id` is what mParticle finds duplicates by, so it belongs to one content for ever. Keys that
only the server or another channel writes (`schema_version`, `batch_id`, `api_key`, ...) have no field.

Bodies are compact JSON in UTF-8: an error of the server then points into a known place (answers.py).
"""

from __future__ import annotations

import json
import operator
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted
from typing import Annotated, Any, ClassVar

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.device import ApplicationInformation, DeviceInformation, Location
from otel_vendor_exporters.mparticle.events import Event
from otel_vendor_exporters.mparticle.user import ConsentState, UserIdentities
from otel_vendor_exporters.mparticle.values import (
    Filled,
    Flags,
    Int32,
    Int64,
    IpAddress,
    Name,
    UserAttributes,
    Uuid,
    WireValue,
)
from otel_vendor_exporters.mparticle.vocabulary import Environment

EVENTS_PATH = "/v2/events"  # one batch
BULK_EVENTS_PATH = "/v2/bulkevents"  # an array of batches, also of one
HISTORICAL_EVENTS_PATH = "/v2/bulkevents/historical"  # an array; every event older than 72 hours

_MOST_REMEMBERED = 10_000
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataPlan(WireValue):
    """The plan that the events follow; without a version, its latest."""

    WHERE: ClassVar[str] = "context.data_plan"

    plan_id: Filled
    plan_version: Int32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BatchContext(WireValue):
    """What holds for the whole batch: its data plan, and a place for events that name none."""

    WHERE: ClassVar[str] = "context"

    data_plan: DataPlan | None = None
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attribution(WireValue):
    """Who brought the user."""

    WHERE: ClassVar[str] = "attribution_info"

    service_provider: Filled
    publisher: Filled
    campaign: Filled


def _event_forms(value: Any, where: str) -> list[object]:  # Any: as in every rule
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, Event) for one in value):
        raise EncodingError(f"{where} takes a tuple or a list of events", field=where)
    return [event_form(event.event_type, event.form) for event in value]


def event_form(event_type: str, form: Mapping[str, object]) -> dict[str, object]:
    """An event as a batch lists it."""
    return {"event_type": event_type, "data": form}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Batch(WireValue):
    """
    One user and their events. A batch without events, or without a user, is legal.

    `environment` has no default, although the server's is production.
    """

    WHERE: ClassVar[str] = "batch"

    environment: Environment
    source_request_id: Filled | None = None
    mpid: Int64 | None = None
    mp_deviceid: Uuid | None = None
    user_identities: UserIdentities | None = None
    user_attributes: UserAttributes | None = None
    deleted_user_attributes: Sequence[Name] | None = None
    device_info: DeviceInformation | None = None
    application_info: ApplicationInformation | None = None
    consent_state: ConsentState | None = None
    context: BatchContext | None = None
    ip: IpAddress | None = None  # the consumer's
    integration_attributes: Mapping[str, Flags] | None = None  # by module id
    partner_identities: Flags | None = None  # registered with mParticle, else the request can fail
    attribution_info: Attribution | None = None
    events: Annotated[Sequence[Event], _event_forms] | None = None


def encoded(batch: Batch) -> bytes:
    """The body of a request to EVENTS_PATH, and an element of one to BULK_EVENTS_PATH."""
    return utf_8(json_text(batch.form))


def json_text(form: object) -> str:
    """Compact JSON; raises ValueError for what JSON has no word for."""
    return _JSON.encode(form)


def event_text(event_type: str, data: Mapping[str, object]) -> str:
    """
    An event as a batch lists it: what `json_text` writes, in two thirds of its time for one event.

    Nearly all of an event is texts under names that were there before. Custom attributes must be texts.
    """
    entries = []
    for name, value in data.items():
        kind = value.__class__
        if kind is str:
            entries.append(_KEYS[name] + _quoted(value))  # type: ignore[arg-type]  # it is one
        elif name == "custom_attributes":
            entries.append(f"{_KEYS[name]}{_texts_text(value)}")  # type: ignore[arg-type]  # they are texts
        else:
            entries.append(f"{_KEYS[name]}{value if kind is int else json_text(value)}")
    return f'{{"event_type":"{event_type}","data":{{{",".join(entries)}}}}}'


def _texts_text(texts: Mapping[str, str]) -> str:
    return (
        "{" + ",".join(map(operator.add, map(_KEYS.__getitem__, texts), map(_quoted, texts.values()))) + "}"
    )


class _Keys(dict[str, str]):
    """Names as JSON has them before a value. Bounded."""

    def __missing__(self, name: str) -> str:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        key = self[name] = f"{_quoted(name)}:"
        return key


_KEYS = _Keys()


def utf_8(text: str) -> bytes:
    """The text's bytes. A lone surrogate, which UTF-8 has none for, becomes a question mark."""
    return text.encode("utf-8", "replace")


def bulk_body(bodies: Iterable[bytes]) -> bytes:
    """The body of a request to BULK_EVENTS_PATH: encoded batches, in order."""
    return b"[" + b",".join(bodies) + b"]"


def authorization(key: str, secret: str) -> str:
    """The Authorization header: Basic, of UTF-8 as "HTTP API" has it."""
    return "Basic " + b64encode(f"{key}:{secret}".encode()).decode("ascii")
