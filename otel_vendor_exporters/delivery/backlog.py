"""
The backlog: what waits, and the books about it.

Keeps the spool, the ledger and the callers' tickets in step: every method moves items in all three at once.
Not thread-safe: `Delivery` holds its lock around each call, and tells what was noted when it is free.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic

from otel_vendor_exporters.delivery.estate import Estate
from otel_vendor_exporters.delivery.ledger import NO_LOSS, Ledger
from otel_vendor_exporters.delivery.losses import Losses
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Outcome, U, Verdict
from otel_vendor_exporters.delivery.spool import Inherited, Put, Spool

TURN_SECONDS = 0.5  # for which dead processes are looked for, before what was found is sent
LEAST_SECONDS_BETWEEN_CLAIMS = 1.0  # whatever the spool says: a fault must not spin


class Backlog(Generic[U]):
    """Items of one vendor between `keep` and their outcome."""

    def __init__(self, name: str, spool: Spool[U], ledger: Ledger, notices: Notices) -> None:
        self._name = name
        self._spool = spool
        self._ledger = ledger
        self._notices = notices
        self._clock = notices.clock
        self._losses = Losses(name, notices)
        self._claim_not_before = 0.0

    def __len__(self) -> int:
        """How many items wait in the spool."""
        return len(self._spool)

    @property
    def has_own(self) -> bool:
        """Whether some wait that this process has kept itself."""
        return self._spool.has_own

    @property
    def has_first(self) -> bool:
        """Whether some of them go before all others."""
        return self._spool.has_first

    def add(self, items: Sequence[Item[U]]) -> None:
        """Keep new items; the oldest make room where there is none."""
        elsewhere = self._ledger.waiting - len(self)
        try:
            self._ledger.accept(len(items))
            self._note(self._spool.put(items))
        except BaseException:  # of a signal handler, between any two steps
            self._ledger.correct(elsewhere + len(self))
            raise

    def take(self, limit: int, now_unix_ms: float) -> list[Item[U]]:
        """The next items that are still of use."""
        self._count_dropped(self._spool.expire(now_unix_ms), "expired", was="waiting")
        return self._spool.take(limit)

    def put_back(self, items: Sequence[Item[U]]) -> None:
        """Let items wait that were taken but did not leave."""
        self._note(self._spool.give_back(items))

    def leave(self, items: Sequence[Item[U]]) -> None:
        """Items are about to go out."""
        self._spool.leave(items)
        self._ledger.leave(len(items))

    def come_back(self, items: Sequence[Item[U]], held_by: str = "") -> None:
        """Items that went out did not arrive and wait again; `held_by` is what their callers could mend."""
        self._ledger.come_back(len(items))
        for item in items:
            if item.ticket is not None:
                item.ticket.hold(held_by)
        self.put_back(items)

    def divide(self, items: Sequence[Item[U]]) -> None:
        """Items that went out are to be packed anew, at once."""
        self._spool.stay(items)
        self._ledger.come_back(len(items))

    def replace(self, item: Item[U], parts: Sequence[Item[U]]) -> None:
        """An item that went out was too large: its parts wait in its place."""
        self._ledger.replace(len(parts))
        if item.ticket is not None:
            item.ticket.divide(len(parts))
        self._note(self._spool.replace(item, parts))

    def deliver(self, items: Sequence[Item[U]], *, erase: bool = False) -> None:
        """Items arrived; with `erase` no byte of them is to be left on the disk."""
        self._ledger.deliver(len(items))
        self._settle(items, erase=erase)
        for item in items:
            if item.ticket is not None:
                item.ticket.deliver()

    def lose(self, verdict: Verdict[U]) -> None:
        """Items that went out are refused or dropped; said once."""
        items, reason = verdict.items, verdict.reason or verdict.outcome.value
        self._settle(items, erase=verdict.erase)
        if verdict.outcome is Outcome.DROPPED:
            self._count_dropped(items, reason, was="in_flight", words=verdict.words)
            return
        self._ledger.refuse(reason, len(items))
        for item in items:
            if item.ticket is not None:
                item.ticket.refuse(reason, verdict.words)
            if item.on_loss is not None:
                item.on_loss(reason)
        self._say("refused", reason, len(items), verdict.words)

    def take_out(self, subjects: Collection[str], reason: str) -> int:
        """Give up what waits and is about one of these subjects, to the last byte; how many that were."""
        items = self._spool.take_out(subjects)
        if items:
            self._spool.erase(at_once=True)
        self._count_dropped(items, reason, was="waiting")
        return len(items)

    def end(self, reason: str) -> None:
        """Leave what stands on a disk to another process, and give up the rest."""
        ended = self._spool.end()
        self._ledger.hand_over(ended.handed_over)
        self._count_dropped(ended.lost, reason, was="waiting")

    def seconds_until_loss_is_over(self, now: float) -> float | None:
        """Until `note_losses` has an end to tell; None while nothing is lost."""
        return self._losses.seconds_until_over(now)

    def note_losses(self, now: float) -> None:
        """Tell which losses are over."""
        self._losses.end(now)

    def note_end(self, end: str, rest: str) -> None:
        """Tell the losses, if there are any; `end` is how it ends, `rest` what the others are."""
        self._losses.end()
        counts = self._ledger.counts()
        left = counts.waiting + counts.in_flight
        if counts.lost or left:
            text = "%s: %s after %d items delivered, refused %s, dropped %s, %d still %s"
            numbers = counts.delivered, dict(counts.refused), dict(counts.dropped), left
            self._notices.note("end", logging.WARNING, text, self._name, end, *numbers, rest)

    def close(self) -> None:
        """Close the spool: nothing will be added or settled any more."""
        self._spool.close()

    def abandon(self) -> None:
        """In a forked child: the spool is the parent's."""
        self._spool.abandon()

    # What dead processes left

    @property
    def is_looking(self) -> bool:
        """Whether dead processes are being looked for, in turns with what else there is to do."""
        return self._spool.is_looking

    def seconds_until_claim(self, now: float) -> float | None:
        """Until dead processes should be looked for, or that goes on; None for never."""
        wait = self._spool.seconds_until_claim(now)
        return None if wait is None else max(wait, self._claim_not_before - now)

    def adopt(self, lock: AbstractContextManager[Any]) -> None:
        """
        Let what dead processes left wait here, as far as there is room, before what is our own.

        First let the disk have what it has missed. Where that takes long it stops, `is_looking`, and goes on
        when it is called again.

        Called without the owner's lock; never raises.
        """
        try:
            self._adopt_for_a_turn(lock)
        except Exception as fault:  # noqa: BLE001  a foreign file must not end the thread that sends
            text = "%s: a fault in this library: files of dead processes cannot be adopted"
            self._notices.note("adoption", logging.ERROR, text, self._name, error=fault)
        finally:
            self._claim_not_before = self._clock.monotonic() + LEAST_SECONDS_BETWEEN_CLAIMS

    def _adopt_for_a_turn(self, lock: AbstractContextManager[Any]) -> None:
        with lock:
            if not self._spool.catch_up():
                return
        until = self._clock.monotonic() + TURN_SECONDS
        while (estate := self._spool.claim(until)) is not None:
            try:
                self._adopt(estate, lock)
            finally:
                estate.leave()
            if not self._spool.is_looking or self._clock.monotonic() >= until:
                return

    def _adopt(self, estate: Estate, lock: AbstractContextManager[Any]) -> None:
        until = self._clock.monotonic() + TURN_SECONDS  # from here: opening it may have taken as long
        waiting = 0
        for portion in self._spool.portions(estate):
            with lock:
                found = self._spool.inherit(estate, portion)
                if found is None:
                    break
                self._recover(found)
                waiting += found.items - found.ambiguous - found.unreadable
            if not self._spool.is_looking:
                break  # there is no room for more
            if self._clock.monotonic() >= until:
                estate.is_paused = True
                break
        if waiting:
            text = "%s: %d items of a process that has ended are sent now"
            self._notices.note("inherited", logging.INFO, text, self._name, waiting)

    def _recover(self, found: Inherited[U]) -> None:
        self._ledger.recover(found.items)
        self._count_gone("ambiguous", found.ambiguous)
        self._count_gone("unreadable", found.unreadable)
        self._note(found.put)

    def _count_gone(self, reason: str, count: int) -> None:
        if count:
            self._ledger.drop(reason, count)
            self._say("dropped", reason, count, "")

    def _settle(self, items: Sequence[Item[U]], *, erase: bool) -> None:
        self._spool.settle(items)
        if erase:
            self._spool.erase(at_once=False)

    def _note(self, put: Put[U]) -> None:
        if put.merged:
            self._ledger.merge(put.merged)
        self._count_dropped(put.evicted, "queue_full", was="waiting")

    def _count_dropped(self, items: Sequence[Item[U]], reason: str, *, was: str, words: str = "") -> None:
        if not items:
            return
        self._ledger.drop(reason, len(items), was=was)
        for item in items:
            if item.ticket is not None:
                item.ticket.drop(reason, words)
            if item.on_loss is not None:
                item.on_loss(reason)
        self._say("dropped", reason, len(items), words)

    def _say(self, done: str, reason: str, count: int, words: str) -> None:
        if reason not in NO_LOSS:
            self._losses.add(done, reason, count, words)
