"""
The feed: what Delivery must know of mParticle to bring sealed batches there, and to read its answers.

mParticle answers 202 before it looks, and says in the body of some answers which batches of a request it
could not read. It removes duplicates by `source_request_id`, so whatever is in doubt is sent again.
Sources: "HTTP API", "Default Service Limits", "Pixel Service".
"""

from __future__ import annotations

import logging
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import cast
from urllib.parse import quote

from otel_vendor_exporters.delivery import policy
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, Outcome, Parcel, Reply, Request, Ticket, Verdict
from otel_vendor_exporters.delivery.sender import Packed
from otel_vendor_exporters.mparticle.answers import batch_index, error_messages
from otel_vendor_exporters.mparticle.batching import halves, request_groups
from otel_vendor_exporters.mparticle.codec import BatchCodec
from otel_vendor_exporters.mparticle.ids import uuid_text
from otel_vendor_exporters.mparticle.pixel import MOST_URL_BYTES, Commas
from otel_vendor_exporters.mparticle.settings import MParticleSettings
from otel_vendor_exporters.mparticle.units import SealedBatch

CODEC = BatchCodec()
NEARLY_LIMITED_PERCENT = 90.0
_ITEM_BYTES = 300  # about what a batch takes in memory beside its body


class Feed:
    """The Events API. A parcel is a request of several batches, each of which is one item."""

    name = "mparticle"

    def __init__(self, settings: MParticleSettings, notices: Notices, *, historical: bool = False) -> None:
        self._url = settings.resolved_base_url + "/v2/bulkevents" + ("/historical" if historical else "")
        self._notices = notices
        self._per_second = settings.batches_per_second_here
        assert settings.api_secret is not None  # checked when the settings were made
        credentials = f"{settings.api_key}:{settings.api_secret.reveal()}".encode()
        self._headers = {
            "Authorization": "Basic " + b64encode(credentials).decode(),
            "Content-Type": "application/json",
            "Accept": "application/json",
            **user_agent_header(settings.user_agent),
        }

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:  # noqa: ARG002
        """Be ready: mParticle needs nothing before sending."""
        return 0.0

    def pack(self, items: Sequence[Item[SealedBatch]]) -> Packed[SealedBatch]:
        """As many batches to a request as mParticle takes, in order."""
        waiting = iter(items)
        groups = request_groups((item.unit for item in items), self._per_second)
        return Packed([_parcel(list(islice(waiting, len(group)))) for group in groups])

    def request(self, parcel: Parcel[SealedBatch]) -> Request:
        """The batches as one JSON array, exactly as they were sealed."""
        body = b"[" + b",".join([item.unit.body for item in parcel.items]) + b"]"
        return Request(
            "POST", self._url, self._headers, body, repeatable=True
        )  # duplicates are removed there

    def judge(self, parcel: Parcel[SealedBatch], reply: Reply) -> Sequence[Verdict[SealedBatch]]:
        """What the answer means for each batch (contract: "Responses")."""
        outcome = policy.outcome_of(reply, send_again_when_ambiguous=True)
        messages = error_messages(reply.body) if reply.failure is None else ()
        if outcome in (Outcome.DELIVERED, Outcome.REFUSED) and messages:
            return self._by_batch(parcel.items, reply, messages)
        if outcome is Outcome.DELIVERED:
            self._look_at_usage(reply)
            return [Verdict(parcel.items, outcome)]
        if outcome is Outcome.REFUSED and len(parcel.items) > 1:  # which of them is wrong was not said
            return [Verdict(parcel.items, Outcome.DIVIDE)]
        if outcome is Outcome.DIVIDE and len(parcel.items) == 1:
            return [_too_large(parcel.items[0])]
        return [_verdict(parcel.items, outcome, reply, _words(reply, messages))]

    def renew_after_fork(self) -> None:
        """Nothing belongs to the parent."""

    def _by_batch(
        self, items: Sequence[Item[SealedBatch]], reply: Reply, messages: Sequence[str]
    ) -> list[Verdict[SealedBatch]]:
        """Some batches of a request, or all, could not be read."""
        bodies = [item.unit.body for item in items]
        places = {batch_index(message, bodies): message for message in reversed(messages)}
        if len(items) == 1:
            places = {0: messages[0]}
        if None in places:  # sent again in halves: what had been accepted is removed as a duplicate
            return [Verdict(items, Outcome.DIVIDE)]
        fine = [item for index, item in enumerate(items) if index not in places]
        if fine and reply.status >= 300:
            return [Verdict(items, Outcome.DIVIDE)]
        status = f"HTTP {reply.status}: " if reply.status >= 300 else ""
        refused = [
            Verdict([items[index]], Outcome.REFUSED, "bad_batch", status + readable(message))
            for index, message in sorted(places.items())
            if index is not None
        ]
        return [Verdict(fine, Outcome.DELIVERED), *refused] if fine else list(refused)

    def _look_at_usage(self, reply: Reply) -> None:
        used = reply.headers.get("x-mp-rate-limit-percentage-used", "")
        if used.isdigit() and float(used) >= NEARLY_LIMITED_PERCENT:
            text = "mparticle: %s %% of the account's rate limit is used"
            self._notices.say("usage", logging.WARNING, text, used)


