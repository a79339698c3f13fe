"""
Reading one call to mParticle Analytics: what each field may hold, and what a wrong one is answered with.

Pure. Written from contract/analytics.md sections 1, 2 and 6 ("REST API"); characters are UTF-16 units.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from otel_vendor_exporters.sandbox.exchange import Pairs, cut, shown, utf16_length
from otel_vendor_exporters.sandbox.inbox import Finding, Severity
from otel_vendor_exporters.sandbox.mparticle_analytics.users import Action, AnalyticsEvent

MAX_CHARACTERS = 255
MAX_BATCH = 100
MAX_FINDINGS = 100
FUTURE_MS = 86_400_000
# A number below it is read as seconds (inferred: the server tells them apart by size).
FIRST_MILLISECONDS = 10**11
BEYOND_ALL_TIME = 10**18
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_ID_FIELDS: Mapping[Action, tuple[str, ...]] = {
    "track": ("eventName", "eventUniqueId"),
    "identify": ("uniqueId",),
    "alias": ("previousId", "newId"),
    "suppress": ("uniqueId",),
    "delete": ("uniqueId",),
}
_FURTHER_FIELDS: Mapping[Action, tuple[str, ...]] = {
    "track": ("properties", "eventTime"),
    "identify": ("properties",),
    "alias": (),
    "suppress": (),
    "delete": (),
}

Json = dict[str, object]


@dataclass(slots=True)
class Reading:
    """What has been found of one call so far, and the status it is answered with."""

    now_unix_ms: int
    status: int = 200
    findings: list[Finding] = field(default_factory=list)

    def refuse(self, status: int, code: str, sentence: str) -> None:
        """Note what the call is refused for; bad syntax (400) counts more than a bad value (422)."""
        self.status = min(status, self.status) if self.status != 200 else status
        self.say(code, sentence)

    def say(self, code: str, sentence: str, severity: Severity = "error") -> None:
        """Note a finding, up to a bound."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, severity, sentence))


def read_call(action: Action, content: Json, reading: Reading) -> None:
    """Check the fields of a call that is no batch."""
    _check_names(content, ("apiKey", *_ID_FIELDS[action], *_FURTHER_FIELDS[action]), reading)
    for name in _ID_FIELDS[action]:
        _check_text(content, name, reading)
    if "properties" in _FURTHER_FIELDS[action]:
        _check_properties(content.get("properties"), reading)
    if action == "track":
        _check_time(content.get("eventTime"), reading)


def events_of(content: Json, reading: Reading) -> list[Json]:
    """Check a batch and each of its events."""
    _check_names(content, ("apiKey", "events"), reading)
    events = content.get("events")
    if not isinstance(events, list):
        reading.refuse(400, "bad_events", "events must be an array of events.")
        return []
    if not 1 <= len(events) <= MAX_BATCH:
        sentence = f"{len(events)} events in one batch: from 1 to {MAX_BATCH} are allowed."
        reading.refuse(422, "batch_size", sentence)
    for event in events:
        if not isinstance(event, dict):
            reading.refuse(400, "bad_events", "each of events must be an object.")
            continue
        read_call("track", event, reading)
        if event.get("eventTime") is None:
            sentence = "An event of a batch has no eventTime and gets the time of receipt: always send it."
            reading.say("no_event_time", sentence, "warning")
    return [event for event in events if isinstance(event, dict)]


def content_of_query(sent: Pairs, reading: Reading) -> Json:
    """The JSON form of an event that came as a query."""
    if not sent.clean or not sent.complete:
        reading.refuse(400, "bad_percent_encoding", "The query is not percent-encoded UTF-8, or has no end.")
    names = [value for name, value in sent.pairs if name == "propertyNames"]
    values = [value for name, value in sent.pairs if name == "propertyValues"]
    if len(names) != len(values):
        sentence = f"{len(names)} propertyNames and {len(values)} propertyValues: one value for each name."
        reading.refuse(422, "property_pairs", sentence)
    for text in (*names, *values):
        if not 1 <= utf16_length(text) <= MAX_CHARACTERS:
            sentence = f"propertyNames and propertyValues have 1 to {MAX_CHARACTERS} characters in a query."
            reading.refuse(422, "property_length", sentence)
            break
    others = [pair for pair in sent.pairs if pair[0] not in ("propertyNames", "propertyValues")]
    for name, count in Counter(name for name, _ in others).items():
        if count > 1:
            reading.say("duplicate_param", f"`{shown(name)}` stands more than once: the first counts.")
    content: Json = dict(reversed(others))
    time = content.get("eventTime")
    if isinstance(time, str) and _WHOLE.fullmatch(time):
        content["eventTime"] = int(time)
    return {**content, "properties": dict(zip(names, values, strict=False))} if names else content


