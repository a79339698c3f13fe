"""Every order of moves and deaths: what was kept comes back, what is settled for good does not come twice."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otel_vendor_exporters.delivery.disk_spool import NO_ROOM_SECONDS, DiskSpool
from otel_vendor_exporters.delivery.estate import Estate
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool import MemorySpool, Put
from otel_vendor_exporters.delivery.spool_writing import Disk
from tests.delivery.fakes import FakeClock

MAX_ITEMS = 40
Unit = tuple[str, frozenset[int]]  # what it merges by, and every number that was merged into it


STEPS = ("name_heir", "hand_over", "leave")


class Killed(BaseException):
    """The end of a process in the middle of something."""


@contextmanager
def dying_at(step: str, *, before: bool) -> Iterator[None]:
    """An adoption dies at one of its steps."""
    good = getattr(Estate, step)

    def act(self: Estate, *args: Any) -> None:
        if not before:
            good(self, *args)
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Estate, step, act)
        yield


class NumbersCodec:
    """Units as JSON."""

    units = "numbers/1"

    def encode(self, unit: Unit) -> bytes:
        return json.dumps([unit[0], sorted(unit[1])]).encode()

    def decode(self, body: bytes) -> Unit:
        key, numbers = json.loads(body)
        return key, frozenset(numbers)

    def merge_key(self, unit: Unit) -> Hashable | None:
        return unit[0] or None

    def subjects(self, unit: Unit) -> tuple[str, ...]:
        return ()


class SpoolMachine(RuleBasedStateMachine):
    """One folder, one process at a time; a death is followed by another process that adopts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.again = False
        self.next = 0
        self.waiting: set[int] = set()  # in the spool
        self.taken: list[Item[Unit]] = []
        self.in_flight: list[Item[Unit]] = []
        self.gone: set[int] = set()  # settled, evicted, expired, ambiguous

    @initialize(again=some.booleans())
    def start(self, again: bool) -> None:
        self.again = again
        self.spool = self._process()

    @rule(
        count=some.integers(1, 9), key=some.sampled_from(["", "", "k", "l"]), age=some.none() | some.just(5.0)
    )
    def put(self, count: int, key: str, age: float | None) -> None:
        new = []
        for _ in range(count):
            self.next += 1
            unit = key, frozenset([self.next])
            new.append(Item(unit, 10, first=bool(key), merge_key=key or None, expires_at_unix_ms=age))
            self.waiting.add(self.next)
        self._note(self.spool.put(new))

    @rule(limit=some.integers(0, 12))
    def take(self, limit: int) -> None:
        found = self.spool.take(limit)
        self.taken += found
        self.waiting -= _numbers(found)

    @rule(count=some.integers(0, 12))
    def leave(self, count: int) -> None:
        going, self.taken = self.taken[:count], self.taken[count:]
        self.spool.leave(going)
        self.in_flight += going

    @rule(count=some.integers(0, 12))
    def settle(self, count: int) -> None:
        settled, self.in_flight = self.in_flight[:count], self.in_flight[count:]
        self.spool.settle(settled)
        self.gone |= _numbers(settled)

    @rule(count=some.integers(0, 12), left=some.booleans())
    def give_back(self, count: int, left: bool) -> None:
        source = self.in_flight if left else self.taken
        back = source[:count]
        del source[:count]
        self.waiting |= _numbers(back)
        self._note(self.spool.give_back(back))

    @rule(count=some.integers(0, 12))
    def stay(self, count: int) -> None:
        back, self.in_flight = self.in_flight[:count], self.in_flight[count:]
        self.spool.stay(back)
        self.taken += back

    @rule()
    def expire(self) -> None:
        expired = _numbers(self.spool.expire(6.0))
        self.waiting -= expired
        self.gone |= expired

    @rule(
        deaths=some.lists(
            some.tuples(some.sampled_from(STEPS), some.booleans(), some.integers(1, MAX_ITEMS)), max_size=3
        ),
        most=some.integers(5, MAX_ITEMS),
    )
    def die(self, deaths: list[tuple[str, bool, int]], most: int) -> None:
        """
        Kill the process; what the next one finds is what waited, and what was under way if it may.

        Before that, others die while they adopt, before or after a step of theirs. Whoever adopts may have
        a smaller queue: then the rest waits for room, and nothing is evicted.
        """
        self._kill()
        flying = _numbers(self.in_flight)
        expected = self.waiting | _numbers(self.taken) | (flying if self.again else set())
        for step, before, room in deaths:
            self.spool = self._process(room)
            with dying_at(step, before=before), suppress(Killed):
                self._adopt()
            self._kill()
        self.spool = self._process(most)
        sent = self._adopt_all()
        waiting = [number for item in self.spool._memory.waiting() for number in item.unit[1]]
        found = [*sent, *waiting]
        assert len(found) == len(set(found))
        assert expected <= set(found)
        assert set(found) <= expected | self.gone  # what may come twice, and nothing else
        assert not (self.again is False and set(found) & flying)
        self.waiting, self.taken, self.in_flight = set(waiting), [], []
        self.gone = (self.gone | flying | set(sent)) - set(waiting)

    def _adopt_all(self) -> list[int]:
        """Adopt, and send while the queue is too small for all; what was sent."""
        sent: list[int] = []
        for _ in range(100):
            self._adopt()
            if self.spool.seconds_until_claim(self.clock.monotonic()) != NO_ROOM_SECONDS:
                return sent
            taken = self.spool.take(MAX_ITEMS)
            self.spool.settle(taken)
            sent += [number for item in taken for number in item.unit[1]]
        raise AssertionError("there is no end of what dead processes left")

    def _kill(self) -> None:
        journal = self.spool._journal
        if journal is not None:
            journal._connection.close()
            journal._lock.release()
            self.spool._journal = None

    def _adopt(self) -> None:
        while (estate := self.spool.claim()) is not None:
            with ExitStack() as at_death:
                at_death.callback(estate.lock.release)
                for portion in self.spool.portions(estate):
                    inherited = self.spool.inherit(estate, portion)
                    assert inherited is not None or not self.spool._memory.is_empty
                    assert inherited is None or not inherited.put.evicted
                    if not self.spool.is_looking:
                        break
                estate.leave()
                if not self.spool.is_looking:
                    return

    @invariant()
    def counts_what_waits(self) -> None:
        if hasattr(self, "spool"):
            assert _numbers(list(self.spool._memory.waiting())) == self.waiting

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
        shutil.rmtree(self.folder)

    def _process(self, max_items: int = MAX_ITEMS) -> DiskSpool[Unit]:
        memory: MemorySpool[Unit] = MemorySpool(
            max_items=max_items, max_bytes=10**6, merge=lambda old, new: (old[0], old[1] | new[1])
        )
        codec = NumbersCodec()
        disk = Disk(self.folder, Label("shop", codec.units, "https://h", ()), codec, self.again)
        notices = Notices(logging.getLogger("otel_vendor_exporters.machine"), self.clock)
        return DiskSpool(disk, memory, self.clock, notices)

    def _note(self, put: Put[Unit]) -> None:
        evicted = _numbers(put.evicted)
        self.waiting -= evicted
        self.gone |= evicted


def _numbers(items: Sequence[Item[Unit]]) -> set[int]:
    return {number for item in items for number in item.unit[1]}


SpoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSpoolMachine = SpoolMachine.TestCase
