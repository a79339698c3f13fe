"""
Interrupts: exceptions with which a signal handler of the application ends what its thread is at.

Celery's time limits are such, and many derive from `Exception`. Python runs a handler between any two steps,
so that they come out of whatever code of ours is under way, and look like a fault of it or of a value.
Rule: an `except Exception` on the application's thread lets them through. Only errors cost anything.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from functools import partial
from inspect import getattr_static
from traceback import walk_tb
from types import CodeType


def let_through(error: BaseException) -> None:
    """Raise it again if it is an interrupt."""
    if is_interrupt(error):
        raise error


def is_interrupt(error: BaseException) -> bool:
    """Whether it came out of the Python code of a signal handler that is installed now."""
    if threading.current_thread() is not threading.main_thread():  # where handlers run
        return False
    handlers = set(_handlers())
    return any(frame.f_code in handlers for frame, _ in walk_tb(error.__traceback__))


def _handlers() -> Iterator[CodeType]:
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler):
            code = _code_of(handler)
            if code is not None:
                yield code


def _code_of(handler: object) -> CodeType | None:
    """Of a function, a method, what is partly called, or any object that can be; None if it is not Python."""
    while isinstance(handler, partial):
        handler = handler.func
    if not hasattr(handler, "__code__"):  # a method has its function's
        handler = getattr_static(type(handler), "__call__", None)
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None
