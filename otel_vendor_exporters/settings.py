"""
Settings: how one setting is declared, read and checked; the one door to the environment.

A vendor's settings are a frozen dataclass whose fields are made by `setting()`. The declaration is the
only place a setting is described: keyword arguments (and so YAML keys), environment names, checks and
the README table all come from it.

Rule: keyword, else environment, else default. An empty environment variable counts as unset
(OpenTelemetry specification, configuration/sdk-environment-variables).
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.nearest import nearest
from otel_vendor_exporters.readers import reader_of
from otel_vendor_exporters.secret import Secret

__all__ = [
    "Found",
    "Secret",
    "found_settings",
    "internal_metrics_enabled",
    "read_settings",
    "setting",
    "table",
    "variables",
]

T = TypeVar("T")
_USER_OF_URL = re.compile(r"//[^/\s]*@")  # may hold a password

_LONGER_PREFIXES = ("OTEL_EXPORTER_MPARTICLE_ANALYTICS_",)  # begins as another vendor's does
_MOST_WARNED_OF = 100
_warned_of: set[str] = set()

_logger = logging.getLogger(__name__)


def setting(
    sentence: str,
    *,
    default: Any = MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[Any, ...] = (),
    is_path: bool = False,
) -> Any:  # a dataclass field, typed by the annotation beside it
    """
    Declare one setting: a sentence for people, its default and what is allowed.

    Without a default the setting is required. `minimum` and `maximum` are included in the range. What is a
    path may also be given as an os.PathLike, and is a text all the same.
    """
    metadata = {
        "sentence": sentence,
        "default": default,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "is_path": is_path,
    }
    if isinstance(default, Mapping):  # dataclasses refuse what cannot be hashed as a plain default
        return dataclasses.field(default_factory=lambda: default, kw_only=True, metadata=metadata)
    return dataclasses.field(default=default, kw_only=True, metadata=metadata)


def read_settings(
    cls: type[T],
    prefix: str,
    keywords: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
) -> T:
    """
    An instance of the settings class `cls` from keywords, else from `<prefix><FIELD>` variables.

    A keyword of None counts as not given. Raises ConfigurationError for an unknown keyword, a missing
    required setting and every value that cannot be what the declaration says. A variable with the prefix
    that is no setting is a warning, once: another version of this library may know it.
    """
    environ = os.environ if environ is None else environ
    declared = _declared(cls)
    _warn_of_unknown(environ, prefix, declared)
    for name in keywords:
        if name not in declared:
            raise _unknown_keyword(name, prefix, declared)
    values = {}
    for name, one in declared.items():
        given, source = _given(name, prefix, keywords, environ)
        if given is not None:
            values[name] = one.checked(given, source)
        elif one.required:
            message = f"{name} is missing: pass {name}= or set {prefix}{name.upper()}"
            raise ConfigurationError(message, setting=name)
    return cls(**values)


def internal_metrics_enabled() -> bool:
    """Whether the SDK and its exporters are to report metrics about themselves."""
    return os.environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "").strip().lower() == "true"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as documentation shows it."""

    name: str
    environment: str
    default: str
    sentence: str


def table(cls: type[object], prefix: str) -> tuple[Row, ...]:
    """Every setting of `cls` as documentation shows it, in the order of declaration."""
    return tuple(
        Row(name, prefix + name.upper(), one.default_text, one.sentence)
        for name, one in _declared(cls).items()
    )


@dataclass(frozen=True, slots=True)
class Found:
    """
    One setting as keywords and the environment have it.

    `shown` is the value in force for people, a secret's as stars. `source` is keyword, environment or
    default. `problem` says what is wrong with it.
    """

    name: str
    variable: str
    shown: str
    source: str
    problem: str = ""

    @property
    def is_set(self) -> bool:
        """Whether somebody gave it."""
        return self.source != "default"


