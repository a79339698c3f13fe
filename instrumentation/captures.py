"""
Captures: what is read off a call, and how it may be shown.

Nothing is captured that was not named; what is captured under a secret's name is shown as `[redacted]`.
Leaves recording to `probes`. Rule: what fails in here is reported at its site and left out.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial, singledispatchmethod
from itertools import islice
from string import Formatter
from threading import get_ident
from typing import Any, Final, TypeAlias

from opentelemetry import metrics
from opentelemetry.metrics import _internal as _metrics_global
from opentelemetry.util.types import AttributeValue

from instrumentation.at_work import AT_WORK
from instrumentation.guarded_logger import GuardedLogger
from instrumentation.redaction import REDACTED, cut
from instrumentation.showing import LONGEST_NAME, MOST_NODES, SHOWING, type_name
from otel_vendor_exporters.attributes import DECORATORS_SCOPE
from otel_vendor_exporters.interrupts import let_through

SCOPE: Final = DECORATORS_SCOPE
RESULT: Final = "result"

_logger = GuardedLogger(SCOPE)
_UNEVALUATED: dict[str, Any] = {}  # Any: arguments of `inspect.signature`
if sys.version_info >= (
    3,
    14,
):  # else annotations are evaluated, which may name what is not imported
    from annotationlib import Format

    _UNEVALUATED["annotation_format"] = Format.STRING

Arguments: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Call:
    """One finished call, as an `attributes=` function sees it."""

    arguments: Arguments
    result: object = None
    error: BaseException | None = None


Attributes: TypeAlias = Mapping[str, AttributeValue] | Iterable[str] | Callable[[Call], Mapping[str, object]]
"""Constants, or names of arguments (and "result"), or a function of the call."""


def shown(name: str, value: object) -> str | bool | int | float:
    """The value as an attribute may show it; collections as text."""
    found = SHOWING.value(name, value)
    return found if isinstance(found, (str, bool, int, float)) else SHOWING.object_text(str(found))


# What was said of blocks: the site of one may last for one run of it only.
_TOLD_OF_BLOCKS: dict[object, object] = {}
_MOST_TOLD: Final = 1000  # then the oldest is forgotten, and said again


class Site:
    """The function or the block (`function` is None) that a decorator stands at; a block has a place."""

    def __init__(
        self, name: str | None, function: Callable[..., Any] | None = None, place: object = None
    ) -> None:
        qualname, code_name = _names_of(function)
        self.function = function
        self.has_given_name = name is not None
        self.name = name if name is not None else qualname
        self.code_name = code_name
        self._place = place
        self._reported: dict[object, object] = {} if place is None else _TOLD_OF_BLOCKS

    def arguments(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The call's arguments by name, with defaults; those caught by `**` under their own names."""
        if self.function is None:
            return {}
        try:
            bound = self._signature.bind(*args, **kwargs)
        except (TypeError, ValueError) as fault:  # a wrong call, or a builtin that has no signature
            self.report("arguments", fault)
            return {}
        bound.apply_defaults()
        caught = bound.arguments.get(self._catch_all, {})
        return {**caught, **bound.arguments}

    @cached_property
    def _signature(self) -> inspect.Signature:
        assert self.function is not None
        return inspect.signature(self.function, **_UNEVALUATED)

    @cached_property
    def _catch_all(self) -> str:
        kinds = self._signature.parameters.values()
        return next((each.name for each in kinds if each.kind is each.VAR_KEYWORD), "")

    def report(self, part: str, fault: Exception, hint: str = "") -> None:
        """
        Say once that a part of the instrumentation failed here, and count it every time.

        The message names the type only, and our own hint: the fault's own words may hold user data. What a
        signal handler of the application raised is none of ours, and raised again.
        """
        let_through(fault)
        thread = get_ident()
        is_nested = thread in AT_WORK
        try:
            AT_WORK.add(thread)  # logging and counting call the application's handlers and readers
            self._report(part, type_name(fault), hint)
        finally:
            if not is_nested:
                AT_WORK.discard(thread)

    def _report(self, part: str, error_type: str, hint: str) -> None:
        ticket = object()
        told = self._reported.setdefault((part, self.name, self._place), ticket)
        if told is ticket:  # set and asked in one step, so only one thread says it
            if len(self._reported) > _MOST_TOLD:
                self._reported.pop(list(self._reported)[0], None)  # noqa: RUF015 - one step, too
            _logger.warning(
                "%s of %r (%s) failed with %s%s: "
                "the call went on without it, more of the same is only counted",
                part,
                self.name,
                self.code_name,
                error_type,
                hint and f" ({hint})",
            )
        with suppress(Exception):  # counting a fault is the last that can be done about it
            _fault_counter().add(1, {"instrumentation.part": part, "error.type": error_type})


_faults: tuple[object, metrics.Counter | None] = (None, None)


