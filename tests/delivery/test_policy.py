"""Policy: what a reply means, how long to wait, and the rate."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.policy import (
    TokenBucket,
    backoff_seconds,
    outcome_of,
    retry_after_seconds,
)
from otel_vendor_exporters.delivery.request import Failure, Outcome, Reply

NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=timezone.utc)

# The rows of contract/delivery.md, "What a reply means".
ROWS = {
    Outcome.DELIVERED: [200, 201, 202, 204, 299],
    Outcome.REFUSED: [300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 422, 431],
    Outcome.LATER_SLOWLY: [401, 403, 407],
    Outcome.LATER: [408, 420, 425, 429, 500, 502, 503, 504, 520, 599],
    Outcome.DIVIDE: [413],
}
MEANINGS = [(status, outcome) for outcome, statuses in ROWS.items() for status in statuses]

times = some.floats(0, 10**6)
rates = some.floats(0.001, 1000)


@pytest.mark.parametrize(("status", "outcome"), MEANINGS)
def test_every_row_of_the_contract_holds(status: int, outcome: Outcome) -> None:
    """A status means what the contract's table says, also where duplicates are avoided."""
    assert outcome_of(Reply(status=status), send_again_when_ambiguous=False) is outcome
    assert outcome_of(Reply(status=status), send_again_when_ambiguous=True) is outcome


def test_every_status_has_a_meaning() -> None:
    """Each status from 100 to 599 is delivered, refused, later or to be divided; never dropped."""
    meanings = {
        outcome_of(Reply(status=status), send_again_when_ambiguous=False) for status in range(100, 600)
    }

    assert meanings == set(ROWS)


@pytest.mark.parametrize("status", [0, 100, 101, 103, 199, 600, 999])
def test_statuses_that_do_not_exist_are_refused(status: int) -> None:
    """A final answer that is no HTTP answer is not tried again."""
    assert outcome_of(Reply(status=status), send_again_when_ambiguous=True) is Outcome.REFUSED


@pytest.mark.parametrize("again", [True, False])
def test_what_was_not_sent_goes_later(again: bool) -> None:
    """Where nothing reached the vendor nothing can be counted twice."""
    assert outcome_of(Reply(failure=Failure.NOT_SENT), send_again_when_ambiguous=again) is Outcome.LATER


@pytest.mark.parametrize(("again", "outcome"), [(True, Outcome.LATER), (False, Outcome.DROPPED)])
def test_a_lost_answer_is_ambiguous(again: bool, outcome: Outcome) -> None:
    """Without an answer the items go again only where that is wanted."""
    assert outcome_of(Reply(failure=Failure.NO_ANSWER), send_again_when_ambiguous=again) is outcome


def test_a_vendor_may_override_rows() -> None:
    """A vendor's table wins, row by row."""
    table = {**policy.MEANING_OF_STATUS, 422: Outcome.DIVIDE}

    outcomes = [
        outcome_of(Reply(status=status), send_again_when_ambiguous=True, table=table)
        for status in (422, 429, 404)
    ]

    assert outcomes == [Outcome.DIVIDE, Outcome.LATER, Outcome.REFUSED]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("600", 600.0),
        ("601", 600.0),
        ("9" * 5000, 600.0),
        ("Mon, 05 Jan 2026 12:00:30 GMT", 30.0),
        ("Mon, 05 Jan 2026 12:00:30", 30.0),
        ("Mon, 05 Jan 2026 14:00:30 +0200", 30.0),
        ("Monday, 05-Jan-26 12:01:00 GMT", 60.0),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 600.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("", None),
        ("   ", None),
        ("000000000600", 600.0),
        ("9" * 400, 600.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣٠", None),
        ("inf", None),
        ("Mon, 99 Jan 2026 12:00:30 GMT", None),
    ],
)
def test_reads_how_long_the_vendor_asks_to_wait(text: str, seconds: float | None) -> None:
    """Retry-After is seconds or a date, at most ten minutes; nonsense counts as not given."""
    assert retry_after_seconds(Reply(status=503, headers={"retry-after": text}), NOON) == seconds


IN_30_S = "Mon, 05 Jan 2026 12:00:30 GMT"  # by a right clock


@pytest.mark.parametrize(
    ("date", "asked", "seconds"),
    [
        ("Mon, 05 Jan 2026 12:00:00 GMT", IN_30_S, 30.0),
        ("Mon, 05 Jan 2026 13:00:00 GMT", "Mon, 05 Jan 2026 13:00:05 GMT", 5.0),  # we are behind
        ("Mon, 05 Jan 2026 11:00:00 GMT", "Mon, 05 Jan 2026 11:00:05 GMT", 5.0),  # we are ahead
        ("Mon, 05 Jan 2026 11:00:00", "Mon, 05 Jan 2026 13:00:05 +0200", 5.0),
        ("Monday, 05-Jan-26 11:00:00 GMT", "Mon, 05 Jan 2026 11:00:05 GMT", 5.0),
        ("Mon, 05 Jan 2026 13:00:00 GMT", IN_30_S, 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", IN_30_S, 600.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", 600.0),
        ("Mon, 05 Jan 2026 13:00:00 GMT", "20", 20.0),  # seconds are nobody's clock
        ("Mon, 05 Jan 2026 13:00:00 GMT", "soon", None),
        ("Mon, 05 Jan 2026 13:00:00 GMT", "", None),
        ("Mon, 99 Jan 2026 13:00:00 GMT", IN_30_S, 30.0),  # what cannot be read is not there
        ("1767618000", IN_30_S, 30.0),
        ("today", IN_30_S, 30.0),
        ("  ", IN_30_S, 30.0),
    ],
)
def test_a_date_is_measured_from_the_reply_s_own(date: str, asked: str, seconds: float | None) -> None:
    """A machine whose clock is wrong waits as long as the vendor meant; without a Date its clock counts."""
    reply = Reply(status=503, headers={"date": date, "retry-after": asked})

    assert retry_after_seconds(reply, NOON) == seconds


