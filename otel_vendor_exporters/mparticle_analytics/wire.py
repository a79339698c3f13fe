"""
The calls of the Analytics REST API: typed values, checked when they are made, and their exact bytes.

Pure. Source: "REST API" of mParticle Analytics. An API key is never part of a value or of its content; it is
put into the request at the moment of sending. No repr shows who or what it is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring
from types import MappingProxyType
from urllib.parse import quote as _percent_encoded

from otel_vendor_exporters.delivery.request import Request
from otel_vendor_exporters.errors import EncodingError
from otel_vendor_exporters.mparticle_analytics.texts import fits, has_lone_surrogate, property_texts
from otel_vendor_exporters.mparticle_analytics.units import Kind, Unit

MOST_EVENTS = 100  # of a batch, as the document recommends
MOST_BODY_BYTES = 900_000  # Snowplow's relay, built with the vendor, names 1 MB
MOST_URL_BYTES = 8_000  # common servers and proxies refuse more
LEAST_UNIX_MS = 100_000_000_000  # less would be read as seconds
MOST_UNIX_MS = 253_402_300_799_999  # the end of the year 9999; nanoseconds are more
quoted = encode_basestring  # a text as JSON; what json.dumps itself calls
_CLIENT = "otel-vendor-exporters"


@dataclass(frozen=True, slots=True)
class AnalyticsEvent:
    """
    One event of one user; `time_unix_ms` None is the time of the call.

    Properties become texts; `left_out` counts what was cut or had no place. Raises EncodingError.
    """

    name: str
    user_id: str = field(repr=False)
    properties: Mapping[str, object] = field(default_factory=dict, repr=False)
    time_unix_ms: int | None = None
    texts: Mapping[str, str] = field(init=False, repr=False, compare=False)
    left_out: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check names, ids and time; write the properties down."""
        check_text("name", self.name)
        check_id("user_id", self.user_id)
        if self.time_unix_ms is not None and not is_time(self.time_unix_ms):
            message = "time_unix_ms takes milliseconds since the epoch, from March 1973 on"
            raise EncodingError(message, field="time_unix_ms")
        _write_texts(self)

    def unit(self, now_unix_ms: int) -> Unit:
        """What is kept and sent by POST."""
        time_unix_ms = now_unix_ms if self.time_unix_ms is None else self.time_unix_ms
        pairs = joined(pair(name, text) for name, text in self.texts.items())
        content = event_content(quoted(self.name), self.user_id, pairs, time_unix_ms)
        return Unit(Kind.EVENT, (self.user_id,), content)

    def get_unit(self, now_unix_ms: int) -> Unit:
        """What is kept and sent by GET; raises EncodingError for what makes no sensible URL."""
        time_unix_ms = now_unix_ms if self.time_unix_ms is None else self.time_unix_ms
        names = {"eventName": self.name, "eventUniqueId": self.user_id, "eventTime": str(time_unix_ms)}
        query = list(names.items())
        for name, text in self.texts.items():
            if text:  # propertyValues are 1 to 255 characters long
                query += [("propertyNames", name), ("propertyValues", text)]
        content = "&".join(f"{name}={percent_encoded(text)}" for name, text in query).encode("ascii")
        if len(content) > MOST_URL_BYTES:
            message = f"properties make a URL of {len(content)} bytes: send them by POST"
            raise EncodingError(message, field="properties")
        return Unit(Kind.GET_EVENT, (self.user_id,), content)


@dataclass(frozen=True, slots=True)
class Identify:
    """User properties, which stay until they are set again. Raises EncodingError."""

    user_id: str = field(repr=False)
    properties: Mapping[str, object] = field(repr=False)
    texts: Mapping[str, str] = field(init=False, repr=False, compare=False)
    left_out: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the id; write the properties down."""
        check_id("user_id", self.user_id)
        _write_texts(self)
        if not self.texts:
            raise EncodingError("properties are empty", field="properties")

    def unit(self) -> Unit:
        """What is kept and sent."""
        return identify_unit(self.user_id, self.texts)


@dataclass(frozen=True, slots=True)
class Alias:
    """Two ids of one user: streams and profiles are merged, which cannot be undone. Raises EncodingError."""

    previous_id: str = field(repr=False)
    new_id: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check both ids."""
        check_id("previous_id", self.previous_id)
        check_id("new_id", self.new_id)
        if self.previous_id == self.new_id:
            raise EncodingError("previous_id and new_id are the same", field="new_id")

    def unit(self) -> Unit:
        """What is kept and sent."""
        ids = {"previousId": self.previous_id, "newId": self.new_id}
        return Unit(Kind.ALIAS, (self.previous_id, self.new_id), _object(ids))


