"""
What mParticle's documents say about a batch beyond its shape: which parts belong together, and the limits.

Pure. `rule_problems` looks at what came; `cut_to_limits` gives what the service would have kept of it.
Written from contract/mparticle.md sections 1.5, 1.6 and 3; its "characters" are UTF-16 units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from otel_vendor_exporters.sandbox.document import JsonPath
from otel_vendor_exporters.sandbox.exchange import cut, shown, utf16_length
from otel_vendor_exporters.sandbox.mparticle.checks import Problem, Rank
from otel_vendor_exporters.sandbox.mparticle.shapes import RESERVED_ATTRIBUTES

NAME_CHARACTERS = 256
VALUE_CHARACTERS = 4_096
ATTRIBUTES = 100
LIST_ENTRIES = 1_000
ENTRY_CHARACTERS = 512
ACTION_CHARACTERS = 100
EVENTS_IN_BATCH = 100
OLD_MS = 30 * 86_400_000
HISTORICAL_MS = 72 * 3_600_000
FUTURE_MS = 86_400_000
COMMERCE_VARIANTS = ("product_action", "promotion_action", "product_impressions")
SESSION_START_KEYS = frozenset(("timestamp_unixtime_ms", "source_message_id", "session_uuid"))
IDENTIFYING = ("mpid", "mp_deviceid", "partner_identities")
DEVICE_IDS = (
    *("ios_advertising_id", "ios_idfv", "android_uuid", "android_advertising_id", "roku_advertising_id"),
    *("fire_advertising_id", "microsoft_advertising_id", "amp_id", "push_token"),
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a batch came: when, by which path, with which User-Agent, and how many bytes it has as sent."""

    now_unix_ms: int
    size_bytes: int
    max_batch_bytes: int
    user_agent: str = ""
    historical: bool = False


def rule_problems(batch: Json, came: Circumstances) -> Iterator[Problem]:
    """Everything the rules say about one batch."""
    for rule in _BATCH_RULES:
        yield from rule(batch, came)
    for index, data, kind in _events(batch):
        for event_rule in _EVENT_RULES:
            yield from event_rule(kind, data, ("events", index, "data"), came)