def test_a_vendor_need_not_ask() -> None:
    """Without the header there is no wait of the vendor's."""
    assert retry_after_seconds(Reply(status=503), NOON) is None


dates = some.builds(
    datetime.strftime,
    some.datetimes(),
    some.sampled_from(["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]),
)
odd_texts = some.text() | some.text(alphabet='0123456789 :+-,.GMTSunMonJan()"<>@') | dates


@given(asked=odd_texts, date=some.none() | odd_texts)
def test_no_retry_after_is_too_strange(asked: str, date: str | None) -> None:
    """Whatever stands in the headers, the wait is none or within the bounds."""
    headers = {"retry-after": asked} if date is None else {"retry-after": asked, "date": date}

    seconds = retry_after_seconds(Reply(status=429, headers=headers), NOON)

    assert seconds is None or 0 <= seconds <= policy.RETRY_AFTER_CAP_SECONDS


@given(failures=some.integers(1, 10**6), chance=some.floats(0, 1, exclude_max=True))
def test_backoff_has_bounds(failures: int, chance: float) -> None:
    """The pause is between nothing and the doubled base, a minute at most."""
    seconds = backoff_seconds(failures, chance)

    assert 0 <= seconds <= min(2.0 ** min(failures - 1, 30), 60.0)


@given(failures=some.integers(1, 10**6), chance=some.floats(0, 1, exclude_max=True))
def test_slow_backoff_has_bounds(failures: int, chance: float) -> None:
    """Where settings look wrong, the pause is half a minute at least and ten minutes at most."""
    seconds = backoff_seconds(failures, chance, slowly=True)

    assert 30.0 <= seconds <= 600.0


def test_backoff_doubles() -> None:
    """At the same chance each failure doubles the pause, up to the cap."""
    seconds = [backoff_seconds(failures, 0.5) for failures in range(1, 9)]
    slowly = [backoff_seconds(failures, 0.5, slowly=True) for failures in range(1, 7)]

    assert seconds == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert slowly == [45.0, 90.0, 180.0, 360.0, 450.0, 450.0]


@given(per_second=rates, burst=some.floats(1, 1000), moments=some.lists(times, max_size=50))
def test_a_bucket_never_gives_more_than_rate_and_burst(
    per_second: float, burst: float, moments: list[float]
) -> None:
    """Up to any moment at most the burst and the rate's share is spent, even if a clock goes back."""
    bucket = TokenBucket(per_second, burst)
    spent = 0.0

    for moment in moments:
        while bucket.seconds_until(1.0, moment) == 0:
            bucket.take(1.0, moment)
            spent += 1.0

    passed = max(moments, default=0.0) - (moments[0] if moments else 0.0)
    assert spent <= burst + passed * per_second + 1e-3


@given(per_second=rates, burst=some.floats(1, 100), cost=some.floats(0.01, 200), now=times)
def test_waiting_as_long_as_a_bucket_says_is_enough(
    per_second: float, burst: float, cost: float, now: float
) -> None:
    """Whoever waits exactly as long as told may take, whatever it costs."""
    bucket = TokenBucket(per_second, burst)
    bucket.take(burst, now)

    then = now + bucket.seconds_until(cost, now)

    assert bucket.seconds_until(cost, then) == 0.0


def test_a_bucket_starts_full_and_fills_to_its_burst() -> None:
    """A burst may go at once; a long rest does not save up more."""
    bucket = TokenBucket(per_second=2.0, burst=10.0)

    assert bucket.available(100.0) == 10.0
    bucket.take(10.0, 100.0)
    assert bucket.seconds_until(1.0, 100.0) == 0.5
    assert bucket.available(103.0) == 6.0
    assert bucket.available(1000.0) == 10.0


def test_a_cost_above_the_burst_is_waited_out_afterwards() -> None:
    """What costs more than the burst goes when the bucket is full, and the next pay for it."""
    bucket = TokenBucket(per_second=1.0, burst=5.0)

    assert bucket.seconds_until(20.0, 0.0) == 0.0
    bucket.take(20.0, 0.0)
    assert bucket.seconds_until(1.0, 0.0) == 16.0


def test_a_bucket_keeps_its_reserve_until_the_end() -> None:
    """Normal spending waits above the reserve; once that is open it goes at once, and refills."""
    bucket = TokenBucket(per_second=1.0, burst=5.0, reserve=2.0)

    assert bucket.seconds_until(3.0, 0.0) == 0.0
    bucket.take(3.0, 0.0)
    assert bucket.seconds_until(1.0, 0.0) == 1.0
    bucket.open_reserve()
    assert bucket.seconds_until(2.0, 0.0) == 0.0
    bucket.take(2.0, 0.0)
    assert bucket.seconds_until(1.0, 0.0) == 1.0
    assert bucket.available(100.0) == 5.0


def test_owners_of_one_bucket_share_its_tokens_and_have_a_reserve_each() -> None:
    """What one spends the other lacks; who opens the reserve opens it for itself."""
    one = TokenBucket(per_second=1.0, burst=5.0, reserve=2.0)
    other = one.for_another()

    assert [one.take(2.0, 0.0), other.take(1.0, 0.0), one.take(1.0, 0.0)] == [0.0, 0.0, 1.0]
    one.open_reserve()
    assert [other.take(1.0, 0.0), one.take(1.0, 0.0), one.take(1.0, 0.0)] == [1.0, 0.0, 0.0]
    assert one.for_another().take(1.0, 3.0) == 0.0
