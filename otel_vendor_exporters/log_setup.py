"""
Log set-up: a LoggerProvider for exporters by their names, for whoever must not know the SDK.

Found by the entry point `logger_provider` in the group `otel_vendor_exporters_setup`; so
`instrumentation.EventHandler(exporters=[...])` needs no other line of set-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter

from otel_vendor_exporters.delivery.lifetime import child_end
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.nearest import nearest

_GROUP = "opentelemetry_logs_exporter"


def logger_provider(exporters: Mapping[str, Mapping[str, Any]]) -> LoggerProvider:  # Any: of any exporter
    """
    A provider that exports in batches to each of the exporters (name to settings), with OTEL_* resources.

    Raises ConfigurationError for a name that is not installed; what an exporter raises for its settings
    passes, and those made before it are shut down.
    """
    made: list[LogRecordExporter] = []
    try:
        for name, settings in exporters.items():
            made.append(_exporter_class(name)(**settings))
    except BaseException:
        for exporter in made:
            exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        raise
    provider = LoggerProvider()
    for exporter in made:
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    child_end.flush_first(provider)
    return provider


def _exporter_class(name: str) -> Any:  # Any: whatever the entry point names; it is called as the SDK does
    found = tuple(entry_points(group=_GROUP, name=name))
    if found:
        return found[0].load()
    known = sorted({each.name for each in entry_points(group=_GROUP)})
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near else f"installed are {', '.join(known)}"
    raise ConfigurationError(f"there is no logs exporter {name!r}: {hint}", setting="exporters")
