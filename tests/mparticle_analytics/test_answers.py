"""What the replies of Analytics mean (contract, section 4; ruling 12)."""

from __future__ import annotations

import pytest

from otel_vendor_exporters.delivery.request import Failure, Outcome, Reply
from otel_vendor_exporters.mparticle_analytics.answers import Doubt, answer_to
from otel_vendor_exporters.mparticle_analytics.units import Unit
from otel_vendor_exporters.mparticle_analytics.wire import AnalyticsEvent, Identify

NOW = 1_700_000_000_999
LOST = Reply(failure=Failure.NO_ANSWER, words="ReadTimeoutError")
UNREACHED = Reply(failure=Failure.NOT_SENT, words="NewConnectionError")


def event(user: str, name: str = "Paid") -> Unit:
    return AnalyticsEvent(name, user).unit(NOW)


def outcome_of(*units: Unit, reply: Reply, events_again: bool = True) -> Outcome:
    return answer_to(units, reply, Doubt(), events_again=events_again).outcome


@pytest.mark.parametrize(
    ("status", "one", "several"),
    [
        (200, Outcome.DELIVERED, Outcome.DELIVERED),
        (400, Outcome.REFUSED, Outcome.DIVIDE),
        (422, Outcome.REFUSED, Outcome.DIVIDE),
        (413, Outcome.REFUSED, Outcome.DIVIDE),
        (401, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (403, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (404, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (301, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (429, Outcome.LATER, Outcome.LATER),
        (500, Outcome.LATER, Outcome.LATER),
        (503, Outcome.LATER, Outcome.LATER),
        (451, Outcome.REFUSED, Outcome.REFUSED),
    ],
)
def test_what_a_status_means(status: int, one: Outcome, several: Outcome) -> None:
    """Refusals are taken apart, wrong addresses and keys are waited out, the rest is tried again."""
    reply = Reply(status=status)

    assert outcome_of(event("a"), reply=reply) is one
    assert outcome_of(event("a"), event("b"), reply=reply) is several


def test_what_no_answer_means() -> None:
    """Events go again unless duplicates are to be avoided; calls always do, having the same effect twice."""
    call = Identify("u", {"a": 1}).unit()

    assert outcome_of(event("a"), reply=LOST) is Outcome.LATER
    assert outcome_of(event("a"), reply=LOST, events_again=False) is Outcome.DROPPED
    assert outcome_of(call, reply=LOST, events_again=False) is Outcome.LATER
    assert outcome_of(event("a"), reply=UNREACHED, events_again=False) is Outcome.LATER


def test_A13_the_culprit_is_named_without_saying_whose_it_was() -> None:
    """The refused event is told by its name, with one line of what the server said."""
    reply = Reply(status=422, body=b"eventName: too odd\nmore")

    answer = answer_to([event("user47", "Paid\n")], reply, Doubt(), events_again=True)

    assert (answer.reason, answer.words) == ("http_422", "event 'Paid\\n': HTTP 422: eventName: too odd")
    get = AnalyticsEvent("A & B", "user47").get_unit(NOW)
    assert answer_to([get], reply, Doubt(), events_again=True).words.startswith("event 'A & B': ")
    call = Identify("user47", {"a": 1}).unit()
    assert answer_to([call], reply, Doubt(), events_again=True).words.startswith("identify: ")


def test_A14_two_users_refused_in_a_row_mean_the_key() -> None:
    """Single events of one user are refused; from the second user on nothing is, until something is accepted."""
    bad, doubt = Reply(status=400), Doubt()
    outcomes = []
    for units in ([event("a")], [event("a")], [event("b")], [event("c")], [event("a"), event("d")]):
        answer = answer_to(units, bad, doubt, events_again=True)
        outcomes.append(answer.outcome)
        doubt = answer.doubt

    assert outcomes == [*[Outcome.REFUSED] * 2, *[Outcome.LATER_SLOWLY] * 3]
    assert answer.words == "HTTP 400, whatever is sent: check api_key"
    recovered = answer_to([event("a"), event("d")], Reply(status=200), doubt, events_again=True)
    assert recovered.doubt == Doubt()


@pytest.mark.parametrize("status", [200, 422])
def test_A14_whatever_shows_the_key_to_be_right_ends_the_row(status: int) -> None:
    """A 400, something else, and a 400 of another user: both are refused, and no more than they."""
    first = answer_to([event("a")], Reply(status=400), Doubt(), events_again=True)
    between = answer_to([event("x")], Reply(status=status), first.doubt, events_again=True)

    last = answer_to([event("b")], Reply(status=400), between.doubt, events_again=True)

    assert last.outcome is Outcome.REFUSED


def test_A14_an_outage_in_between_proves_nothing() -> None:
    """A 503 between two refusals does not make the key right."""
    first = answer_to([event("a")], Reply(status=400), Doubt(), events_again=True)
    between = answer_to([event("x")], Reply(status=503), first.doubt, events_again=True)

    last = answer_to([event("b")], Reply(status=400), between.doubt, events_again=True)

    assert last.outcome is Outcome.LATER_SLOWLY


def test_what_the_server_says_is_one_short_printable_line() -> None:
    """Control characters, length and encoding of a body are no danger to a log."""
    reply = Reply(status=503, body=b"\x1b[31mno\xff" + b"x" * 10_000)

    words = answer_to([event("a")], reply, Doubt(), events_again=True).words

    assert words.startswith("HTTP 503: [31mno")
    assert len(words) < 250
    assert words.isprintable()
