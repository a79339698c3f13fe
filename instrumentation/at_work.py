"""
At work: which threads are inside the instrumentation itself.

From there samplers, processors and exporters are called, which may call decorated functions. Recording those
would call the same processor again, deeper and deeper; so what is called from inside goes unrecorded.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import Final

# By `get_ident`; each thread adds and discards its own, so no lock is needed. A thread-local flag would cost
# three times as much to ask, and this is asked at every call.
AT_WORK: Final[set[int]] = set()

if hasattr(os, "register_at_fork"):  # the parent's other threads are not there in the child
    os.register_at_fork(after_in_child=AT_WORK.clear)


class Working:
    """`with Working():` around what may call other code than ours; where each call counts, write it out."""

    __slots__ = ("_is_nested", "_thread")

    def __enter__(self) -> None:
        self._thread = get_ident()
        self._is_nested = self._thread in AT_WORK
        AT_WORK.add(self._thread)

    def __exit__(self, *error: object) -> None:
        if not self._is_nested:
            AT_WORK.discard(self._thread)