def found_settings(
    cls: type[object], prefix: str, keywords: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> tuple[Found, ...]:
    """Every setting of `cls` that is a value, each as `read_settings` would take it. Never raises."""
    environ = os.environ if environ is None else environ
    values = (one for one in _declared(cls).values() if one.kind is not object)
    return tuple(_found(one, prefix, keywords, environ) for one in values)


def variables(prefix: str) -> Mapping[str, str]:
    """The environment variables that are set and whose names begin so."""
    return {name: text for name, text in os.environ.items() if name.startswith(prefix) and text.strip()}


def _found(one: _Declared, prefix: str, keywords: Mapping[str, object], environ: Mapping[str, str]) -> Found:
    variable = prefix + one.name.upper()
    given, source = _given(one.name, prefix, keywords, environ)
    if given is None:
        problem = f"{one.name} is missing: set {variable}" if one.required else ""
        return Found(one.name, variable, "missing" if one.required else one.default_text, "default", problem)
    origin = source.partition(" ")[0]
    shown = "*****" if one.kind is Secret else _USER_OF_URL.sub("//…@", _written(str, given))
    try:
        one.checked(given, source)
    except ConfigurationError as error:
        return Found(one.name, variable, shown, origin, _USER_OF_URL.sub("//…@", str(error)))
    return Found(one.name, variable, shown, origin)


@dataclass(frozen=True, slots=True)
class _Declared:
    name: str
    kind: Any  # the annotation without "| None", or os.PathLike
    required: bool
    default_text: str
    sentence: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Any, ...]

    def checked(self, given: object, source: str) -> object:
        """`given` as the declared type and inside the declared range."""
        try:
            value = reader_of(self.kind)(given)
        except (TypeError, ValueError) as error:
            shown = "*****" if self.kind is Secret else _written(repr, given)
            message = f"{self.name} is {shown} (from {source}): expected {error}"
            raise ConfigurationError(message, setting=self.name) from None
        self._check_range(value, source)
        return value

    def _check_range(self, value: Any, source: str) -> None:
        expected = ""
        if self.choices and value not in self.choices:
            expected = "one of " + ", ".join(str(choice) for choice in self.choices)
        elif self.minimum is not None and value < self.minimum:
            expected = f"at least {self.minimum}"
        elif self.maximum is not None and value > self.maximum:
            expected = f"at most {self.maximum}"
        if expected:
            message = f"{self.name} is {value!r} (from {source}): expected {expected}"
            raise ConfigurationError(message, setting=self.name)


def _declared(cls: type[object]) -> dict[str, _Declared]:
    kinds = typing.get_type_hints(cls)
    return {
        field.name: _Declared(
            name=field.name,
            kind=os.PathLike if field.metadata["is_path"] else _without_none(kinds[field.name]),
            required=field.metadata["default"] is MISSING,
            default_text=_shown(field.metadata["default"]),
            sentence=field.metadata["sentence"],
            minimum=field.metadata["minimum"],
            maximum=field.metadata["maximum"],
            choices=field.metadata["choices"],
        )
        for field in dataclasses.fields(typing.cast("Any", cls))
    }


def _without_none(kind: Any) -> Any:
    if isinstance(kind, types.UnionType):
        return next(part for part in kind.__args__ if part is not type(None))
    return kind


def _shown(default: Any) -> str:
    if default is MISSING:
        return "required"
    if isinstance(default, Mapping) or default is None:
        return "none"
    if isinstance(default, tuple):
        return ",".join(default) or "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _written(write: Callable[[object], str], given: object) -> str:
    try:
        return write(given)
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "too long to show"


def _given(
    name: str, prefix: str, keywords: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[object, str]:
    if keywords.get(name) is not None:
        return keywords[name], f"keyword {name}"
    variable = prefix + name.upper()
    return (environ.get(variable, "").strip() or None), f"environment variable {variable}"


def _unknown_keyword(name: str, prefix: str, declared: Mapping[str, _Declared]) -> ConfigurationError:
    near = nearest(name, declared)
    hint = f"did you mean {near}?" if near else "known: " + ", ".join(declared)
    vendor = prefix.removeprefix("OTEL_EXPORTER_").rstrip("_").lower()
    return ConfigurationError(f"{vendor} has no setting {name!r}: {hint}", setting=name)


def _warn_of_unknown(environ: Mapping[str, str], prefix: str, declared: Mapping[str, _Declared]) -> None:
    """Name each variable that looks like one of ours and is not; never its value, which may be a secret."""
    known = {prefix + name.upper() for name in declared}
    others = tuple(one for one in _LONGER_PREFIXES if len(one) > len(prefix))
    ours = (one for one in environ if one.startswith(prefix) and not one.startswith(others))
    for variable in sorted({*ours} - known - _warned_of):
        if len(_warned_of) >= _MOST_WARNED_OF:
            return
        _warned_of.add(variable)
        near = nearest(variable.removeprefix(prefix), declared)
        hint = f": did you mean {prefix}{near.upper()}?" if near else ""
        _logger.warning("environment variable %.200r is no setting%s", variable, hint)


def first_conflict(one: object, other: object, free: Collection[str]) -> str | None:
    """The first setting in which two settings of a vendor differ, but for those that are `free` to."""
    names = (field.name for field in fields(one))  # type: ignore[arg-type]  # a dataclass
    return next(
        (name for name in names if name not in free and getattr(one, name) != getattr(other, name)), None
    )
