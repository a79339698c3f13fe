"""
Showing: values and texts of the application, as an attribute or a record may show them.

Bounded in length and number, and without what stands under a secret's name. Which names are secret, and how
texts are searched for them, stands in `redaction`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from traceback import format_exception
from types import TracebackType
from typing import Any, Final

from instrumentation.redaction import (
    CUT,
    REDACTED,
    SECRETS,
    Secrets,
    cut,
    cut_front,
    has_scheme,
    last_lines,
)
from instrumentation.secret_names import NAME_KEYS, VALUE_KEYS
from otel_vendor_exporters.interrupts import let_through

LONGEST_MESSAGE: Final = 8192
LONGEST_STACK: Final = 32_768
LONGEST_TEXT: Final = 1024
LONGEST_NAME: Final = 256
LONGEST_OBJECT: Final = 256  # the text of an object that is neither text nor number
MOST_NODES: Final = 1000  # of one value: elements, keys, and those within
_BEYOND: Final = 1024  # how far behind a cut a text is searched, and before one a traceback
_BEYOND_STACK: Final = 2048
_DEEPEST: Final = 8
_MOST_REMEMBERED: Final = 4096
_FEW: Final = 8
_CURL_USER: Final = ("-u", "--user")
_CURL_USER_WITHIN: Final = ("-u", "--user=")  # and the user right behind
_IDENTIFIER: Final = re.compile(r"[\w.-]{1,64}").fullmatch
# What a secret's value may stand behind; a blank, as in most texts, is asked for with what makes it one.
has_sign: Final = re.compile(r"[=:,%<\t\n\r\f\v\xa0]").search


class Showing:
    """How values are shown where these names are secret. Any thread may ask."""

    def __init__(self, *secrets: Secrets) -> None:
        self._secrets = secrets
        self._known_frames: tuple[int, set[int]] = (0, set())  # by hash: nothing to hide in them

    def hides(self, name: str) -> bool:
        """Whether a value of this name is a secret."""
        return any(secrets.named_by(name) for secrets in self._secrets)

    def text(self, text: str, longest: int = LONGEST_TEXT) -> str:
        """A text, cut, with what stands behind a secret's name hidden: "token=[redacted]"."""
        if len(text) > longest:
            return self._beginning(text, longest)
        # Else no name has a value, no option either, nor is there a token without a name.
        if has_sign(text) or (" " in text and ("--" in text or has_scheme(text))):
            for secrets in self._secrets:
                text = secrets.hidden_in(text)
        return text

    def stack(self, text: str) -> str:
        """A traceback, its end kept, with secrets hidden."""
        if len(text) > LONGEST_STACK:
            return self._ending(text, LONGEST_STACK)
        return self._hidden_in(text)

    def add_exception(self, attributes: Mapping[str, str], to: dict[str, Any]) -> None:  # Any: as in `value`
        """Add type, message and traceback of an exception, the latter two with secrets hidden."""
        message = attributes.get("exception.message", "")
        shown = self.text(message, LONGEST_MESSAGE)
        for name, text in attributes.items():
            if name == "exception.message":
                to[name] = shown
            elif name == "exception.stacktrace":
                is_open = shown == message and self._is_open_before(message, text)
                to[name] = text if is_open else self.stack(text)
            else:
                to[name] = text

    def _is_open_before(self, message: str, trace: str) -> bool:
        """
        Whether nothing is to be hidden in a traceback that ends with this message, which hides nothing.

        Those from one place are alike but for the message, so what stands before it is remembered.
        """
        end = len(trace) - len(message) - 1
        if end < 0 or len(trace) > LONGEST_STACK or not trace.startswith(message, end):
            return False
        generation, known = self._known_frames
        if generation != SECRETS.generation or len(known) > _MOST_REMEMBERED:
            known = set()
            self._known_frames = (SECRETS.generation, known)
        frames = trace[:end]
        key = hash(frames)
        if key not in known:
            if any(secrets.may_be_in(frames) for secrets in self._secrets):
                return False
            known.add(key)
        return True

    def object_text(self, text: str) -> str:
        """The text of an object: cut, or redacted as a whole when it tells a secret."""
        hidden = self._hidden_in(text[: LONGEST_OBJECT + _BEYOND])
        kept = len(text) if len(text) <= LONGEST_OBJECT else LONGEST_OBJECT - len(CUT)
        return REDACTED if hidden[:kept] != text[:kept] else cut(text, LONGEST_OBJECT)

    def _hidden_in(self, text: str) -> str:
        for secrets in self._secrets:
            text = secrets.hidden_in(text)
        return text

    def _beginning(self, text: str, longest: int) -> str:
        """A text, searched beyond its cut: a secret may begin before, and be known by what ends it."""
        window = text[: longest + _BEYOND]
        hidden = self.text(window, len(window))
        if len(window) == len(text):
            return cut(hidden, longest)
        sure = max(_end_of_last(REDACTED, hidden), len(hidden) - _BEYOND)
        return hidden[: min(sure, longest - len(CUT))] + CUT

    def _ending(self, text: str, longest: int) -> str:
        """The same of the last lines: a value may stand behind the cut, and its name before."""
        window = text[-longest - _BEYOND_STACK :]
        hidden = self._hidden_in(window)
        if len(window) == len(text):
            return cut_front(hidden, longest)
        found = hidden.find(REDACTED, 0, _BEYOND_STACK)
        return last_lines(hidden[found if found >= 0 else _BEYOND_STACK :], longest)

    def value(self, name: str, value: object) -> Any:  # Any: OpenTelemetry's AnyValue
        """Text, numbers and bytes as they are, lists and mappings value by value, all else as text, cut."""
        return self._value(name, value, 0, _Budget())

    def _value(self, name: str, value: object, depth: int, budget: _Budget) -> Any:  # Any: as above
        if self.hides(name) and not self._is_count(name, value):
            return REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (bool, int, float)) or value is None:
            return value
        if isinstance(value, (bytes, bytearray)):
            return self.text(bytes(value[: LONGEST_TEXT + _BEYOND + 1]).decode("latin-1")).encode(
                "latin-1", "replace"
            )
        if isinstance(value, Mapping):
            return self._mapping(value, depth, budget) if depth < _DEEPEST else CUT
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._list(value, depth, budget) if depth < _DEEPEST else CUT
        return self.object_text(str(value))

    def _mapping(self, value: Mapping[Any, object], depth: int, budget: _Budget) -> dict[str, Any]:
        found: dict[str, Any] = {}
        is_secret = any(self._names_secret(value[key]) for key in NAME_KEYS if key in value)
        for key, each in value.items():
            if not budget.takes_one():
                found[CUT] = CUT
                break
            name = self.text(str(key), LONGEST_NAME)
            is_hidden = is_secret and name.casefold() in VALUE_KEYS
            found[name] = REDACTED if is_hidden else self._value(name, each, depth + 1, budget)
        return found

    def _list(self, value: Any, depth: int, budget: _Budget) -> list[Any]:
        is_ordered = isinstance(value, (list, tuple))
        if is_ordered and len(value) == 2:
            name = self._name_in(value[0])
            if name is not None:  # ("Authorization", "Bearer ..."), as headers are listed
                return [self.text(name, LONGEST_NAME), REDACTED]
        found: list[Any] = []
        is_curl = is_ordered and any(_is_curl(each) for each in value[:_FEW])
        before = ""
        for each in value:
            if not budget.takes_one():
                found.append(CUT)
                break
            argument = _argument_of(each) if is_ordered else ""
            if argument and self._is_value_of(before, argument):  # ["--password", "hunter2"]
                found.append(REDACTED)
            elif is_curl and (before in _CURL_USER or argument.startswith(_CURL_USER_WITHIN)):
                found.append(_without_password(argument))
            else:
                found.append(self._value("", each, depth + 1, budget))
            before = argument
        return found

    def _is_value_of(self, option: str, argument: str) -> bool:
        """Whether a command's argument is the secret that the option before it names."""
        is_option = option.startswith("--") and not option.startswith("--no-") and "=" not in option
        return is_option and not argument.startswith("-") and self.hides(option)

    def _is_count(self, name: str, value: object) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and all(
            secrets.counted_by(name) for secrets in self._secrets if secrets.named_by(name)
        )

    def _names_secret(self, value: object) -> bool:
        """Whether it is an identifier, and a secret's: "password", and not "Gift Card"."""
        return isinstance(value, str) and _IDENTIFIER(value) is not None and self.hides(value)

    def _name_in(self, value: object) -> str | None:
        """The first of a pair, if it is a secret's name."""
        name = value.decode("latin-1") if isinstance(value, bytes) else value
        return name if isinstance(name, str) and self.hides(name) else None


