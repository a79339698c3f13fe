"""
Values: frozen, checked when they are made, with their exact JSON.

Pure. Knows how a declared field becomes a checked piece of JSON; the declarations stand in the other files.
Rule: a field is declared once, as `key: type`, and its type says what mParticle takes there. What the server
would refuse a whole batch for raises EncodingError with the field's name; what is None is left out, never
null; so are optional lists and maps without content.

The types are read once per class. After that a value costs one look at each of its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from ipaddress import ip_address
from math import isfinite
from operator import attrgetter
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NoReturn,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle.ids import is_uuid
from otel_vendor_exporters.mparticle.texts import (
    MOST_NAME_LENGTH,
    attribute_texts,
    cut,
    plain_texts,
    user_attribute_text,
    user_attribute_texts,
)

_MAPPING = "a map with names as keys"


@dataclass(frozen=True, slots=True, repr=False)
class WireValue:
    """
    One JSON object of the Events API. `form` is that object; treat it as read only.

    Maps and lists that were given are its own copies, which cannot be changed: `form` would not follow.
    Its repr names what is set and says nothing of the content, which is people's data.
    """

    WHERE: ClassVar[str]  # how errors call it
    form: Mapping[str, object] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        keys = _keys_of(type(self))
        form = _form(type(self), keys, zip(keys.all, keys.contents(self)))  # noqa: B905  as many, by making
        object.__setattr__(self, "form", form)
        for key in keys.all:
            content = getattr(self, key.name)
            if content.__class__ not in _SCALARS:
                object.__setattr__(self, key.name, _fixed(content))

    @classmethod
    def check(cls, form: Mapping[str, object]) -> None:
        """What a class demands of its keys together. Raises EncodingError."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.form)})"


class FixedMap(dict[Any, Any]):  # Any: whatever map was given
    """A map that stays as it is, so that it has a hash if its values have one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a map of a value cannot be changed: make another value, with dataclasses.replace")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FixedMap], tuple[dict[Any, Any]]]:
        return FixedMap, (dict(self),)


_SCALARS = frozenset({str, int, float, bool, NoneType})


def _fixed(content: object) -> object:
    """The same, of which nothing can be changed."""
    if isinstance(content, Mapping):
        return FixedMap({name: _fixed(one) for name, one in content.items()})
    return tuple([_fixed(one) for one in content]) if isinstance(content, (list, tuple)) else content


# Any: a rule is what finds out whether a value is what its type says.
Rule: TypeAlias = Callable[[Any, str], object]


def text(value: Any, where: str) -> str:
    """Any string."""
    if not isinstance(value, str):
        raise _unfit(where, "a string")
    return value


def filled(value: Any, where: str) -> str:
    """A string with something in it; blanks are nothing."""
    if not isinstance(value, str) or not value or value.isspace():
        raise _unfit(where, "a string that is not empty")
    return value


def name(value: Any, where: str) -> str:
    """The name of an event or a screen, cut where the server would cut it."""
    return cut(filled(value, where), MOST_NAME_LENGTH)


def uuid_text(value: Any, where: str) -> str:
    """A UUID as text, in the one spelling that every version of the schema takes."""
    if not is_uuid(value):
        raise _unfit(where, "a UUID as 8-4-4-4-12 hexadecimal digits")
    return str(value)


def ip_text(value: Any, where: str) -> str:
    """A literal IPv4 or IPv6 address."""
    try:
        ip_address(text(value, where))
    except ValueError:
        raise _unfit(where, "a literal IPv4 or IPv6 address") from None
    if "%" in value:  # a zone means something on one machine only, and the schema's ipv6 has none
        raise _unfit(where, "an address without a zone")
    return str(value)


def flag(value: Any, where: str) -> bool:
    """True or False."""
    if value is not True and value is not False:
        raise _unfit(where, "True or False")
    return bool(value)


def number(value: Any, where: str) -> int | float:
    """A finite number. The server takes no number as text, so a Decimal goes as the nearest float."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        try:
            exact = float(value)
        except OverflowError:
            exact = float("inf")
        if isfinite(exact):
            return value if isinstance(value, int) else exact
    raise _unfit(where, "a finite number")


def degrees(most: int) -> Rule:
    """The rule for a latitude or longitude."""

    def within(value: Any, where: str) -> int | float:
        angle = number(value, where)
        if abs(angle) > most:
            raise _unfit(where, f"degrees from -{most} to {most}")
        return angle

    return within


