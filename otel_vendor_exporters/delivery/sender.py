"""
Sender: keep → pack → send → decide → settle or wait.

`Delivery` owns everything that waits for one destination. `keep` is all that application threads call; it
touches no socket. Packing and sending happen on the sender's own threads, started when there is work.
Rule: whatever a reply, a fault or a signal does, every item ends in exactly one column of the ledger.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Generic, TypeAlias

from otel_vendor_exporters.delivery import lifetime, reentry
from otel_vendor_exporters.delivery.backlog import Backlog
from otel_vendor_exporters.delivery.clock import AgeClock, Clock
from otel_vendor_exporters.delivery.crew import Crew
from otel_vendor_exporters.delivery.deciding import Deciding
from otel_vendor_exporters.delivery.ledger import Ledger
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.pace import REPACK_AFTER_SECONDS, Outage, Pace
from otel_vendor_exporters.delivery.rate import Rate
from otel_vendor_exporters.delivery.ready import Ready
from otel_vendor_exporters.delivery.request import Item, Parcel, Reply, Request, Ticket, U
from otel_vendor_exporters.delivery.spool import Spool
from otel_vendor_exporters.delivery.transport import Transport
from otel_vendor_exporters.delivery.vendor import Callbacks, Packed, Vendor

__all__ = ["Delivery", "Packed", "Vendor"]

MOST_PACKED_AT_ONCE = 2048
NOT_READY_PAUSE_SECONDS = 0.05  # a request that could not be made: nothing failed, but nothing must spin
LEAST_SECONDS_TO_TRY_AGAIN = 0.5  # at a shutdown; with less, the answer may come too late to be of use
Told: TypeAlias = Callable[[], bool]
_FOREVER_SECONDS = 3600.0  # some platforms refuse to wait for longer


class Delivery(Generic[U]):
    """
    The way of items to one destination.

    Any thread may call anything. After a fork the child has an empty queue, fresh locks and no connections;
    what waited stays with the parent.
    """

    def __init__(
        self,
        vendor: Vendor[U],
        *,
        spool: Callable[[], Spool[U]],
        transport: Transport,
        clock: Clock,
        notices: Notices,
        timeout_seconds: float,
        connections: int,
        max_age_seconds: float = math.inf,
        rate: Rate | None = None,
        outage: Outage | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._vendor = vendor
        self._callbacks = Callbacks(vendor, notices)
        self._make_spool = spool
        self._transport = transport
        self._clock = clock
        self._notices = notices
        self._timeout_seconds = timeout_seconds
        self._pace = Pace(connections, rate, outage)
        self._age_clock = AgeClock(clock, max_age_seconds)
        self._closing_at: float | None = None  # monotonic deadline of the shutdown
        self._stopped = False
        self._reset()
        self._looks = True  # for what dead processes left
        self._ends = False  # the process does: only what is its own is worth its time
        lifetime.register(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._work_to_do = threading.Condition(self._lock)  # workers wait here
        self._news = threading.Condition(self._lock)  # callers of flush, wait_for and shutdown wait here
        self._backlog = Backlog(self._vendor.name, self._make_spool(), self.ledger, self._notices)
        self._ready: Ready[U] = Ready()
        self._deciding = Deciding(
            self._vendor.name, self._backlog, self._ready, self._pace, self._notices, self._clock
        )
        self._crew = Crew(self._lock, self._work, f"{self._vendor.name}-sender")
        self._packing = False
        self._nudged = False
        self._sending = 0

    # What other threads call

    def begin(self) -> None:
        """Look for what dead processes left, though nothing is kept yet. For who owns it by now."""
        with self._lock:
            self._call_worker()

    def keep(self, items: Sequence[Item[U]]) -> bool:
        """Keep items for sending and return at once; False when shut down."""
        with self._lock:
            if self._closing_at is not None:
                return False
            self._age_clock.unix_ms()  # a jump is seen before what is dated after it
            self._looks = True
            try:
                self._backlog.add(items)
            finally:
                self._call_worker()
        self._notices.tell()
        return True

    def nudge(self) -> None:
        """Let the vendor prepare, though nothing waits."""
        with self._lock:
            if self._closing_at is None and not self._nudged:
                self._nudged = True
                self._call_worker()

    def take_out(self, subjects: Collection[str], reason: str) -> int:
        """Give up all that waits and is about one of these subjects; how many items that were."""
        with self._lock:
            self._deciding.unpack()
            taken_out = self._backlog.take_out(subjects, reason)
            self._news.notify_all()
        self._notices.tell()
        return taken_out

    def flush(self, timeout_seconds: float) -> bool:
        """
        Wait until nothing waits, and what dead processes left was looked for; True when so.

        Returns early, False, when nothing is under way and nothing may go before the deadline.
        """
        deadline = lifetime.deadline(timeout_seconds, self._clock.monotonic())
        return self._wait(deadline, lambda: not self._has_work())

    def wait_for(self, ticket: Ticket, timeout_seconds: float) -> None:
        """Wait until the items of `ticket` are settled, as long as `flush` would."""
        deadline = lifetime.deadline(timeout_seconds, self._clock.monotonic())
        self._wait(deadline, lambda: ticket.settled >= ticket.expected)

    def shutdown(self, timeout_seconds: float) -> None:
        """
        Stop accepting, send what waits within the deadline, count what is left as dropped. Idempotent.

        During an outage there is one last try: a vendor that is down does not hold up the application. None
        is made when the vendor itself has asked to be left alone for longer.
        """
        deadline = lifetime.deadline(timeout_seconds, self._clock.monotonic())
        with self._lock:
            if self._closing_at is not None:
                return
            self._closing_at = deadline
            failures_before = self._pace.failures
            self._pace.end()
            self._work_to_do.notify_all()

        def hopeless() -> bool:
            again = self._pace.failures > failures_before > 0
            least = LEAST_SECONDS_TO_TRY_AGAIN if self._pace.failures else 0.0
            return again or self._pace.paused_until > deadline - least

        self._wait(deadline, self._is_idle, hopeless=hopeless)
        self._stop(deadline)

    def renew_after_fork(self) -> None:
        """Make the child's Delivery independent of the parent's."""
        self.ledger.renew_after_fork()
        self._notices.renew_after_fork()
        self._transport.renew_after_fork()
        self._backlog.abandon()
        self._stopped = self._closing_at is not None
        self._looks = self._ends = False  # a child that keeps nothing leaves all to its parent
        self._pace.renew_after_fork()
        self._reset()
        self._vendor.renew_after_fork()

    def end_at_exit(self) -> None:
        """
        What was kept here has one request's time. Stays open: older providers have their turn later.

        What was adopted is left to the next process, but for what is under way.
        """
        deadline = lifetime.deadline(self._timeout_seconds, self._clock.monotonic())
        all_sent = self._wait(deadline, lambda: not (self._sending or self._has_own()), at_exit=True)
        with self._lock:
            if all_sent:
                self._backlog.note_losses(math.inf)
            elif self._closing_at is None:
                self._backlog.note_end("exit", "waiting")
        self._notices.tell()

    # Waiting and stopping

    def _wait(self, until: float, done: Told, hopeless: Told | None = None, *, at_exit: bool = False) -> bool:
        is_hopeless = hopeless or (lambda: self._pace.paused_until > until and not self._sending)
        with self._lock:
            self._ends = at_exit
            while not done():
                left = until - self._clock.monotonic()
                if left <= 0 or self._stopped or is_hopeless():
                    return False
                if self._call_worker():
                    continue  # the lock was free meanwhile
                if len(self._crew):
                    self._clock.wait(self._news, left)
                elif not self._work_here():
                    return False
            return True

    def _work_here(self) -> bool:
        """One job on the caller's thread: at interpreter exit no thread can be started any more."""
        job = self._job(self._clock.monotonic())
        if job is None:
            return False
        self._lock.release()
        try:
            job()
        finally:
            self._lock.acquire()
        return True

    def _has_work(self) -> bool:
        return not self._is_idle() or self._is_to_look()

    def _has_own(self) -> bool:
        """Whether something waits, or is being packed, that this process has kept itself."""
        return self._packing or self._ready.has_own or self._backlog.has_own

    def _is_idle(self) -> bool:
        return not (self._packing or len(self._ready) or self._sending or len(self._backlog))

    def _stop(self, deadline: float) -> None:
        with self._lock:
            self._stopped = True
            self._drop_rest()
            threads = self._crew.running()
            self._work_to_do.notify_all()
        for thread in threads:
            thread.join(max(deadline - self._clock.monotonic(), 0.0))
        self._transport.close()
        with self._lock:
            self._backlog.close()
            self._backlog.note_end("shut down", "in flight")
        self._notices.tell()

    def _drop_rest(self) -> None:
        self._deciding.unpack()
        self._backlog.end("shutdown")

    # The sender's threads. Jobs run without the lock and take it to change anything.

    def _call_worker(self) -> bool:
        """Make sure somebody does what there is to do; whether the lock, which the caller holds, was free."""
        if self._stopped or not (self._nudged or self._has_work()):
            return False
        let_go = self._crew.grow_to(min(self._pace.lanes, max(len(self._ready) + self._sending, 1)))
        self._work_to_do.notify()
        return let_go

    def _work(self) -> None:
        while True:
            with reentry.scope:
                job = self._next_job()
                if job is None:
                    return
                job()

    def _next_job(self) -> Callable[[], None] | None:
        with self._lock:
            while not self._stopped:
                now = self._clock.monotonic()  # one look: what lets go between two would be slept through
                job = self._job(now) or (reentry.come_back if reentry.is_waited_for() else None)
                if job is not None:
                    return job
                self._clock.wait(self._work_to_do, self._seconds_to_wait(now))
        return None

    def _job(self, now: float) -> Callable[[], None] | None:
        """What may be done now."""
        if self._backlog.seconds_until_loss_is_over(now) == 0:
            return self._tell_losses
        is_free = not (self._packing or len(self._ready) or self._ready.is_held)
        if is_free and self._seconds_until_claim(now) == 0:
            self._packing = True  # what is found goes before what is packed
            return self._adopt
        if now < self._pace.paused_until or self._sending >= self._pace.lanes:
            return None
        if self._ends and not self._has_own():
            return None
        if not self._packing and self._deciding.is_passed_over(now, hurry=self._closing_at is not None):
            self._deciding.unpack()
        if len(self._ready):
            return self._departure(now)
        if self._packing or self._ready.is_held:
            return None
        if len(self._backlog) or self._nudged:
            self._packing = True
            return self._pack
        return None

    def _is_to_look(self) -> bool:
        """Whether dead processes are to be looked for now, or that is to go on soon."""
        wait = self._seconds_until_claim(self._clock.monotonic())
        return wait == 0 or (wait is not None and self._backlog.is_looking)

    def _seconds_until_claim(self, now: float) -> float | None:
        looks = self._looks and not self._ends and self._closing_at is None
        return self._backlog.seconds_until_claim(now) if looks else None

    def _departure(self, now: float) -> Callable[[], None] | None:
        """The job that sends the next parcel, if the rate lets it go."""
        parcel = self._ready.next()
        if parcel is None:
            return None
        wait = self._pace.wait_for_rate(parcel.cost, now)
        if wait > REPACK_AFTER_SECONDS:
            self._deciding.unpack()
            self._pace.pause(wait, now)
            self._news.notify_all()
        if wait > 0:
            return None
        self._ready.leave(parcel)
        self._sending += 1
        self._backlog.leave(parcel.items)
        return partial(self._send, parcel)

    def _seconds_to_wait(self, now: float) -> float:
        """Until pause and rate let something go, or dead processes are to be looked for."""
        parcel = self._ready.next()
        go = self._pace.seconds_until_go(parcel.cost if parcel is not None else None, now)
        waits = (go, self._seconds_until_claim(now), self._backlog.seconds_until_loss_is_over(now))
        return min(wait or _FOREVER_SECONDS for wait in waits)

    def _tell_losses(self) -> None:
        with self._lock:
            self._backlog.note_losses(self._clock.monotonic())
        self._notices.tell()

    def _adopt(self) -> None:
        self._backlog.adopt(self._lock)
        with self._lock:
            self._packing = False
            self._after_job()
        self._notices.tell()

    def _pack(self) -> None:
        packed: Packed[U] = Packed(())
        hurry = self._closing_at is not None
        wait = self._callbacks.prepare(self._seconds_for_request(), hurry=hurry)
        if wait <= 0:
            with self._lock:
                items = self._backlog.take(MOST_PACKED_AT_ONCE, self._age_clock.unix_ms())
            packed = self._callbacks.pack(items) if items else packed
        with self._lock:
            self._packing = self._nudged = False
            self._pace.packed(wait, self._clock.monotonic())
            self._deciding.load(packed)
            self._after_job()
        self._notices.tell()

    def _send(self, parcel: Parcel[U]) -> None:
        verdicts, could_be_sent = self._callbacks.verdicts(parcel, self._exchange)
        repacked = self._callbacks.repacked(verdicts)
        with self._lock:
            self._sending -= 1
            self._pace.over(parcel.cost, self._clock.monotonic())
            self._ready.return_of(parcel)
            for verdict in verdicts:
                self._deciding.apply(verdict, failed=could_be_sent)
            for packed in reversed(repacked):
                self._deciding.load(packed, in_front=True)
            if not could_be_sent:
                self._pace.pause(NOT_READY_PAUSE_SECONDS, self._clock.monotonic())
            self._after_job(news=any(item.ticket is not None for item in parcel.items))
        self._notices.tell()

    def _exchange(self, request: Request) -> Reply:
        began = self._clock.monotonic()
        reply = self._transport.send(request, self._seconds_for_request())
        self._pace.answered(self._clock.monotonic() - began)
        return reply

    def _after_job(self, *, news: bool = True) -> None:
        if self._stopped:
            self._drop_rest()
        self._call_worker()
        is_paused = self._pace.paused_until > self._clock.monotonic()
        # Waking a waiter for every parcel costs as much as sending it.
        if news or self._ends or self._pace.failures or is_paused or self._is_idle():
            self._news.notify_all()

    def _seconds_for_request(self) -> float:
        if self._closing_at is None:
            return self._timeout_seconds
        return min(self._timeout_seconds, max(self._closing_at - self._clock.monotonic(), 0.05))
