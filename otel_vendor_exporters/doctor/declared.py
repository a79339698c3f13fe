"""
Declared: which of our exporters the file OTEL_CONFIG_FILE names, and with which settings.

The file is read by OpenTelemetry's own reader, so what it takes, and what `${VARIABLES}` become, is the same.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from otel_vendor_exporters.doctor.report import Finding, Level

_INSTRUMENTOR = "otel_vendor_exporters"  # its entry point
_SIGNALS = {"tracer_provider": "traces", "meter_provider": "metrics", "logger_provider": "logs"}


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """One exporter: its name, its signal, and its settings as the file gives them."""

    name: str
    signal: str
    keywords: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """
    What the file says of us: whether it could be read, its exporters, and the options of our instrumentor.

    Exporters are those that are not OpenTelemetry's own.
    """

    finding: Finding
    exporters: tuple[Declared, ...] = ()
    instrumentor: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # Any: as in a file


def declared_in(file: str) -> Content:
    """What the file says of us. Never raises."""
    try:
        from opentelemetry.configuration import load_config_file
    except ImportError:
        sentence = (
            "OTEL_CONFIG_FILE is set, and opentelemetry-configuration is not installed, which reads it from "
            'SDK 1.44 on: pip install "otel-vendor-exporters[auto]"; what it holds is not examined here'
        )
        return Content(Finding(Level.WARNING, "configuration file", "no_reader", sentence))
    try:
        with _silence():
            content = load_config_file(file)
    except Exception as error:  # noqa: BLE001  whatever it is, OpenTelemetry will raise it, too
        words = " ".join(str(error).split())[:300]
        sentence = f"OTEL_CONFIG_FILE cannot be used, and no telemetry starts: {words}"
        return Content(Finding(Level.ERROR, "configuration file", "unusable", sentence))
    found = tuple(
        Declared(name, signal, keywords)
        for provider, signal in _SIGNALS.items()
        for name, keywords in _plug_ins(getattr(content, provider, None))
    )
    told = ", ".join(f"{one.name} for {one.signal}" for one in found) or "none beside OpenTelemetry's own"
    sentence = f"OTEL_CONFIG_FILE is read, and OTEL_…_EXPORTER are not; its exporters: {told}"
    finding = Finding(Level.OK, "configuration file", "read", sentence)
    return Content(finding, found, _of_instrumentor(content))


def _of_instrumentor(content: Any) -> Mapping[str, Any]:  # Any: the reader's own
    python = getattr(getattr(content, "instrumentation_development", None), "python", None)
    options = python.get(_INSTRUMENTOR) if isinstance(python, Mapping) else None
    return options if isinstance(options, Mapping) else {}


@contextmanager
def _silence() -> Iterator[None]:
    """What the reader would log it also raises."""
    logger, nobody = logging.getLogger("opentelemetry"), logging.NullHandler()
    logger.addHandler(nobody)
    try:
        yield
    finally:
        logger.removeHandler(nobody)


def _plug_ins(part: Any) -> Iterator[tuple[str, Mapping[str, object]]]:  # Any: whatever the file holds
    """What the schema does not know, wherever in a provider: that is how exporters of others stand there."""
    if isinstance(part, (list, tuple)):
        for one in part:
            yield from _plug_ins(one)
    elif dataclasses.is_dataclass(part):
        for name, keywords in (getattr(part, "additional_properties", None) or {}).items():
            yield str(name), dict(keywords) if isinstance(keywords, Mapping) else {}
        for field in dataclasses.fields(part):
            yield from _plug_ins(getattr(part, field.name))
