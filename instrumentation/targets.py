"""
Targets: what one entry of a configuration asks for.

    shop.checkout:place_order=timed(Checkout)
    shop.cart:Cart.*=timed(record=metric)
    shop.billing:charge=counted(Revenue, value=result.total, attributes=[currency])

Pure. The same entry may be a mapping, as TOML, YAML and Python have it:
{"target": "shop.billing:charge", "use": "counted", "name": "Revenue", "value": "result.total"}.
Leaves finding and wrapping the functions to `patches`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, SupportsFloat, TypeAlias

from instrumentation.captures import RESULT
from instrumentation.decorators import Decorator, counted, event, timed

Entry: TypeAlias = "str | Mapping[str, Any]"  # Any: a decorator's own options
Use: TypeAlias = Callable[..., Decorator]

_USES: Final[Mapping[str, Use]] = {"timed": timed, "counted": counted, "event": event}
_FORM = "module:function=timed(Name), counted(Name) or event(Name)"
_ENTRY = re.compile(r"([^:=]+):([^:=]+)=\s*(\w+)\s*(?:\((.*)\))?", re.DOTALL)
_OPTION = re.compile(r"(\w+)\s*=(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_GLOB = re.compile(r"[*?[]")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Target:
    """One entry: the module and the path of what is to be wrapped in it, both possibly globs, and how."""

    module: str
    path: str
    use: str
    options: Mapping[str, Any]  # Any: keywords of the decorator

    def __str__(self) -> str:
        return f"{self.module}:{self.path}"

    @property
    def entry(self) -> str:
        """The whole entry, as a text has it."""
        options = [
            str(value) if name == "name" else f"{name}={value}" for name, value in self.options.items()
        ]
        return f"{self}={self.use}({', '.join(options)})" if options else f"{self}={self.use}"

    @property
    def has_module_glob(self) -> bool:
        """Whether it means more than one module."""
        return is_glob(self.module)

    @property
    def is_exact(self) -> bool:
        """Whether it means one function or class, which then goes before globs."""
        return not is_glob(self.module) and not is_glob(self.path)

    def is_in(self, module: str) -> bool:
        """Whether it means something in the module of this name."""
        return self.module == module or (self.has_module_glob and fnmatchcase(module, self.module))

    def decorator(self, member: str | None = None) -> Decorator:
        """A new decorator; of many functions under one given name, each adds its own to it."""
        options = dict(self.options)
        if member is not None and options.get("name") is not None:
            options["name"] = f"{options['name']}.{member}"
        decorator = _USES[self.use](**options)
        decorator.asked_by = self
        return decorator


def is_glob(text: str) -> bool:
    """Whether the text has one of the signs of a glob."""
    return _GLOB.search(text) is not None


def entries_in(text: str) -> list[str]:
    """The entries of a text, separated by semicolons or line ends."""
    return [entry for entry in _parts(text, ";\n") if entry]


def target_of(entry: Entry) -> Target:
    """What the entry asks for. Raises ValueError that says what would be right."""
    if not isinstance(entry, (str, Mapping)):
        raise ValueError(f"{entry!r} is no entry: write {_FORM}")
    target = _of_text(entry) if isinstance(entry, str) else _of_mapping(entry)
    _check(entry, target)
    return target


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """A hint at the known name that is most like this one: " (nearest: 'timed')"; empty without one."""
    from difflib import get_close_matches  # only here: it is needed when something is wrong

    close = get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f" (nearest: {close[0]!r})" if close else ""


def _of_text(entry: str) -> Target:
    match = _ENTRY.fullmatch(entry.strip())
    if match is None:
        raise ValueError(f"{entry!r} is not understood: write {_FORM}")
    module, path, use, options = match.groups()
    if options and _closes_too_early(options):
        raise ValueError(
            f"{entry!r} has more than one pair of brackets: write {_FORM}, or the name in quotes"
        )
    return Target(module.strip(), path.strip(), use, _options(entry, options or ""))


def _closes_too_early(options: str) -> bool:
    """Whether a bracket within the options closes those around them."""
    depth = 0
    for sign in _QUOTED.sub("", options):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return True
    return False


def _of_mapping(entry: Mapping[str, Any]) -> Target:
    given = {_key(name): value for name, value in entry.items() if value is not None}  # YAML's empty values
    options = {name: value for name, value in given.items() if name not in ("target", "use")}
    module, colon, path = str(given.get("target", "")).partition(":")
    if not (module and colon and path and "use" in given):
        raise ValueError(f"{dict(entry)!r} needs a target= such as 'shop.cart:Cart.add', and a use=")
    return Target(module.strip(), path.strip(), str(given["use"]), _with_reader(options))


def _key(name: object) -> str:
    """The name of an option; YAML 1.1 reads a bare `on` as true."""
    return "on" if name is True else str(name)


def _check(entry: Entry, target: Target) -> None:
    if target.use not in _USES:
        hint = nearest(target.use, _USES) or f": use one of {', '.join(_USES)}"
        raise ValueError(f"{entry!r}: no decorator {target.use!r}{hint}")
    known = [each.name for each in inspect.signature(_USES[target.use]).parameters.values()][1:]
    for name, value in target.options.items():
        if name not in known:
            hint = nearest(name, known) or f": it has {', '.join(known)}"
            raise ValueError(f"{entry!r}: {target.use} has no option {name!r}{hint}")
        is_right, what = _RIGHT.get(name, (bool, ""))  # what has choices says itself which
        if what and not is_right(value):
            raise ValueError(f"{entry!r}: {name} must be {what}, and {value!r} is none")
    try:
        target.decorator()
    except (TypeError, ValueError) as wrong:
        raise ValueError(f"{entry!r}: {wrong}") from wrong


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_amount(value: object) -> bool:
    is_number = isinstance(value, SupportsFloat) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and value != "") or callable(value)


def _are_attributes(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_constant(each) for key, each in value.items())
    if isinstance(value, Collection) and not isinstance(value, (str, bytes)):
        return all(isinstance(each, str) for each in value)
    return callable(value)


def _is_constant(value: object) -> bool:
    """Whether OpenTelemetry takes it for an attribute ("Attribute", common)."""
    values = value if isinstance(value, (list, tuple)) else [value]
    kinds = {type(each) for each in values}
    return len(kinds) <= 1 and kinds <= {str, bool, int, float}


_RIGHT: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "name": (_is_text, "a text (a number stands in quotes)"),
    "value": (_is_amount, "a number, the name of an argument, or a path such as result.total"),
    "attributes": (
        _are_attributes,
        "a list of names of arguments, as [sku], or a mapping of names to texts, numbers, true or false",
    ),
}


def _options(entry: str, text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}  # Any: as in Target
    for part in filter(None, _parts(text, ",")):
        match = None if part[0] in "\"'" else _OPTION.fullmatch(part)
        name, value = match.groups() if match else ("name", part)
        if name in options:
            raise ValueError(f"{entry!r}: {name} is given twice")
        options[name] = _unquoted(value.strip()) if name == "name" else _value(value.strip())
    return _with_reader(options)


def _value(text: str) -> Any:  # Any: what an option may be
    if text.startswith("["):
        return [_value(part) for part in _parts(text[1:-1], ",") if part]
    if text.startswith("{"):
        pairs = (part.partition("=") for part in _parts(text[1:-1], ",") if part)
        return {_unquoted(key.strip()): _value(value.strip()) for key, _, value in pairs}
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return _unquoted(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] else text


def _parts(text: str, separators: str) -> list[str]:
    """The parts between separators that stand outside quotes and brackets."""
    parts, begin, open_until = [], 0, ""
    for index, sign in enumerate(text):
        if open_until:
            if sign == open_until[-1]:
                open_until = open_until[:-1]
            elif open_until[-1] not in "\"'":
                open_until += _closing(sign)
        elif sign in separators:
            parts.append(text[begin:index].strip())
            begin = index + 1
        else:
            open_until = _closing(sign)
    return [*parts, text[begin:].strip()]


def _closing(sign: str) -> str:
    """The sign that ends what this one begins; empty when it begins nothing."""
    return sign if sign in "\"'" else _CLOSING.get(sign, "")


def _with_reader(options: dict[str, Any]) -> dict[str, Any]:
    """`value="result"` and `value="result.total"` read the result, since a text can hold no function."""
    value = options.get("value")
    if isinstance(value, str) and value.split(".")[0] == RESULT:
        return {**options, "value": ResultReader(tuple(value.split(".")[1:]))}
    return options


@dataclass(frozen=True, slots=True)
class ResultReader:
    """A function of the result: the value at a path of attributes or keys."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((RESULT, *self.path))

    def __call__(self, result: Any) -> Any:  # Any: what a function returns
        """The value; what is not there raises as its container has it."""
        for name in self.path:
            result = result[name] if isinstance(result, Mapping) else getattr(result, name)
        return result