def _fault_counter() -> metrics.Counter:
    """One for each provider: without an SDK, the API keeps every meter that was ever asked for."""
    global _faults
    provider, counter = _faults
    if counter is None or provider is not _metrics_global._METER_PROVIDER:
        counter = metrics.get_meter(SCOPE).create_counter("instrumentation.faults", "1")
        _faults = (_metrics_global._METER_PROVIDER, counter)
    return counter


def _names_of(function: Callable[..., Any] | None) -> tuple[str, str]:
    """A function's qualified name, without and with its module if it tells one; of an object, its class's."""
    if function is None:
        return "", "block"
    while isinstance(function, (partial, singledispatchmethod)):
        function = function.func
    named: Any = function if _text_in(function, "__qualname__") else function.__class__
    qualname = _text_in(named, "__qualname__") or type(named).__qualname__
    bound = _read(named, "__self__")
    # Of methods written in C, their class tells it.
    homes = (named, _read(named, "__objclass__"), None if bound is None else type(bound))
    module = next(filter(None, (_text_in(each, "__module__") for each in homes)), "")
    return qualname, f"{module}.{qualname}" if module else qualname


def _text_in(named: object, attribute: str) -> str:
    found = _read(named, attribute)
    return found if isinstance(found, str) else ""


def _read(named: object, attribute: str) -> object:
    """The attribute, None where there is none; what answers for any name may fail in any way."""
    try:
        return getattr(named, attribute, None)
    except Exception:  # noqa: BLE001 - a `__getattr__` of the application
        return None


class Capture:
    """What one `attributes=` asks for, taken apart when the function is decorated."""

    def __init__(self, site: Site, attributes: Attributes | None) -> None:
        self._site = site
        self.constants: dict[str, AttributeValue] = {}
        self._names: tuple[str, ...] = ()
        self._function: Callable[[Call], Mapping[str, object]] | None = None
        if isinstance(attributes, Mapping):
            self.constants = dict(attributes)
        elif callable(attributes):
            self._function = attributes
        elif attributes is not None:
            self._names = (attributes,) if isinstance(attributes, str) else tuple(attributes)
        self.needs_arguments = bool(self._names or self._function)
        self.needs_end = self._function is not None or RESULT in self._names

    def of_start(self, arguments: Arguments) -> dict[str, AttributeValue]:
        """The constants and the named arguments."""
        if not self._names:
            return self.constants
        found = dict(self.constants)
        for name in self._names:
            if name in arguments:
                found.update(self._guarded(partial(_only, name, arguments[name])))
            elif name != RESULT:
                self._site.report("attributes", KeyError(name))
        return found

    def of_end(self, call: Call) -> dict[str, AttributeValue]:
        """What only the end of the call tells: the result, and what the function makes of the call."""
        if self._function is not None:
            return self._guarded(partial(self._function, call))
        if RESULT not in call.arguments and call.error is None:
            return self._guarded(partial(_only, RESULT, call.result))
        return {}

    def of_whole(
        self, arguments: Arguments, result: object, error: BaseException | None
    ) -> dict[str, AttributeValue]:
        """All of it, for what is recorded at the end."""
        found = self.of_start(arguments)
        return {**found, **self.of_end(Call(arguments, result, error))} if self.needs_end else found

    def _guarded(self, read: Callable[[], Mapping[str, object]]) -> dict[str, AttributeValue]:
        try:
            return {name: shown(name, value) for name, value in islice(read().items(), MOST_NODES)}
        except Exception as fault:  # noqa: BLE001 - application code
            self._site.report("attributes", fault)
            return {}


def _only(name: str, value: object) -> dict[str, object]:
    return {name: value}


class Template(Formatter):
    """A name with arguments in braces, "Checkout {step}", filled with what may be shown."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.text = site.name

    def filled(self, arguments: Arguments) -> str:
        """The name for this call; the template itself when it cannot be filled."""
        try:
            return cut(self.vformat(self.text, (), arguments), LONGEST_NAME)
        except Exception as fault:  # noqa: BLE001 - formatting runs the arguments' own code
            self._site.report("name", fault)
            return self.text

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:  # Any: as Formatter has it
        """The argument a field stands for."""
        if SHOWING.hides(field_name):
            return REDACTED, field_name
        return super().get_field(field_name, args, kwargs)

    def convert_field(self, value: Any, conversion: Any) -> Any:  # Any: as Formatter has it
        """The text of `{field!r}`, as it may be shown."""
        converted = super().convert_field(value, conversion)
        return converted if conversion is None else SHOWING.object_text(str(converted))

    def format_field(self, value: Any, format_spec: str) -> str:  # Any: as Formatter has it
        """The text of `{field}`, as it may be shown."""
        if isinstance(value, str):
            value = SHOWING.text(value)
        elif isinstance(value, (list, tuple, set, frozenset, Mapping)) and not format_spec:
            value = SHOWING.value("", value)
        text: str = super().format_field(value, format_spec)
        return text if isinstance(value, (str, bool, int, float)) else SHOWING.object_text(text)
