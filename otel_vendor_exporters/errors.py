"""
The errors of this library.

    VendorExportError
    ├── ConfigurationError   (also ValueError)  a setting is wrong; names setting, source and expectation
    ├── EncodingError        (also ValueError)  a value has no place on the wire; names the field
    └── DeliveryError
        ├── TransportError   no answer
        ├── RefusedError     the vendor said no: status, its words, how many items
        └── SpoolError       the disk said no

Raised at construction, by wire values, and to callers of the direct clients who ask for it
(`Receipt.raise_for_losses`). Inside exporters an outcome is a value, never an exception.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "DeliveryError",
    "EncodingError",
    "RefusedError",
    "SpoolError",
    "TransportError",
    "VendorExportError",
]


class VendorExportError(Exception):
    """Whatever this library raises."""


class ConfigurationError(VendorExportError, ValueError):
    """
    A setting is missing or wrong.

    `setting` is its name; the message says where the value came from and what would be right.
    """

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class EncodingError(VendorExportError, ValueError):
    """A value has no place on the wire. `field` names it."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class DeliveryError(VendorExportError):
    """Something handed over for delivery was not delivered."""


class TransportError(DeliveryError):
    """No answer: the vendor could not be reached within the deadline."""


class RefusedError(DeliveryError):
    """The vendor, or our own check of what it would ignore, said no."""


class SpoolError(DeliveryError):
    """The disk said no."""
