"""
Answers: what each reply of Analytics means for the units that were sent.

Pure. The document knows 200, 400 (malformed, or a wrong API key) and 422 (a value violates a constraint);
other answers come from what stands in front of the server.
Rule: a refused request is taken apart until only the culprit is refused; what a wrong key refuses is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from types import MappingProxyType
from urllib.parse import parse_qs, quote_plus

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.request import Outcome, Reply
from otel_vendor_exporters.mparticle_analytics.units import EVENTS, REMOVALS, Kind, Unit
from otel_vendor_exporters.mparticle_analytics.wire import percent_encoded

MOST_AT_ONCE = 3  # units of one user that are refused in a row before the key, found right before, is doubted
MOST_TRIES = 3  # of a unit in doubt: one at once, the others a minute or more apart
RECENT_SECONDS = 300.0  # so long the key is taken to be right that was accepted
_MOST_PROVEN = 100  # bounded memory: some may never be tried again
_MOST_WORDS = 200
_MOST_READ = 4_096  # of a body, in bytes: what stands in the first words is read to its end
_MOST_SHORT = 2
_MOST_NAME = 60

# Where delivery's own table says otherwise. What is refused whatever it holds is no fault of the data: the
# address is wrong, or something in front of Analytics has its own mind.
MEANING_OF_STATUS: Mapping[int, Outcome] = MappingProxyType(
    {
        **dict.fromkeys(range(400, 500), Outcome.DIVIDE),  # one event of a hundred may be what is not liked
        **policy.MEANING_OF_STATUS,
        **dict.fromkeys((301, 302, 303, 307, 308, 404, 405, 410), Outcome.LATER_SLOWLY),
    }
)
_READ = frozenset({413, 422})  # answers to a value or a size: key and address were found right


@dataclass(frozen=True, slots=True)
class Doubt:
    """
    What is not known about a 400: whether it means the key or what was sent.

    `proven_at` is when the key was last found right, in monotonic seconds; soon after it a 400 means what was
    sent. `at_once` are the users whose units were refused for that since: so that a key which is withdrawn
    costs few. `refused` are the users whose single units were kept after a 400 since anything was accepted;
    `tries` counts these refusals, and two of them mean the key. `proven` are those since whose refusal
    something was accepted: it was not the key.
    """

    refused: frozenset[str] = frozenset()
    proven: frozenset[str] = frozenset()
    tries: int = 0
    proven_at: float | None = None
    at_once: tuple[str, ...] = ()

    def is_clear(self, user: str, now: float) -> bool:
        """Whether a 400 for a unit of this user alone is that unit's fault."""
        is_recent = self.proven_at is not None and now - self.proven_at < RECENT_SECONDS
        return is_recent and len(self.at_once) < MOST_AT_ONCE and {user}.issuperset(self.at_once)

    @property
    def is_key(self) -> bool:
        """Whether the key, not the data, is taken to be wrong."""
        return self.tries > 1

    @property
    def suspects(self) -> frozenset[str]:
        """Users whose units are to be sent alone."""
        return self.refused | self.proven

    def after_acceptance(self, now: float) -> Doubt:
        """The key was looked at, and found right."""
        proven = self.suspects if len(self.proven) < _MOST_PROVEN else self.refused
        return Doubt(proven=proven, proven_at=now)

    def after_refusal(self, user: str) -> Doubt:
        """A single unit of this user was answered 400."""
        return replace(self, refused=self.refused | {user}, tries=self.tries + 1)

    def after_clear_refusal(self, user: str) -> Doubt:
        """A single unit of this user was answered 400, and it was its own fault."""
        return replace(self, at_once=(*self.at_once, user))

    def after_giving_up(self) -> Doubt:
        """That the key was once right has cost a unit; no other is given up for it."""
        return Doubt(proven=self.proven)

    def without(self, user: str) -> Doubt:
        """The unit that was in question is gone."""
        refused, proven = self.refused - {user}, self.proven - {user}
        return Doubt(refused, proven, proven_at=self.proven_at, at_once=self.at_once)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply means: outcome, a short word for the ledger, words for people, and what it leaves open."""

    outcome: Outcome
    reason: str
    words: str
    doubt: Doubt


def answer_to(
    units: Sequence[Unit],
    reply: Reply,
    doubt: Doubt,
    *,
    events_again: bool,
    now: float = 0.0,
    secrets: Iterable[str] = (),
) -> Answer:
    """
    What `reply` means for `units`, which were one request; `now` is in monotonic seconds.

    `events_again`: whether events whose answer never came are sent again; calls always are, because they
    have the same effect twice. `secrets` are no words for people, wherever the server repeats them.
    """
    again = events_again or not EVENTS.intersection(unit.kind for unit in units)
    outcome = policy.outcome_of(reply, send_again_when_ambiguous=again, table=MEANING_OF_STATUS)
    if reply.failure is not None:
        return Answer(outcome, "ambiguous", reply.words or reply.failure.value, doubt)
    words = words_of(reply, [*secrets, *(text for unit in units for text in _texts(unit))])
    if outcome is Outcome.DIVIDE and reply.status not in _READ:
        return _bad_request(units, reply.status, words, doubt, now)
    if outcome is Outcome.DIVIDE and len(units) == 1:
        outcome, words = Outcome.REFUSED, f"{told(units[0])}: {words}"
    if outcome is Outcome.DELIVERED or reply.status == 422:
        doubt = doubt.after_acceptance(now)
    return Answer(outcome, f"http_{reply.status}", words, doubt)


def told(unit: Unit) -> str:
    """The unit in a few words without user data: an event by its name, a call by its kind."""
    if unit.kind not in EVENTS:
        return unit.kind.value
    return f"event {event_name(unit)[:_MOST_NAME]!r}"


def event_name(unit: Unit) -> str:
    """The name of an event, read from its content."""
    if unit.kind is Kind.GET_EVENT:
        return parse_qs(unit.content.decode("ascii"))["eventName"][0]
    return str(json.loads(unit.content)["eventName"])


def _bad_request(units: Sequence[Unit], status: int, words: str, doubt: Doubt, now: float) -> Answer:
    """
    Malformed, or the key: a unit alone is refused if the key was found right a moment ago.

    Otherwise it is kept until something else is accepted, and then refused. If nobody else's unit can show
    the key to be right or wrong, it is given up after some slow tries, so that the next one has its turn; but
    only if the key was right once, and only one: what this library writes is well-formed, so that the key is
    more likely wrong. A removal is not refused at once nor given up, since nobody would ask for it again.

    Any other answer of this kind comes of something in front of Analytics, which dislikes one unit, or all.
    """
    reason, suspect = f"http_{status}", "api_key" if status == 400 else "base_url"
    user, alone = units[0].users[0], f"{told(units[0])}: {words}"
    if len(units) > 1 and not doubt.is_key:
        return Answer(Outcome.DIVIDE, reason, words, doubt)
    if len(units) == 1 and user in doubt.proven:
        return Answer(Outcome.REFUSED, reason, alone, doubt.without(user))
    may_end = len(units) == 1 and units[0].kind not in REMOVALS
    if may_end and doubt.is_clear(user, now):
        return Answer(Outcome.REFUSED, reason, alone, doubt.after_clear_refusal(user))
    doubt = doubt.after_refusal(user)
    if may_end and doubt.refused == {user} and doubt.tries > MOST_TRIES and doubt.proven_at is not None:
        return Answer(Outcome.REFUSED, reason, alone, doubt.after_giving_up())
    if doubt.is_key:
        return Answer(Outcome.LATER_SLOWLY, reason, f"{words}, whatever is sent: check {suspect}", doubt)
    return Answer(Outcome.LATER, reason, f"{alone}; it, or {suspect}, is wrong", doubt)


def words_of(reply: Reply, secrets: Iterable[str]) -> str:
    """Status and one line of the body, which is the server's own: with stars for what it repeats of ours."""
    text = _without(reply.body[:_MOST_READ].decode("utf-8", "replace"), secrets)
    line = text.strip().partition("\n")[0]
    line = "".join(one if one.isprintable() else " " for one in line)[:_MOST_WORDS].strip()
    return f"HTTP {reply.status}: {line}" if line else f"HTTP {reply.status}"


def _without(text: str, secrets: Iterable[str]) -> str:
    """`text` with stars for the secrets, in each writing a server may repeat them in; the longest first."""
    if not text:
        return text
    writings = {one for secret in set(secrets) for one in _writings(secret) if one and one in text}
    if not writings:
        return text
    longest_first = sorted(writings, key=len, reverse=True)
    return re.sub("|".join(map(_pattern, longest_first)), "***", text)


def _writings(secret: str) -> Iterator[str]:
    yield from (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (percent_encoded(secret), quote_plus(secret, errors="replace"), escape(secret))


def _pattern(secret: str) -> str:
    """A short text is one only where it stands alone: else nothing could be read any more."""
    return re.escape(secret) if len(secret) > _MOST_SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"


def _texts(unit: Unit) -> Iterator[str]:
    """Ids and values of a unit, which are its users'."""
    yield from unit.users
    if unit.kind is Kind.GET_EVENT:
        yield from parse_qs(unit.content.decode("ascii")).get("propertyValues", ())
    else:
        yield from json.loads(unit.content).get("properties", {}).values()