def part(content: Mapping[str, object], name: str) -> Json:
    """An object inside an object; empty when it is absent or something else."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def events_of(batch: Json) -> list[Json]:
    """The events that are objects."""
    events = batch.get("events")
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []


def _events(batch: Json) -> Iterator[tuple[int, Json, str]]:
    for index, event in enumerate(events_of(batch)):
        yield index, part(event, "data"), str(event.get("event_type"))


def _environment(batch: Json, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    if "environment" not in batch:
        sentence = "environment is missing, so mParticle takes this for production: set environment."
        yield Problem(Rank.ADVICE, "no_environment", (), sentence)


def _content(batch: Json, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    parts = ("events", "user_identities", "user_attributes", "deleted_user_attributes", "consent_state")
    if not any(batch.get(name) for name in parts):
        sentence = "The batch holds no event, identity, user attribute or consent: do not send it."
        yield Problem(Rank.ADVICE, "empty_batch", (), sentence)


def _identity(batch: Json, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    device = part(batch, "device_info")
    known = part(batch, "user_identities") or any(batch.get(name) is not None for name in IDENTIFYING)
    if not known and not any(device.get(name) for name in DEVICE_IDS):
        sentence = "No identity, mpid or device id: whose events these are is left to mParticle. Set user.id."
        yield Problem(Rank.ADVICE, "no_identity", (), sentence)


def _request_id(batch: Json, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    if not batch.get("source_request_id"):
        sentence = (
            "source_request_id is missing: a repeated request counts twice. Give each batch a fresh UUID."
        )
        yield Problem(Rank.ADVICE, "no_source_request_id", (), sentence)


def _partners(batch: Json, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    if batch.get("partner_identities"):
        sentence = "A key of partner_identities that is not registered with mParticle can fail the request."
        yield Problem(Rank.ADVICE, "partner_identities", ("partner_identities",), sentence)


def _user_agent(batch: Json, came: Circumstances) -> Iterator[Problem]:
    if came.user_agent and not part(batch, "device_info").get("http_header_user_agent"):
        sentence = (
            f"mParticle takes the header User-Agent (`{shown(came.user_agent)}`) for the visitor's browser: "
            "send no User-Agent, or set device_info.http_header_user_agent (user_agent.original)."
        )
        yield Problem(Rank.ADVICE, "user_agent_leak", (), sentence)


def _reserved(batch: Json, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001 - one of a table
    for name in part(batch, "user_attributes"):
        if name.startswith("$") and name not in RESERVED_ATTRIBUTES:
            sentence = f"`{shown(name)}`: names with $ are mParticle's own; rename the user attribute."
            yield Problem(Rank.ADVICE, "reserved_attribute", ("user_attributes", name), sentence)


def _batch_size(batch: Json, came: Circumstances) -> Iterator[Problem]:
    limit = came.max_batch_bytes
    if came.size_bytes > limit:
        sentence = f"The batch has {came.size_bytes} bytes, and {limit} are allowed: divide its events."
        yield Problem(Rank.SCHEMA, "batch_too_large", (), sentence, "Batch exceeds maximum size.")
    if len(events_of(batch)) > EVENTS_IN_BATCH:
        sentence = f"More than {EVENTS_IN_BATCH} events in one batch: divide it."
        yield Problem(Rank.LOSS, "too_many_events", ("events",), sentence)


def _history(batch: Json, came: Circumstances) -> Iterator[Problem]:
    if not came.historical:
        return
    times = [data.get("timestamp_unixtime_ms") for _, data, _ in _events(batch)]
    if not times:
        reason = "the batch has no events"
    elif any(not isinstance(time, int) for time in times):
        reason = "an event has no timestamp_unixtime_ms"
    elif any(isinstance(time, int) and came.now_unix_ms - time < HISTORICAL_MS for time in times):
        reason = "an event is less than 72 hours old; send it to /v2/bulkevents"
    else:
        return
    sentence = f"Historical data is not processed: {reason}."
    yield Problem(Rank.UNPROCESSED, "historical_not_processed", (), sentence)


_BATCH_RULES: tuple[Callable[[Json, Circumstances], Iterator[Problem]], ...] = (
    _environment,
    _content,
    _identity,
    _request_id,
    _partners,
    _user_agent,
    _reserved,
    _batch_size,
    _history,
)


def _commerce(kind: str, data: Json, path: JsonPath, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001
    present = [name for name in COMMERCE_VARIANTS if data.get(name) is not None]
    if kind == "commerce_event" and len(present) != 1:
        sentence = (
            f"A commerce event holds exactly one of {', '.join(COMMERCE_VARIANTS)}; not {len(present)}."
        )
        yield Problem(Rank.SCHEMA, "commerce_variants", path, sentence, "Exactly one action is required.")


def _session_start(kind: str, data: Json, path: JsonPath, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001
    further = [name for name in data if name not in SESSION_START_KEYS]
    if kind == "session_start" and further:
        sentence = f"session_start takes no further fields, and has {shown(', '.join(further))}: leave out."
        message = f'Additional property "{further[0]}" is not allowed.'
        yield Problem(Rank.SCHEMA, "session_start_fields", (*path, further[0]), sentence, message)


def _transition(kind: str, data: Json, path: JsonPath, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001
    first = data.get("application_transition_type") == "application_initialized"
    if kind == "application_state_transition" and not first and data.keys() & {"is_first_run", "is_upgrade"}:
        sentence = "is_first_run and is_upgrade belong to application_initialized alone."
        yield Problem(Rank.ADVICE, "transition_fields", path, sentence)


def _message_id(kind: str, data: Json, path: JsonPath, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001
    message_id = data.get("source_message_id")
    if isinstance(message_id, str) and not _UUID.fullmatch(message_id):
        sentence = f"source_message_id=`{shown(message_id)}` is no UUID, which mParticle asks for."
        yield Problem(Rank.ADVICE, "message_id_not_uuid", (*path, "source_message_id"), sentence)


def _time(kind: str, data: Json, path: JsonPath, came: Circumstances) -> Iterator[Problem]:  # noqa: ARG001
    time = data.get("timestamp_unixtime_ms")
    problem = time_problem(time, came, (*path, "timestamp_unixtime_ms"))
    if problem is not None:
        yield problem


def time_problem(time: object, came: Circumstances, path: JsonPath) -> Problem | None:
    """What is odd about the time of an event (milliseconds since 1970)."""
    if time is None:
        sentence = "timestamp_unixtime_ms is missing: mParticle takes the time of receipt."
        return Problem(Rank.ADVICE, "no_timestamp", path, sentence)
    if not isinstance(time, int):
        return None
    days = (came.now_unix_ms - time) / 86_400_000
    if time < came.now_unix_ms - OLD_MS and not came.historical:
        sentence = f"An event is {days:.0f} days old: check the unit (ms), or use /v2/bulkevents/historical."
        return Problem(Rank.ADVICE, "old_event", path, sentence)
    if time > came.now_unix_ms + FUTURE_MS:
        sentence = f"An event is {-days:.0f} days in the future: check the unit (ms) and the clock."
        return Problem(Rank.ADVICE, "future_event", path, sentence)
    return None


_EVENT_RULES: tuple[Callable[[str, Json, JsonPath, Circumstances], Iterator[Problem]], ...] = (
    _commerce,
    _session_start,
    _transition,
    _message_id,
    _time,
)


def cut_to_limits(batch: Json) -> tuple[Json, list[Problem]]:
    """What the service keeps of a sound batch, and what it cut; the batch itself when it cuts nothing."""
    problems: list[Problem] = []
    kept = dict(batch)
    if isinstance(batch.get("user_attributes"), dict):
        kept["user_attributes"] = _cut_map(part(batch, "user_attributes"), ("user_attributes",), problems)
    if isinstance(batch.get("events"), list):
        kept["events"] = [
            {**event, "data": _cut_data(part(event, "data"), ("events", index, "data"), problems)}
            for index, event in enumerate(events_of(batch))
        ]
    return (kept, problems) if problems else (batch, problems)


_NAME_LIMITS = {
    "event_name": NAME_CHARACTERS,
    "screen_name": NAME_CHARACTERS,
    "action_identifier": ACTION_CHARACTERS,
}


def _cut_data(data: Json, path: JsonPath, problems: list[Problem]) -> Json:
    kept = dict(data)
    for name, limit in _NAME_LIMITS.items():
        if isinstance(data.get(name), str):
            kept[name] = _cut_text(str(data[name]), limit, (*path, name), problems)
    if isinstance(data.get("custom_attributes"), dict):
        attributes_path = (*path, "custom_attributes")
        kept["custom_attributes"] = _cut_map(part(data, "custom_attributes"), attributes_path, problems)
    return kept


def _cut_map(attributes: Json, path: JsonPath, problems: list[Problem]) -> Json:
    name = path[-1]
    if len(attributes) > ATTRIBUTES:
        sentence = f"{name} has {len(attributes)} entries, and {ATTRIBUTES} are kept: send fewer attributes."
        problems.append(Problem(Rank.LOSS, f"too_many:{name}", path, sentence))
    kept: Json = {}
    for key, value in list(attributes.items())[:ATTRIBUTES]:
        short = _cut_text(key, NAME_CHARACTERS, (*path, key), problems, f"name:{name}")
        kept[short] = _cut_value(value, (*path, key), problems, f"value:{name}")
    return kept


def _cut_value(value: object, path: JsonPath, problems: list[Problem], what: str) -> object:
    if isinstance(value, str):
        return _cut_text(value, VALUE_CHARACTERS, path, problems, what)
    if not isinstance(value, list):
        return value
    if len(value) > LIST_ENTRIES:
        sentence = f"A list attribute has {len(value)} entries, and {LIST_ENTRIES} are kept: shorten it."
        problems.append(Problem(Rank.LOSS, "too_many:list", path, sentence))
    return [
        _cut_text(entry, ENTRY_CHARACTERS, path, problems, "entry") if isinstance(entry, str) else entry
        for entry in value[:LIST_ENTRIES]
    ]


def _cut_text(text: str, limit: int, path: JsonPath, problems: list[Problem], what: str = "") -> str:
    length = utf16_length(text)
    if length <= limit:
        return text
    subject = what or str(path[-1])
    sentence = f"{subject} `{shown(text[:20])}` has {length} characters and is cut to {limit}: shorten it."
    problems.append(Problem(Rank.LOSS, f"too_long:{subject}", path, sentence))
    return cut(text, limit)
