"""A row of what becomes what, and how its proof exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A row of a table, and what proves it."""

    opentelemetry: str
    vendor: str
    proof: Callable[[], None]


def exported(exporter: Any, *batches: Any) -> None:
    """Each batch in an export of its own, and all of it sent."""
    for batch in batches:
        exporter.export(batch)
    assert exporter.force_flush()
    exporter.shutdown()