class PixelFeed:
    """The Pixel Service. A parcel is one event: the query of a GET."""

    name = "mparticle"

    def __init__(self, settings: MParticleSettings) -> None:
        self._settings = settings

    def prepare(self, timeout_seconds: float, *, hurry: bool) -> float:  # noqa: ARG002
        """Be ready: the pixel needs nothing before sending."""
        return 0.0

    def pack(self, items: Sequence[Item[SealedBatch]]) -> Packed[SealedBatch]:
        """One event, one request."""
        return Packed([_parcel([item]) for item in items])

    def request(self, parcel: Parcel[SealedBatch]) -> Request:
        """The GET; the key stands in its path, and nowhere else."""
        url = pixel_url(self._settings, parcel.items[0].unit.body.decode("ascii"))
        return Request("GET", url, user_agent_header(self._settings.user_agent))

    def judge(self, parcel: Parcel[SealedBatch], reply: Reply) -> Sequence[Verdict[SealedBatch]]:
        """Any 2xx is success. The pixel has no ids, so whether doubt is sent again is a setting."""
        again = self._settings.duplicates == "allow"
        outcome = policy.outcome_of(reply, send_again_when_ambiguous=again)
        return [_verdict(parcel.items, outcome, reply, _words(reply, (), _PIXEL_ADVICE))]

    def renew_after_fork(self) -> None:
        """Nothing belongs to the parent."""


def _too_large(item: Item[SealedBatch]) -> Verdict[SealedBatch]:
    """The batch in two, each with an id of its own; refused when it cannot be divided."""
    parts = [item_of(part, item.expires_at_unix_ms, item.ticket) for part in halves(item.unit)]
    return Verdict([item], Outcome.DIVIDE, words="HTTP 413", parts=parts)


def item_of(batch: SealedBatch, expires_at_unix_ms: float | None, ticket: Ticket | None) -> Item[SealedBatch]:
    """What waits."""
    subjects = CODEC.subjects(batch)
    size = _ITEM_BYTES + len(batch.body)
    return Item(batch, size, expires_at_unix_ms=expires_at_unix_ms, subjects=subjects, ticket=ticket)


def new_id() -> str:
    """A fresh random UUID."""
    return uuid_text(os.urandom(16))


def _parcel(items: Sequence[Item[SealedBatch]]) -> Parcel[SealedBatch]:
    keys = frozenset(item.unit.ordering_key for item in items) - {None}
    return Parcel(items, None, cost=len(items), keys=keys)


def pixel_url(settings: MParticleSettings, query: str) -> str:
    """Where a pixel is asked for; the key stands in the path."""
    return f"{settings.resolved_base_url}/v1/{quote(settings.web_api_key or '', safe='')}/Pixel?{query}"


def pixel_rules(settings: MParticleSettings) -> tuple[int, Commas]:
    """How long a query may be, and what becomes of commas."""
    return MOST_URL_BYTES - len(pixel_url(settings, "")), cast("Commas", settings.pixel_commas)


def user_agent_header(user_agent: str | None) -> dict[str, str]:
    """None sends no User-Agent at all: mParticle would take it for the user's device."""
    return {} if user_agent is None else {"User-Agent": user_agent}


def _verdict(
    items: Sequence[Item[SealedBatch]], outcome: Outcome, reply: Reply, words: str
) -> Verdict[SealedBatch]:
    reason = f"http_{reply.status}" if reply.failure is None else policy.AMBIGUOUS
    wait = policy.retry_after_seconds(reply, datetime.now(timezone.utc))
    return Verdict(items, outcome, reason, words, wait or None)


_LIMITED = {429: "mParticle limits the rate"}
_ADVICE = {
    401: "check api_key and api_secret",
    403: "check api_key and api_secret, and that pod is theirs",
    **_LIMITED,
}
_PIXEL_ADVICE = {**dict.fromkeys((401, 403), "check web_api_key"), **_LIMITED}


def _words(reply: Reply, messages: Sequence[str], advice: Mapping[int, str] = _ADVICE) -> str:
    if reply.failure is not None:
        return reply.words or reply.failure.value
    words = [f"HTTP {reply.status}"]
    limit = reply.headers.get("x-mp-rate-limit-exceeded", "").strip('"')
    if limit.isalpha():
        words.append(f"rate limit of the {limit}")
    if reply.status in advice:
        words.append(advice[reply.status])
    return ": ".join([*words, *(readable(message) for message in messages[:1])])


# How Newtonsoft's and mParticle's own messages begin and end; what stands between may be a user's.
_BEGINNING = re.compile(
    r"""Error\ converting\ value|Error\ reading\ \w+\.\ Unexpected\ token:\ \w+
      | Could\ not\ convert\ string\ to\ [\w.]+|JSON\ integer|Input\ string
      | Required\ [\w ]+?\ "\w+"\ is\ missing(?:\ or\ empty)?|Unexpected\ (?:character|token|end)
    """,
    re.VERBOSE,
)
_END = re.compile(r"Path '[\w.\[\]-]*'(?:, line \d+)?(?:, position \d+)?\.?$")


def readable(message: str) -> str:
    """What mParticle says, for a log: which field it is about and what is wrong, without any user's data."""
    line = message.strip()
    begins, ends = _BEGINNING.match(line), _END.search(line)
    words = [begins[0] if begins else "", "…", ends[0] if ends else ""]
    return " ".join(word for word in words if word)[:200]
