"""
At work: which threads are inside the instrumentation itself.

From there samplers, processors and exporters are called, which may call decorated functions. Recording those
would call the same processor again, deeper and deeper; so what is called from inside goes unrecorded.
"""

from __future__ import annotations

import os
from typing import Final

# By `get_ident`; each thread adds and discards its own, so no lock is needed. A thread-local flag would cost
# three times as much to ask, and this is asked at every call.
# Rule: written out at each use, the first step of a `try` adds and the first of its `finally` discards.
# A signal handler of the application may raise where a Python function begins and after every call, and an id
# that stays would silence its thread for good, and later threads that get the id.
AT_WORK: Final[set[int]] = set()

if hasattr(os, "register_at_fork"):  # the parent's other threads are not there in the child
    os.register_at_fork(after_in_child=AT_WORK.clear)
