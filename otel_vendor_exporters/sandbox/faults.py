"""
Faults to come: answers that tests and developers order in advance, in the order they were ordered.

A fault takes the place of the vendor's answer. Unless it is `counted`, the vendor has not seen the request.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from otel_vendor_exporters.sandbox.exchange import Answer

ANY = "any"
MAX_FAULTS = 10_000
MAX_DELAY_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer to be given instead of the vendor's, `times` times, to one kind of request."""

    answer: Answer
    on: str = ANY
    times: int = 1
    counted: bool = False


class FaultQueue:
    """The faults that are still to come. Any thread may call anything."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = (ANY, *kinds)
        self._lock = Lock()
        self._waiting: deque[Fault] = deque()

    def add(self, fault: Fault) -> None:
        """Queue a fault; raises ValueError for one that could never be given."""
        _check(fault, self._kinds)
        with self._lock:
            if len(self._waiting) >= MAX_FAULTS:
                raise ValueError(f"more than {MAX_FAULTS} faults are waiting: use times= or reset()")
            self._waiting.append(fault)

    def take(self, kind: str) -> Fault | None:
        """The first waiting fault that is meant for this kind of request."""
        if not self._waiting:
            return None
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.on in (ANY, kind):
                    self._use(index, fault)
                    return fault
        return None

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._waiting.clear()

    def _use(self, index: int, fault: Fault) -> None:
        if fault.times > 1:
            self._waiting[index] = replace(fault, times=fault.times - 1)
        else:
            del self._waiting[index]


def _check(fault: Fault, kinds: tuple[str, ...]) -> None:
    answer = fault.answer
    written = "".join(name + value for name, value in answer.headers)
    rules = (
        (fault.on in kinds, f"on={fault.on!r} is not a kind of request: choose one of {', '.join(kinds)}"),
        (fault.times >= 1, f"times={fault.times} must be at least 1"),
        (200 <= answer.status <= 599, f"status={answer.status} must be from 200 to 599"),
        (
            0 <= answer.delay_seconds <= MAX_DELAY_SECONDS,
            f"delay_seconds must be 0 to {MAX_DELAY_SECONDS:.0f}",
        ),
        (not set(written) & set("\r\n\0"), "a header may not hold a line break"),
        (all(ord(c) < 256 for c in written), "a header may only hold Latin-1 characters"),
    )
    for holds, sentence in rules:
        if not holds:
            raise ValueError(sentence)


def fault_from_json(text: bytes) -> Fault:
    """A fault as another process orders it; raises ValueError that says what is wrong with it."""
    content = json.loads(text or b"{}")
    if not isinstance(content, dict):
        raise ValueError("expected a JSON object")
    for name, value in content.items():
        _check_type(name, value)
    told = {**{name: default for name, (_, default) in _JSON_FIELDS.items()}, **content}
    answer = Answer(
        told["status"],
        told["body"].encode(),
        tuple((name, str(value)) for name, value in told["headers"].items()),
        told["delay_seconds"],
        told["close"],
        told["reset"],
    )
    return Fault(answer, told["on"], told["times"], told["counted"])


_JSON_FIELDS: dict[str, tuple[tuple[type, ...], Any]] = {  # Any: each field has a type of its own
    "status": ((int,), 503),
    "times": ((int,), 1),
    "headers": ((dict,), {}),
    "body": ((str,), ""),
    "on": ((str,), ANY),
    "delay_seconds": ((int, float), 0.0),
    "close": ((bool,), False),
    "reset": ((bool,), False),
    "counted": ((bool,), False),
}


def _check_type(name: str, value: object) -> None:
    if name not in _JSON_FIELDS:
        raise ValueError(f"{name!r} is not known: use {', '.join(_JSON_FIELDS)}")
    types, _ = _JSON_FIELDS[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"{name} must be of type {' or '.join(kind.__name__ for kind in types)}")
