"""
Sending one thing, to see what goes and what comes back.

The request is the exporters' own: a vendor's callbacks make it and judge the answer, as they do for delivery;
only threads, queue and retries are left out. A new vendor is a file beside `mpulse.py` and rows in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_vendor_exporters.send.passage import Sent


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a kind, as the command line takes it; `default` is None for what must be given."""

    name: str
    sentence: str
    default: str | None = None
    number: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option: repeated ones take NAME=VALUE; `required` ones must be given."""

    name: str
    sentence: str
    pairs: bool = False
    required: bool = False
    flag: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can be sent: the vendor whose file has the function of this name makes it."""

    name: str
    vendor: str
    sentence: str
    arguments: tuple[Argument, ...]
    options: tuple[Option, ...] = ()


_WHERE = (
    Option("page-group", "its page group"),
    Option("ab-test", "its A/B test bucket"),
    Option("dimension", "a custom dimension", pairs=True),
)
_WHOSE = (
    Option("user", "the customer id of the user it belongs to", required=True),
    Option("attribute", "an attribute of the event", pairs=True),
)
_USER = Argument("user", "the user's id")
_PROPERTY = Option("property", "a property", pairs=True)
_FOR_EVER = Option("for-ever", "yes: this cannot be undone", required=True, flag=True)
KINDS = (
    Kind(
        "timer",
        "mpulse",
        "one value of a custom timer of mPulse",
        (
            Argument("name", "the timer's name"),
            Argument("milliseconds", "default %(default)s", "100", number=True),
        ),
        _WHERE,
    ),
    Kind(
        "metric",
        "mpulse",
        "an increment of a custom metric of mPulse",
        (Argument("name", "the metric's name"), Argument("value", "default %(default)s", "1", number=True)),
        _WHERE,
    ),
    Kind(
        "event",
        "mparticle",
        "a custom event to mParticle's Events API",
        (Argument("name", "the event's name"),),
        _WHOSE,
    ),
    Kind(
        "pixel",
        "mparticle",
        "a custom event to mParticle's Pixel Service",
        (Argument("name", "the event's name"),),
        _WHOSE,
    ),
    Kind(
        "analytics-event",
        "mparticle_analytics",
        "an event of a user to mParticle Analytics",
        (Argument("name", "the event's name"),),
        (Option("user", "the user's id", required=True), _PROPERTY),
    ),
    Kind(
        "identify",
        "mparticle_analytics",
        "properties of a user to mParticle Analytics",
        (_USER,),
        (_PROPERTY,),
    ),
    Kind(
        "alias",
        "mparticle_analytics",
        "that an anonymous id and a user are one, to mParticle Analytics",
        (Argument("previous", "the anonymous id"), _USER),
        (_FOR_EVER,),
    ),
    Kind(
        "suppress",
        "mparticle_analytics",
        "that mParticle Analytics is to ignore a user",
        (_USER,),
        (_FOR_EVER,),
    ),
    Kind(
        "delete",
        "mparticle_analytics",
        "that mParticle Analytics is to delete a user's data",
        (_USER,),
        (_FOR_EVER,),
    ),
)


def sent(kind: Kind, given: Mapping[str, object]) -> Sent:
    """
    Send one thing, once, and say what went and what came back.

    `given` are the arguments and options by name. Raises ConfigurationError for settings, EncodingError for
    what the vendor does not take; never for the network.
    """
    vendor = import_module(f"otel_vendor_exporters.send.{kind.vendor}")
    result: Sent = getattr(vendor, kind.name.replace("-", "_"))(given)
    return result