def event_from(content: Json, now_unix_ms: int) -> AnalyticsEvent:
    """A sound event as Analytics keeps it."""
    time = milliseconds(content.get("eventTime"))
    return AnalyticsEvent(
        name=str(content["eventName"]),
        user_id=str(content["eventUniqueId"]),
        properties=kept_properties(content.get("properties")),
        time_unix_ms=now_unix_ms if time is None else time,
    )


def kept_properties(properties: object) -> Json:
    """Properties with their values cut."""
    given = properties if isinstance(properties, dict) else {}
    return {
        name: cut(value, MAX_CHARACTERS) if isinstance(value, str) else value
        for name, value in given.items()
        if value is not None and not isinstance(value, (dict, list))
    }


def milliseconds(time: object) -> int | None:
    """An eventTime as the server reads it; None for what is no time."""
    if isinstance(time, bool) or not isinstance(time, (int, float, str)):
        return None
    if isinstance(time, str):
        return _iso_milliseconds(time)
    if not abs(time) < BEYOND_ALL_TIME:  # so that NaN and the infinities are beyond it too
        return None
    return int(time if abs(time) >= FIRST_MILLISECONDS else time * 1_000)


def _iso_milliseconds(text: str) -> int | None:
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
        aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
        return int(aware.timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def _check_names(content: Json, known: tuple[str, ...], reading: Reading) -> None:
    by_lower = {name.lower(): name for name in known}
    for name in content:
        if name not in known:
            right = by_lower.get(name.lower())
            advice = f"write `{right}`, capitals count" if right else f"there is {', '.join(known)}"
            reading.say(f"unknown_field:{shown(name)}", f"`{shown(name)}` is not known: {advice}.")


def _check_text(content: Json, name: str, reading: Reading) -> None:
    text = content.get(name)
    if text is None:
        reading.refuse(422, f"missing:{name}", f"{name} is required and is missing or null.")
    elif not isinstance(text, str):
        reading.refuse(400, f"wrong_type:{name}", f"{name} must be a string.")
    elif not 1 <= utf16_length(text) <= MAX_CHARACTERS:
        sentence = f"{name} has {utf16_length(text)} characters: from 1 to {MAX_CHARACTERS} are allowed."
        reading.refuse(422, f"bad_length:{name}", sentence)


def _check_properties(properties: object, reading: Reading) -> None:
    if properties is None:
        return
    if not isinstance(properties, dict):
        reading.refuse(400, "wrong_type:properties", "properties must be an object of names and strings.")
        return
    for name, value in properties.items():
        for code, severity, sentence in _wrong_property(name, value):
            reading.say(code, sentence, severity)


def _wrong_property(name: str, value: object) -> Iterator[tuple[str, Severity, str]]:
    if not 1 <= utf16_length(name) <= MAX_CHARACTERS:
        sentence = (
            f"A property name has {utf16_length(name)} characters: 1 to {MAX_CHARACTERS} are documented."
        )
        yield "property_name", "warning", sentence
    if value is None:
        yield "property_null", "warning", f"property `{shown(name)}` is null: leave it out."
    elif isinstance(value, (dict, list)):
        sentence = f"property `{shown(name)}` is nested: flatten maps (a.b), join lists with commas."
        yield "property_nested", "error", sentence
    elif not isinstance(value, str):
        yield (
            "property_not_string",
            "warning",
            f"property `{shown(name)}` must be a string: write it as text.",
        )
    elif utf16_length(value) > MAX_CHARACTERS:
        sentence = (
            f"property `{shown(name)}` has {utf16_length(value)} characters and is cut to 255: shorten it."
        )
        yield "property_cut", "error", sentence


def _check_time(time: object, reading: Reading) -> None:
    if time is None:
        return
    if isinstance(time, bool) or not isinstance(time, (int, float, str)):
        reading.refuse(400, "wrong_type:eventTime", "eventTime must be milliseconds since 1970.")
        return
    read = milliseconds(time)
    if read is None:
        reading.refuse(422, "bad_time", f"eventTime `{shown(str(time))}` is neither a number nor ISO 8601.")
    elif read < 0:
        reading.refuse(422, "negative_time", "eventTime is before 1970: the event is rejected.")
    elif not isinstance(time, str) and time < FIRST_MILLISECONDS:
        reading.say("time_in_seconds", "eventTime is read as seconds: send milliseconds.", "warning")
    elif read > reading.now_unix_ms + FUTURE_MS:
        reading.say("future_event", "eventTime is over a day ahead: check unit (ms) and clock.", "warning")