def integer(least: int, most: int) -> Rule:
    """The rule for whole numbers that fit the server's integer type; one that does not refuses the batch."""
    expectation = f"a whole number from {least} to {most}"

    def within(value: Any, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _unfit(where, expectation)
        return int(value)

    return within


int64 = integer(-(2**63), 2**63 - 1)


def attributes(value: Any, where: str) -> dict[str, str]:
    """Attributes of an event or a product."""
    return attribute_texts(_mapping(value, where))


def flags(value: Any, where: str) -> dict[str, str]:
    """Custom flags, integration attributes, identities at partners: texts without a documented limit."""
    return plain_texts(_mapping(value, where))


def user_attributes(value: Any, where: str) -> dict[str, str | list[str]]:
    """Attributes of a user."""
    return user_attribute_texts(_mapping(value, where))


def user_attribute(value: Any, where: str) -> str | list[str]:  # noqa: ARG001  every rule is told where
    """One attribute of a user."""
    return user_attribute_text(value)


Name: TypeAlias = Annotated[str, name]
Filled: TypeAlias = Annotated[str, filled]
Uuid: TypeAlias = Annotated[str, uuid_text]
IpAddress: TypeAlias = Annotated[str, ip_text]
Number: TypeAlias = Annotated[float | Decimal, number]
Latitude: TypeAlias = Annotated[float | Decimal, degrees(90)]
Longitude: TypeAlias = Annotated[float | Decimal, degrees(180)]
Int32: TypeAlias = Annotated[int, integer(-(2**31), 2**31 - 1)]
Int64: TypeAlias = Annotated[int, int64]
Uint64: TypeAlias = Annotated[int, integer(0, 2**64 - 1)]
Attributes: TypeAlias = Annotated[Mapping[str, object], attributes]
Flags: TypeAlias = Annotated[Mapping[str, object], flags]
UserAttributes: TypeAlias = Annotated[Mapping[str, object], user_attributes]
UserAttribute: TypeAlias = Annotated[object, user_attribute]

_RULES: Mapping[object, Rule] = {str: text, bool: flag, int: int64, float: number}


def form_of(kind: type[WireValue], contents: Mapping[str, object]) -> dict[str, object]:
    """
    The form that a value of this class with these fields has, without making the value.

    For code that makes events by the thousand: checked as the value would be, at half the price. Raises
    EncodingError.
    """
    keys = _keys_of(kind)
    try:
        pairs = [(keys.by_name[name], content) for name, content in contents.items()]
    except KeyError as unknown:
        raise EncodingError(f"{kind.WHERE} has no key {unknown}", field=kind.WHERE) from None
    return _form(kind, keys, pairs)


class _Key(NamedTuple):
    name: str
    where: str
    rule: Rule
    required: bool


class _Keys(NamedTuple):
    by_name: Mapping[str, _Key]
    all: tuple[_Key, ...]
    required: frozenset[str]
    contents: Callable[[Any], tuple[Any, ...]]  # of one value, in the order of `all`


def _form(kind: type[WireValue], keys: _Keys, pairs: Iterable[tuple[_Key, object]]) -> dict[str, object]:
    form: dict[str, object] = {}
    for key, content in pairs:
        if content is not None:
            name, where, rule, required = key
            piece = rule(content, where)
            if piece or required or piece.__class__ not in (dict, list):
                form[name] = piece
    if not keys.required <= form.keys():
        where = next(key.where for key in keys.all if key.required and key.name not in form)
        raise EncodingError(f"{where} is missing", field=where)
    kind.check(form)
    return form


_known_keys: dict[type[WireValue], _Keys] = {}


def _keys_of(kind: type[WireValue]) -> _Keys:
    keys = _known_keys.get(kind)
    if keys is None:
        keys = _known_keys[kind] = _read_keys(kind)  # two threads would write the same
    return keys


def _read_keys(kind: type[WireValue]) -> _Keys:
    hints = get_type_hints(kind, include_extras=True)
    names = [one.name for one in fields(kind) if one.init]
    keys = tuple(_key(one, f"{kind.WHERE}.{one}", hints[one]) for one in names)
    return _Keys(
        by_name={key.name: key for key in keys},
        all=keys,
        required=frozenset(key.name for key in keys if key.required),
        contents=_contents(names),
    )


def _contents(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    (only,) = names  # of which attrgetter would make no tuple
    return lambda value: (getattr(value, only),)


def _key(key: str, where: str, hint: Any) -> _Key:
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        (needed,) = (one for one in get_args(hint) if one is not NoneType)
        return _Key(key, where, _rule_of(needed), required=False)
    return _Key(key, where, _rule_of(hint), required=True)


def _rule_of(hint: Any) -> Rule:
    origin = get_origin(hint)
    if origin is Annotated:
        rule: Rule = hint.__metadata__[0]
        return rule
    if origin is Literal:
        return _one_of(get_args(hint))
    if origin is Sequence:
        return _each(_rule_of(get_args(hint)[0]))
    if origin is Mapping:
        return _by_name(_rule_of(get_args(hint)[1]))
    return _RULES[hint] if hint in _RULES else _object(hint)


def _one_of(words: Collection[str]) -> Rule:
    allowed = frozenset(words)
    expectation = "one of " + ", ".join(words)

    def one(value: Any, where: str) -> object:
        if not isinstance(value, str) or value not in allowed:
            raise _unfit(where, expectation)
        return value

    return one


def _each(rule: Rule) -> Rule:
    def each(value: Any, where: str) -> list[object]:
        if not isinstance(value, (list, tuple)):
            raise _unfit(where, "a tuple or a list")
        return [rule(one, where) for one in value]

    return each


def _by_name(rule: Rule) -> Rule:
    def by_name(value: Any, where: str) -> dict[str, object]:
        return {filled(one, where): rule(content, where) for one, content in _mapping(value, where).items()}

    return by_name


def _object(kind: type[WireValue]) -> Rule:
    def form(value: Any, where: str) -> Mapping[str, object]:
        if isinstance(value, kind):
            return value.form
        if isinstance(value, Mapping):  # the same in plain JSON, as log bodies have it
            return form_of(kind, value)
        raise _unfit(where, f"a {kind.__name__} or a map of its fields")

    return form


def _mapping(value: Any, where: str) -> Mapping[str, object]:
    if type(value) is not dict and not isinstance(value, Mapping):  # the second question is a slow one
        raise _unfit(where, _MAPPING)
    return value


def _unfit(where: str, expectation: str) -> EncodingError:
    """Names the field and what would be right, never the value: it may be someone's data."""
    return EncodingError(f"{where} takes {expectation}", field=where)
