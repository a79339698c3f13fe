"""The contract's example (section 3.3) as values for tests: its configuration, and spans of the real SDK."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_vendor_exporters.delivery.request import Reply
from otel_vendor_exporters.mpulse.app_config import AppConfig, Problem, read_answer
from otel_vendor_exporters.mpulse.definitions import Definitions, Metric
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.mpulse.wire import Envelope

KEY = "K9MSB-TL87R-NA6PR-XZPBL-5SLU5"
DOMAIN = "www.example.com"
CRUMB = "ad73390de5ba3bdff928806651a4f528dfa98983"
CRUMB_UNIX_MS = 1450215931908
NOW_UNIX_MS = 1450215932000
MAXIMUM_INT32 = 2_147_483_647

ANSWER: dict[str, Any] = {  # JSON
    "h.key": KEY,
    "h.d": DOMAIN,
    "h.t": CRUMB_UNIX_MS,
    "h.cr": CRUMB,
    "session_id": "6ad5f44a-466f-4373-b3c7-b5cfdd22118d",
    "site_domain": DOMAIN,
    "beacon_url": "//17de4c15.akstat.io/",
    "beacon_interval": 5,
    "autorun": True,
    "BW": {"enabled": False},
    "RT": {"session_exp": 1800},
    "PageParams": {
        "pageGroups": [],
        "abTests": [],
        "customMetrics": [
            {
                "name": "MyMetric",
                "index": 2,
                "type": "Custom",
                "label": "cmet.MyMetric",
                "dataType": "Number",
            },
            {"name": "Revenue", "index": 3, "label": "cmet.Revenue", "dataType": "Currency"},
        ],
        "customTimers": [
            {"name": "MyTimer", "index": 0, "type": "Custom", "label": "custom0"},
            {"name": "Code Timer", "index": 1, "type": "Programmatic", "label": "custom1"},
        ],
        "customDimensions": [
            {
                "name": "Visibility State",
                "index": 0,
                "type": "JavaScriptVar",
                "label": "cdim.Visibility_State",
                "dataType": "Text",
                "varName": "document.visibilityState",
            }
        ],
        "urlPatterns": [],
        "params": True,
    },
    "user_ip": "203.0.113.7",
}

DEFINITIONS = Definitions(
    timers={"MyTimer": "custom0", "Code Timer": "custom1"},
    metrics={"MyMetric": Metric("cmet.MyMetric", "Number"), "Revenue": Metric("cmet.Revenue", "Currency")},
    dimensions={"Visibility State": "cdim.Visibility_State"},
)


def settings(**keywords: object) -> MPulseSettings:
    """Settings for the example's app."""
    return MPulseSettings.read(**{"api_key": KEY, "domain": DOMAIN, **keywords})


def answer(*without: str, **changed: object) -> dict[str, Any]:
    """The example's configuration, changed; `h_t` stands for h.t."""
    new = {name.replace("h_", "h."): value for name, value in changed.items()}
    return {name: value for name, value in {**copy.deepcopy(ANSWER), **new}.items() if name not in without}


def reply(body: object, status: int = 200, **headers: str) -> Reply:
    """An answer as it comes from the network."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers=headers, body=data)


def read(
    body: object, current: AppConfig | None = None, *, status: int = 200, **keywords: object
) -> AppConfig | Problem:
    """What a configuration answer is understood as, asked for at the monotonic second 1000."""
    return read_answer(
        reply(body, status), settings(**keywords), current, asked_at=1000.0, now_unix_ms=NOW_UNIX_MS
    )


def config(current: AppConfig | None = None, **changed: object) -> AppConfig:
    """The example's configuration, changed, as read."""
    found = read(answer(**changed), current)
    assert isinstance(found, AppConfig), found
    return found


def envelope(**keywords: Any) -> Envelope:
    """The example's envelope; keywords are Envelope's."""
    ours: dict[str, Any] = {
        "beacon_url": "https://17de4c15.akstat.io/",
        "api_key": KEY,
        "domain": DOMAIN,
        "crumb": CRUMB,
        "crumb_unix_ms": CRUMB_UNIX_MS,
        "user_agent": "test",
    }
    return Envelope(**{**ours, **keywords})


def span(
    name: Any = "MyTimer",
    attributes: Mapping[str, Any] | None = None,
    *,
    milliseconds: float = 10,
    end_unix_ms: int = NOW_UNIX_MS,
    resource: Mapping[str, Any] | None = None,
) -> ReadableSpan:
    """A span as the SDK makes it."""
    end = end_unix_ms * 1_000_000
    return timed_span(end - round(milliseconds * 1_000_000), end, name, attributes, resource)


def timed_span(
    start: Any,
    end: Any,
    name: Any = "MyTimer",
    attributes: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
) -> ReadableSpan:
    """A span with these times, whatever they are."""
    provider = TracerProvider(resource=Resource(resource or {}), shutdown_on_exit=False)
    made = provider.get_tracer("test").start_span(name, attributes=attributes, start_time=start)
    made.end(end)
    assert isinstance(made, ReadableSpan)
    return made
