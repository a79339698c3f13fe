"""The backlog: spool, ledger and tickets in step, at every moment."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_vendor_exporters.delivery.backlog import Backlog
from otel_vendor_exporters.delivery.ledger import Ledger
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Outcome, Receipt, Ticket, Verdict
from otel_vendor_exporters.delivery.spool import MemorySpool
from tests.delivery.fakes import FakeClock

MAX_ITEMS = 12
MAX_BYTES = 100
Numbers = frozenset[int]  # a unit knows every item that was merged into it


class Books:
    """A small backlog and what belongs to it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.notices = Notices(logging.getLogger("otel_vendor_exporters.numbers"), FakeClock())
        spool: MemorySpool[Numbers] = MemorySpool(
            max_items=MAX_ITEMS, max_bytes=MAX_BYTES, merge=lambda old, new: old | new
        )
        self.backlog = Backlog("numbers", spool, self.ledger, self.notices)


@pytest.fixture
def books() -> Books:
    return Books()


def items(*numbers: int, ticket: Ticket | None = None) -> list[Item[Numbers]]:
    return [Item(frozenset([number]), 10, ticket=ticket) for number in numbers]


def test_tells_what_became_of_each_item(books: Books) -> None:
    """A ticket's receipt has every item of its caller, by outcome and reason."""
    ticket = Ticket(expected=6)
    books.backlog.add(items(*range(6), ticket=ticket))
    taken = books.backlog.take(5, 0.0)
    books.backlog.leave(taken)

    books.backlog.deliver(taken[:1])
    books.backlog.lose(Verdict(taken[1:3], Outcome.REFUSED, "http_400", "bad request"))
    books.backlog.lose(Verdict(taken[3:4], Outcome.DROPPED, "ambiguous"))
    books.backlog.lose(Verdict(taken[4:], Outcome.REFUSED))
    books.backlog.end("shutdown")

    assert ticket.receipt() == Receipt(
        delivered=1,
        refused={"http_400": 2, "refused": 1},
        dropped={"ambiguous": 1, "shutdown": 1},
        words=("bad request",),
    )
    counts = books.ledger.counts()
    assert counts.balanced
    assert (counts.accepted, counts.delivered, counts.refused, counts.dropped) == (
        6,
        1,
        {"http_400": 2, "refused": 1},
        {"ambiguous": 1, "shutdown": 1},
    )


