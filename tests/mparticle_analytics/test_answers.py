"""What the replies of Analytics mean (contract, section 4; ruling 12)."""

from __future__ import annotations

import pytest

from otel_vendor_exporters.delivery.request import Failure, Outcome, Reply
from otel_vendor_exporters.mparticle_analytics.answers import Answer, Doubt, answer_to
from otel_vendor_exporters.mparticle_analytics.units import Unit
from otel_vendor_exporters.mparticle_analytics.wire import AnalyticsEvent, Delete, Identify, Suppress

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
        (400, Outcome.LATER, Outcome.DIVIDE),
        (422, Outcome.REFUSED, Outcome.DIVIDE),
        (413, Outcome.REFUSED, Outcome.DIVIDE),
        (401, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (403, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (404, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (301, Outcome.LATER_SLOWLY, Outcome.LATER_SLOWLY),
        (429, Outcome.LATER, Outcome.LATER),
        (500, Outcome.LATER, Outcome.LATER),
        (503, Outcome.LATER, Outcome.LATER),
        (409, Outcome.LATER, Outcome.DIVIDE),
        (451, Outcome.LATER, Outcome.DIVIDE),
        (600, Outcome.REFUSED, Outcome.REFUSED),
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


def answers(*exchanges: tuple[list[Unit], int]) -> list[Answer]:
    """What these requests and statuses mean, one after the other."""
    found: list[Answer] = []
    doubt = Doubt()
    for units, status in exchanges:
        found.append(answer_to(units, Reply(status=status), doubt, events_again=True))
        doubt = found[-1].doubt
    return found


def test_A14_two_users_refused_in_a_row_mean_the_key() -> None:
    """Nothing is refused for good; all is kept and slowly tried again, until something is accepted."""
    a, b, c = event("a"), event("b"), event("c")

    *found, recovered = answers(
        ([a, b, c], 400), ([a], 400), ([b], 400), ([c], 400), ([a, b], 400), ([c], 200)
    )

    assert [one.outcome for one in found] == [Outcome.DIVIDE, Outcome.LATER, *[Outcome.LATER_SLOWLY] * 3]
    assert found[-1].words == "HTTP 400, whatever is sent: check api_key"
    assert recovered.outcome is Outcome.DELIVERED
    assert not recovered.doubt.is_key


@pytest.mark.parametrize("status", [200, 422])
def test_A14_what_was_refused_while_the_key_was_right_is_refused(status: int) -> None:
    """A malformed unit is kept until another is accepted, or at least read; then it is refused for good."""
    a, b = event("a"), event("b")

    first, _, last, following = answers(([a], 400), ([b], status), ([a], 400), ([a], 400))

    assert (first.outcome, last.outcome) == (Outcome.LATER, Outcome.REFUSED)
    assert last.words == "event 'Paid': HTTP 400"
    assert following.outcome is Outcome.REFUSED  # the key was right a moment ago


def test_A14_two_malformed_units_of_two_users_are_both_refused() -> None:
    """They look like a wrong key until a third user's unit is accepted."""
    a, b, c = event("a"), event("b"), event("c")

    found = answers(([a], 400), ([b], 400), ([c], 200), ([a], 400), ([b], 400))

    assert [one.outcome for one in found[3:]] == [Outcome.REFUSED, Outcome.REFUSED]
    assert (found[-1].doubt.refused, found[-1].doubt.proven) == (frozenset(), frozenset())


def test_A14_while_the_key_is_known_to_be_right_a_malformed_unit_is_refused_at_once() -> None:
    """Nothing waits for it; a second user's refusal in a row, or a long time, puts the key in doubt."""
    a, b, c = event("a"), event("b"), event("c")

    found = answers(([b], 200), ([a, b], 400), ([a], 400), ([b], 200), ([c], 400), ([b], 400), ([a], 400))
    long_ago = answer_to([a], Reply(status=400), found[0].doubt, events_again=True, now=301.0)

    assert [one.outcome for one in found[1:]] == [
        Outcome.DIVIDE,
        Outcome.REFUSED,
        Outcome.DELIVERED,
        Outcome.REFUSED,
        Outcome.LATER,
        Outcome.LATER_SLOWLY,
    ]
    assert found[-1].doubt.is_key
    assert long_ago.outcome is Outcome.LATER


def test_what_something_in_front_dislikes_is_found_and_refused_alone() -> None:
    """A firewall's 409 for one event takes no other with it; one for all of them loses nothing."""
    a, b, c = event("a"), event("b"), event("c")

    found = answers(([a, b], 409), ([a], 409), ([b], 200), ([a], 409))
    all_disliked = answers(([a, b], 409), ([a], 409), ([b], 409), ([c], 409))

    assert [one.outcome for one in found[:2]] == [Outcome.DIVIDE, Outcome.LATER]
    assert (found[-1].outcome, found[-1].reason) == (Outcome.REFUSED, "http_409")
    assert [one.outcome for one in all_disliked[2:]] == [Outcome.LATER_SLOWLY] * 2
    assert all_disliked[-1].words == "HTTP 409, whatever is sent: check base_url"


def test_A14_a_key_that_is_withdrawn_costs_a_lone_user_little() -> None:
    """A few units are refused, then the others are kept."""
    a = event("a")

    found = answers(([a], 200), *[([a], 400)] * 5)

    assert [one.outcome for one in found[1:]] == [
        *[Outcome.REFUSED] * 3,
        Outcome.LATER,
        Outcome.LATER_SLOWLY,
    ]


def test_A14_an_outage_in_between_proves_nothing() -> None:
    """A 503 between two refusals does not make the key right."""
    found = answers(([event("a")], 400), ([event("x")], 503), ([event("b")], 400))

    assert [one.outcome for one in found] == [Outcome.LATER, Outcome.LATER, Outcome.LATER_SLOWLY]


def test_A14_while_nothing_was_ever_accepted_a_lone_user_loses_nothing() -> None:
    """What is sent is well-formed: the key is named, and all is kept until it works."""
    a = event("a")

    *found, last = answers(*[([a], 400)] * 10, ([a], 200))

    assert [one.outcome for one in found] == [Outcome.LATER, *[Outcome.LATER_SLOWLY] * 9]
    assert {one.words for one in found[1:]} == {"HTTP 400, whatever is sent: check api_key"}
    assert (last.outcome, last.doubt.is_key) == (Outcome.DELIVERED, False)


def test_A14_where_the_key_was_right_one_unit_of_a_lone_user_is_given_up() -> None:
    """After some slow tries the next one has its turn; if that is refused, too, it is the key."""
    a, long_ago = event("a"), Doubt(proven_at=-1_000.0)
    found: list[Answer] = []
    for _ in range(10):
        doubt = found[-1].doubt if found else long_ago
        found.append(answer_to([a], Reply(status=400), doubt, events_again=True))

    slowly = Outcome.LATER_SLOWLY
    assert [one.outcome for one in found] == [
        *(Outcome.LATER, slowly, slowly, Outcome.REFUSED),
        *(Outcome.LATER, *[slowly] * 5),
    ]


@pytest.mark.parametrize("removal", [Delete("a").unit(), Suppress("a").unit()])
def test_A14_a_removal_is_kept_until_the_key_is_proven(removal: Unit) -> None:
    """Nobody would ask for it again: a 400 for it means the key, unless something else is then accepted."""
    refused, accepted = ([removal], 400), ([event("b")], 200)

    found = answers(accepted, *[refused] * 6, accepted, refused)

    assert [one.outcome for one in found[1:]] == [
        *(Outcome.LATER, *[Outcome.LATER_SLOWLY] * 5),
        *(Outcome.DELIVERED, Outcome.REFUSED),
    ]


def test_what_the_server_repeats_is_not_said_again() -> None:
    """Neither the key nor ids nor values of users, in any writing; what else it says stays readable."""
    unit = AnalyticsEvent("Paid", "bob@example.com", {"mail": 'b"ö@b c', "n": 2, "end": "x" * 255}).unit(NOW)
    body = (
        b'{"apiKey":"KEY-1","id":"bob@example.com","mail":"b\\"\xc3\xb6@b c",'
        b'"u":"bob%40example.com b%22%C3%B6%40b%20c b\\"\\u00f6@b c","n":"2","at":"2024 odd end '
    )

    answer = answer_to(
        [unit], Reply(status=422, body=body + b"x" * 255), Doubt(), events_again=True, secrets=["KEY-1"]
    )

    said = '{"apiKey":"***","id":"***","mail":"***","u":"*** *** ***","n":"***","at":"2024 odd end ***'
    assert answer.words == f"event 'Paid': HTTP 422: {said}"


def test_what_the_server_says_is_one_short_printable_line() -> None:
    """Control characters, length and encoding of a body are no danger to a log."""
    reply = Reply(status=503, body=b"\x1b[31mno\xff" + b"x" * 10_000)

    words = answer_to([event("a")], reply, Doubt(), events_again=True).words

    assert words.startswith("HTTP 503: [31mno")
    assert len(words) < 250
    assert words.isprintable()
