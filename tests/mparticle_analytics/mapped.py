"""The mapping of records, and what comes of it, one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from otel_vendor_exporters.mparticle_analytics.mapping import EventMapping, Mapped
from otel_vendor_exporters.mparticle_analytics.settings import AnalyticsSettings
from otel_vendor_exporters.mparticle_analytics.units import Kind
from otel_vendor_exporters.mparticle_analytics.users import Users

PROCESS_USER = "process-1"


def mapping(users: Users | None = None, **settings: Any) -> EventMapping:
    return EventMapping(AnalyticsSettings.read(api_key="k", **settings), users or Users(set()))


def mapped(records: Sequence[Any], **settings: Any) -> Mapped:
    return mapping(**settings).events_from_logs(records, PROCESS_USER)


def contents(result: Mapped) -> list[dict[str, Any]]:
    return [json.loads(unit.content) for unit in result.units]


def properties(records: Sequence[Any], **settings: object) -> dict[str, str]:
    """The properties of the only event."""
    (content,) = contents(mapped(records, **settings))
    found: dict[str, str] = content["properties"]
    return found


def kinds(result: Mapped) -> list[tuple[Kind, tuple[str, ...]]]:
    return [(unit.kind, unit.users) for unit in result.units]