def test_says_once_what_is_lost(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    """Each reason of loss is told with a number and the vendor's words; what nobody wants is not."""
    books.backlog.add(items(*range(9)))
    taken = books.backlog.take(9, 0.0)
    books.backlog.leave(taken)

    books.backlog.lose(Verdict(taken[:2], Outcome.REFUSED, "http_400", "HTTP 400"))
    books.backlog.lose(Verdict(taken[2:3], Outcome.REFUSED, "http_400", "HTTP 400"))
    books.backlog.lose(Verdict(taken[3:5], Outcome.DROPPED, "no_answer"))
    books.backlog.lose(Verdict(taken[5:], Outcome.DROPPED, "undefined"))
    books.notices.tell()

    assert caplog.messages == ["numbers: 2 items refused: HTTP 400", "numbers: 2 items dropped: no answer"]


def test_counts_what_makes_room(books: Books) -> None:
    """Items that had to make room are dropped as queue_full."""
    books.backlog.add(items(*range(MAX_BYTES // 10 + 3)))

    counts = books.ledger.counts()
    assert (counts.waiting, counts.dropped, len(books.backlog)) == (10, {"queue_full": 3}, 10)


def test_counts_what_expires(books: Books) -> None:
    """Items too old to be of use are dropped as expired when the next are taken."""
    books.backlog.add([Item(frozenset([1]), 10, expires_at_unix_ms=5.0), *items(2)])

    taken = books.backlog.take(9, 6.0)

    assert [item.unit for item in taken] == [{2}]
    assert books.ledger.counts().dropped == {"expired": 1}


class BacklogMachine(RuleBasedStateMachine):
    """Every order of every move: nothing is lost or doubled, the books agree, the bounds hold."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.backlog, self.ledger = self.books.backlog, self.books.ledger
        self.taken: list[Item[Numbers]] = []
        self.in_flight: list[Item[Numbers]] = []
        self.settled: list[Item[Numbers]] = []
        self.tickets: dict[int, Ticket] = {}  # by number
        self.now = 0.0
        self.next = 0

    @rule(
        kinds=some.lists(
            some.tuples(
                some.booleans(), some.sampled_from([None, "k", "l"]), some.none() | some.integers(0, 9)
            ),
            max_size=6,
        ),
        size=some.integers(1, 30),
    )
    def add(self, kinds: list[tuple[bool, str | None, int | None]], size: int) -> None:
        new = []
        for first, key, age in kinds:
            expires = None if age is None else self.now + age
            self.next += 1
            unit = frozenset([self.next])
            ticket = self.tickets[self.next] = Ticket(expected=1)
            new.append(
                Item(unit, size, first=first, merge_key=key, expires_at_unix_ms=expires, ticket=ticket)
            )
        self.backlog.add(new)

    @rule(limit=some.integers(0, 9), passed=some.integers(0, 5))
    def take(self, limit: int, passed: int) -> None:
        self.now += passed
        self.taken += self.backlog.take(limit, self.now)

    @rule(data=some.data())
    def put_back(self, data: some.DataObject) -> None:
        self.backlog.put_back(self._some(self.taken, data))

    @rule(data=some.data())
    def leave(self, data: some.DataObject) -> None:
        going = self._some(self.taken, data)
        self.backlog.leave(going)
        self.in_flight += going

    @rule(data=some.data())
    def come_back(self, data: some.DataObject) -> None:
        self.backlog.come_back(self._some(self.in_flight, data))

    @rule(data=some.data())
    def divide(self, data: some.DataObject) -> None:
        again = self._some(self.in_flight, data)
        self.backlog.divide(again)
        self.taken += again

    @rule(data=some.data())
    def deliver(self, data: some.DataObject) -> None:
        arrived = self._some(self.in_flight, data)
        self.backlog.deliver(arrived)
        self.settled += arrived

    @rule(data=some.data(), outcome=some.sampled_from([Outcome.REFUSED, Outcome.DROPPED]))
    def lose(self, data: some.DataObject, outcome: Outcome) -> None:
        lost = self._some(self.in_flight, data)
        self.backlog.lose(Verdict(lost, outcome, "reason"))
        self.settled += lost

    @precondition(lambda self: self.next > 20)
    @rule()
    def drop_all(self) -> None:
        self.backlog.end("shutdown")
        assert len(self.backlog) == 0

    @invariant()
    def the_books_agree(self) -> None:
        counts = self.ledger.counts()
        assert counts.balanced
        assert counts.accepted == self.next
        assert counts.waiting == len(self.backlog) + len(self.taken)
        assert counts.in_flight == len(self.in_flight)
        gone = (counts.delivered, counts.refused.get("reason", 0), counts.dropped.get("reason", 0))
        assert sum(gone) == len(self.settled)

    @invariant()
    def the_bounds_hold(self) -> None:
        under_way = len(self.taken) + len(self.in_flight)
        assert len(self.backlog) <= max(MAX_ITEMS - under_way, 0)

    @invariant()
    def nothing_is_doubled(self) -> None:
        known = [number for item in (*self.taken, *self.in_flight, *self.settled) for number in item.unit]
        assert len(known) == len(set(known))

    @invariant()
    def every_caller_hears_of_his_own(self) -> None:
        under_way = {number for item in (*self.taken, *self.in_flight) for number in item.unit}
        over = {number for item in self.settled for number in item.unit}
        for number, ticket in self.tickets.items():
            assert ticket.settled <= 1
            assert number not in under_way or not ticket.settled
            assert number not in over or ticket.settled

    def _some(self, source: list[Item[Numbers]], data: some.DataObject) -> Sequence[Item[Numbers]]:
        """Remove and return the first few."""
        count = data.draw(some.integers(0, len(source)))
        chosen, source[:] = source[:count], source[count:]
        return chosen


BacklogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBacklogMachine = BacklogMachine.TestCase
