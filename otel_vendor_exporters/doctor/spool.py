"""Spool: where what waits is kept, whether that place takes files, and what waits there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otel_vendor_exporters.delivery.spool_files import SpoolFile, spool_files
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.doctor.report import Finding, Level, counted
from otel_vendor_exporters.errors import SpoolError


def spool_findings(disk: Disk[Any] | None) -> Iterator[Finding]:  # Any: each vendor's own units
    """The state of a vendor's spool; None where what waits is in memory only."""
    if disk is None:
        sentence = "what waits is in memory: it survives an outage, not the process; set spool_dir to keep it"
        yield Finding(Level.INFO, "spool", "in_memory", sentence)
        return
    if not _takes_files(disk.folder):
        sentence = f"spool_dir {disk.folder} cannot be written: what waits is then in memory only"
        yield Finding(Level.ERROR, "spool", "not_writable", sentence)
        return
    try:
        files = spool_files(disk.folder, disk.label)
    except SpoolError as error:
        yield Finding(Level.ERROR, "spool", "unreadable", f"spool_dir {disk.folder} cannot be read: {error}")
        return
    yield _state(disk.folder, files)
    for one in files:
        if one.problem:
            sentence = f"{one.name} {one.problem}: nobody sends what is in it"
            yield Finding(Level.WARNING, "spool", "unusable_file", sentence, {"file": one.name})
        elif not one.is_ours and not one.is_alive:
            items = counted(one.waiting + one.in_flight, "item")
            sentence = (
                f"{one.name} keeps {items} for another account or address than these settings' "
                f"({one.address}): only a process with the settings of then sends them"
            )
            yield Finding(Level.WARNING, "spool", "of_other_settings", sentence, {"file": one.name})


def _state(folder: Path, files: tuple[SpoolFile, ...]) -> Finding:
    ours = [one for one in files if one.is_ours]
    alive = [one for one in ours if one.is_alive]
    left = [one for one in ours if not one.is_alive]
    waiting = sum(one.waiting for one in alive)
    kept = sum(one.waiting + one.in_flight for one in left)
    of_living = counted(len(alive), "file")
    sentence = f"spool_dir {folder} takes files; waiting: {waiting} in {of_living} of living processes"
    if left:
        sentence += f", {kept} in {counted(len(left), 'file')} of ended ones, which a living one adopts"
    details = {"alive": len(alive), "ended": len(left), "waiting": sum(one.waiting for one in ours)}
    return Finding(Level.OK, "spool", "takes_files", sentence, details)


def _takes_files(folder: Path) -> bool:
    """Whether the folder, or the nearest above it that exists, may be written by us."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
