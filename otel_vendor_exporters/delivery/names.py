"""
Names: the addresses of a host, found within a deadline. Part of the door to `requests`, under `connection`.

The system's resolver takes no deadline, and a name server that is silent holds it for as long as
`resolv.conf` says: by default 10 s for each server. So it is asked on a thread that can be left behind.
Rule: one such thread for a name at a time; who asks for the name meanwhile waits for the same answer.
"""

from __future__ import annotations

import os
import socket
import threading
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress

_Key = tuple[int, str, int]
_under_way: dict[_Key, Future[list[str]]] = {}  # with the process: a fork's child has none of these threads


class LookUpTimeout(socket.gaierror):
    """The resolver had no answer in time."""


def addresses_of(name: str, port: int, seconds: float) -> list[str]:
    """
    All of a host, each once, at least one.

    Raises gaierror; LookUpTimeout, which is one, when `seconds` are over.
    """
    with suppress(socket.gaierror):
        return _found(name, port, socket.AI_NUMERICHOST)  # an address is its own, and nobody is asked
    try:
        return _asked(name, port).result(seconds)
    except futures.TimeoutError:
        raise LookUpTimeout(socket.EAI_AGAIN, "the look-up takes too long") from None


def _found(name: str, port: int, flags: int = 0) -> list[str]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _asked(name: str, port: int) -> Future[list[str]]:
    """What is to come of the look-up that is under way, or begins now."""
    key = (os.getpid(), name, port)
    ours: Future[list[str]] = Future()
    found = _under_way.setdefault(key, ours)
    if found is ours:
        thread = threading.Thread(target=_look_up, args=(key, ours), name="name-look-up", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            _look_up(key, ours)
        except BaseException:  # a signal handler's: there may be a thread or none
            _under_way.pop(key, None)
            raise
    return found


def _look_up(key: _Key, future: Future[list[str]]) -> None:
    _, name, port = key
    try:
        future.set_result(_found(name, port))
    except Exception as error:  # noqa: BLE001  for those who wait
        future.set_exception(error)
    finally:
        _under_way.pop(key, None)
