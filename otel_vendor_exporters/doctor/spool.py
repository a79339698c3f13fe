"""Spool: where what waits is kept, and whether that place takes files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from otel_vendor_exporters.doctor.report import Finding, Level


def spool_findings(settings: object) -> Iterator[Finding]:
    """Of a vendor's setting `spool_dir`; nothing for a vendor that has none."""
    if not hasattr(settings, "spool_dir"):
        return
    directory = settings.spool_dir
    if directory is None:
        sentence = "what waits is in memory: it survives an outage, not the process; set spool_dir to keep it"
        yield Finding(Level.INFO, "spool", "in_memory", sentence)
        return
    yield _state(Path(str(directory)))


def _state(directory: Path) -> Finding:
    place = directory if directory.exists() else directory.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        sentence = f"spool_dir {directory} cannot be written: what waits is then in memory only"
        return Finding(Level.ERROR, "spool", "not_writable", sentence)
    sizes = [one.stat().st_size for one in directory.glob("*") if one.is_file()] if place is directory else []
    sentence = f"spool_dir {directory} can be written; it holds {len(sizes)} files, {sum(sizes)} bytes"
    return Finding(Level.OK, "spool", "writable", sentence, {"files": len(sizes), "bytes": sum(sizes)})