@dataclass(frozen=True, slots=True)
class Suppress:
    """From now on Analytics ignores what comes of this user. Raises EncodingError."""

    user_id: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the id."""
        check_id("user_id", self.user_id)

    def unit(self) -> Unit:
        """What is kept and sent."""
        return Unit(Kind.SUPPRESS, (self.user_id,), _object({"uniqueId": self.user_id}))


@dataclass(frozen=True, slots=True)
class Delete:
    """Analytics deletes the user's data for ever and suppresses what comes. Raises EncodingError."""

    user_id: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the id."""
        check_id("user_id", self.user_id)

    def unit(self) -> Unit:
        """What is kept and sent."""
        return Unit(Kind.DELETE, (self.user_id,), _object({"uniqueId": self.user_id}))


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go, and whose they are; the same for all of them."""

    base_url: str
    api_key: str = field(repr=False)
    key_in: str = "body"
    user_agent: str = _CLIENT

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request."""
        return _headers(self.user_agent)


def request_for(units: Sequence[Unit], address: Address) -> Request:
    """The request for one unit, or for several events by POST."""
    if len(units) > 1:
        return _batch_request(units, address)
    (unit,) = units
    if unit.kind is Kind.GET_EVENT:
        query = f"apiKey={percent_encoded(address.api_key)}&{unit.content.decode('ascii')}"
        return Request("GET", f"{address.base_url}/event?{query}", address.headers)
    url = f"{address.base_url}/{unit.kind.value}"
    if address.key_in == "path":
        return Request("POST", f"{url}/{percent_encoded(address.api_key)}", address.headers, unit.content)
    return Request("POST", url, address.headers, _key_member(address.api_key) + unit.content[1:])


def batch_bytes(units: Iterable[Unit], api_key: str) -> int:
    """How long the body of a batch is."""
    return batch_overhead_bytes(api_key) + sum(len(unit.content) + 1 for unit in units)


def batch_overhead_bytes(api_key: str) -> int:
    """What a batch's body holds beside its events and the commas behind them."""
    return len(_key_member(api_key)) + len(b'"events":[]}') - 1


def event_content(name_json: str, user_id: str, properties_json: str, time_unix_ms: int) -> bytes:
    """The JSON of one event; `name_json` and `properties_json` are JSON already, for speed."""
    text = (
        f'{{"eventName":{name_json},"eventUniqueId":{quoted(user_id)},'
        f'"properties":{{{properties_json}}},"eventTime":{time_unix_ms}}}'
    )
    return text.encode("utf-8", "replace")  # a lone surrogate becomes a question mark


def identify_unit(user_id: str, texts: Mapping[str, str]) -> Unit:
    """The unit of an identify call whose values are known to be right."""
    pairs = joined(pair(name, text) for name, text in texts.items())
    content = f'{{"uniqueId":{quoted(user_id)},"properties":{{{pairs}}}}}'.encode("utf-8", "replace")
    return Unit(Kind.IDENTIFY, (user_id,), content)


def pair(name: str, text: str) -> str:
    """One property as a member of a JSON object."""
    return f"{quoted(name)}:{quoted(text)}"


def joined(pairs: Iterable[str]) -> str:
    """Members of a JSON object, without its braces."""
    return ",".join(pairs)


def is_time(unix_ms: object) -> bool:
    """Whether the server would read this as milliseconds since the epoch."""
    return type(unix_ms) is int and LEAST_UNIX_MS <= unix_ms <= MOST_UNIX_MS


def check_text(field_name: str, text: object) -> None:
    """Raise EncodingError unless Analytics takes this as a name or id."""
    if not isinstance(text, str) or not fits(text):
        raise EncodingError(f"{field_name} takes a text of 1 to 255 characters", field=field_name)


def check_id(field_name: str, text: object) -> None:
    """As `check_text`; besides, what UTF-8 cannot hold would be somebody else's id."""
    check_text(field_name, text)
    if has_lone_surrogate(str(text)):
        raise EncodingError(f"{field_name} holds half a character", field=field_name)


def percent_encoded(text: str) -> str:
    """`text` for a query or a path; a lone surrogate becomes a question mark."""
    return _percent_encoded(text, safe="", encoding="utf-8", errors="replace")


def _batch_request(units: Sequence[Unit], address: Address) -> Request:
    """The key is always in the body: a path with it is not documented for batches."""
    assert all(unit.kind is Kind.EVENT for unit in units)  # what packing puts together
    events = b",".join([unit.content for unit in units])
    body = b'%b"events":[%b]}' % (_key_member(address.api_key), events)
    return Request("POST", f"{address.base_url}/event/batch", address.headers, body)


def _object(ids: Mapping[str, str]) -> bytes:
    return ("{" + joined(pair(name, text) for name, text in ids.items()) + "}").encode()


def _write_texts(value: AnalyticsEvent | Identify) -> None:
    if not isinstance(value.properties, Mapping):
        raise EncodingError("properties take a mapping", field="properties")
    left_out: Counter[str] = Counter()
    texts = property_texts(value.properties, left_out)
    object.__setattr__(value, "texts", MappingProxyType(texts))
    object.__setattr__(value, "left_out", MappingProxyType(dict(left_out)))


@lru_cache(maxsize=16)
def _key_member(api_key: str) -> bytes:
    return f'{{"apiKey":{quoted(api_key)},'.encode()


@lru_cache(maxsize=16)
def _headers(user_agent: str) -> Mapping[str, str]:
    """Official clients name themselves in Indicative-Client."""
    return MappingProxyType(
        {
            "User-Agent": user_agent,
            "Content-Type": "application/json; charset=utf-8",
            "Indicative-Client": user_agent.partition(" ")[0],
        }
    )