def _end_of_last(mark: str, text: str) -> int:
    found = text.rfind(mark)
    return 0 if found < 0 else found + len(mark)


def _argument_of(value: object) -> str:
    """What a list of a command's arguments says here; nothing for what is no argument."""
    if isinstance(value, bytes):
        return value[:LONGEST_TEXT].decode("latin-1")
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _is_curl(value: object) -> bool:
    return _argument_of(value).endswith(("curl", "curl.exe"))


def _without_password(user: str) -> str:
    """A user as curl takes it, `name:password`."""
    name, colon, _password = user.partition(":")
    return f"{name}:{REDACTED}" if colon else user


class _Budget:
    """How many nodes one value may still have. For one thread."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def takes_one(self) -> bool:
        """Whether one more is taken."""
        self._left -= 1
        return self._left >= 0


SHOWING: Final = Showing(SECRETS)


def type_name(error: BaseException) -> str:
    """The value of `error.type`: the class, with its module unless it is a builtin."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def exception_attributes(error: BaseException, trace: TracebackType | None) -> dict[str, str]:
    """exception.type, .message unless it has none, and .stacktrace; secrets are not hidden yet."""
    stack = "".join(format_exception(type(error), error, trace))
    found = {"exception.type": type_name(error), "exception.stacktrace": stack}
    words = words_of(error)
    if words:
        found["exception.message"] = words
    return found


def words_of(error: BaseException) -> str:
    """What the exception says; nothing if that fails."""
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001 - an exception of the application, with a __str__ of its own
        let_through(fault)
        return ""
