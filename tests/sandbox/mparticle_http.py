"""Plain HTTP towards the sandbox's mParticle, for its tests: one good batch, and a way to send."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import requests
from urllib3.util import SKIP_HEADER

from otel_vendor_exporters.sandbox import MParticleApp, MParticleUpload, Sandbox

NOW_MS = 1_700_000_000_500
TIME_MS = 1_700_000_000_123
SESSION = "91b86d0c-86cb-4124-a8b2-edee107de454"
MESSAGE_ID = "e8335d31-2031-4bff-afec-17ffc1784697"
REQUEST_ID = "7fa67be4-f83a-429f-9d73-38b660c50825"
SINGLE, BULK, HISTORICAL = "/v2/events", "/v2/bulkevents", "/v2/bulkevents/historical"

Json = dict[str, Any]


def app(**settings: Any) -> MParticleApp:
    """An app whose clock stands shortly after the conformance cases."""
    return MParticleApp(now=lambda: NOW_MS / 1000, **settings)


def event(kind: str = "custom_event", **data: Any) -> Json:
    """An event without a finding, but for what `data` adds."""
    named = {"event_name": "tap", "custom_event_type": "other"} if kind == "custom_event" else {}
    return {"event_type": kind, "data": {**named, "timestamp_unixtime_ms": TIME_MS, **data}}


def batch(*events: Json, **more: Any) -> Json:
    """A batch without a finding, but for what is added; None takes a key away."""
    whole = {
        "environment": "production",
        "user_identities": {"customer_id": "u-1"},
        "source_request_id": REQUEST_ID,
        "events": list(events or (event(source_message_id=MESSAGE_ID),)),
        **more,
    }
    return {name: value for name, value in whole.items() if value is not None}


def numbered(number: int, *events: Json) -> Json:
    """A batch with a request id of its own."""
    return batch(*events or (event(),), source_request_id=f"request-{number}")


def changed(change: Callable[[Json], object]) -> Json:
    """The good batch with something done to it."""
    content = copy.deepcopy(batch())
    change(content)
    return content


def post(
    sandbox: Sandbox, content: object, path: str = SINGLE, headers: dict[str, str] | None = None, **more: Any
) -> requests.Response:
    """Send JSON, or bytes as they are, with the right key; no User-Agent unless `headers` says one."""
    body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    own = {"Content-Type": "application/json", "User-Agent": SKIP_HEADER, **(headers or {})}
    credentials = (sandbox.mparticle.api_key, sandbox.mparticle.api_secret)
    more.setdefault("auth", credentials)
    return requests.post(sandbox.url + path, data=body, headers=own, timeout=10, **more)


def messages(response: requests.Response) -> list[str]:
    """The messages of an answer that tells of refused batches."""
    errors = response.json()["errors"]
    assert {error["code"] for error in errors} == {"BAD_REQUEST"}
    return [error["message"] for error in errors]


def last_upload(sandbox: Sandbox) -> MParticleUpload:
    """The newest request to the Events API."""
    return sandbox.received.mparticle.uploads[-1]
