"""What the doctor knows of a vendor, and what it lends to its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from otel_vendor_exporters.doctor.code_names import Scan
from otel_vendor_exporters.doctor.network import Network
from otel_vendor_exporters.doctor.report import Finding


@dataclass(frozen=True, slots=True)
class Tools:
    """What a vendor's check may use: the network, and the names found in code."""

    network: Network
    code: Scan | None = None


@dataclass(frozen=True, slots=True)
class Vendor:
    """
    One vendor: its settings, and the check that asks it.

    `examine` gets settings that are right, and sends nothing that the vendor would count.
    """

    name: str
    prefix: str
    settings: type[Any]  # Any: each vendor's own dataclass, with `read`
    examine: Callable[[Any, Tools], Iterator[Finding]]
