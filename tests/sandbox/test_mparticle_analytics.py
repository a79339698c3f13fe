"""The sandbox's mParticle Analytics over real HTTP: answers, users, rate, reason codes, hostile input."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from otel_vendor_exporters.sandbox import AnalyticsEvent, AnalyticsSwitches, MParticleAnalyticsApp, Sandbox

Json = dict[str, Any]
KEY = "k/1"
TIME_MS = 1_700_000_000_123
NOW_SECONDS = 1_700_000_001.0
LONG = "x" * 256
QUERY = f"/event?apiKey=k%2F1&eventName=a&eventUniqueId=u&eventTime={TIME_MS}"


class Clock:
    """A monotonic clock that stands still unless it is set."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


CLOCK = Clock()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    app = MParticleAnalyticsApp(api_key=KEY, now=lambda: NOW_SECONDS, clock=CLOCK)
    with Sandbox(mparticle_analytics=app) as started:
        yield started


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """One server for all tests, which knows nothing of the one before."""
    running.reset()
    return running


@pytest.fixture
def clock() -> Clock:
    CLOCK.seconds = 100.0
    return CLOCK


def send(
    sandbox: Sandbox, path: str, content: object = b"", method: str = "POST", kind: str = "application/json"
) -> int:
    """One call as it stands; the status."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    connection.request(method, f"/service{path}", body or None, {"Content-Type": kind})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def event(**more: Any) -> Json:
    """An event without a finding, but for what is added; None takes a field away."""
    whole = {"eventName": "tap", "eventUniqueId": "u", "eventTime": TIME_MS, **more}
    return {name: value for name, value in whole.items() if value is not None}


def keyed(**content: Any) -> Json:
    return {"apiKey": KEY, **content}


def track(sandbox: Sandbox, **more: Any) -> int:
    return send(sandbox, "/event", keyed(**event(**more)))


REGISTRATION = AnalyticsEvent("Registration", "user47", {"Gender": "Female", "Age": "23"}, TIME_MS)


def test_the_settings_point_here(sandbox: Sandbox) -> None:
    """`mparticle_analytics_settings` holds all a client needs."""
    base_url = f"{sandbox.url}/service"
    assert sandbox.mparticle_analytics_settings == {"api_key": KEY, "base_url": base_url}


def test_A1_A3_an_event_by_post_with_the_key_in_body_or_path(sandbox: Sandbox) -> None:
    """Both arrive alike; a key with a slash stands percent-encoded in the path."""
    content = {
        "eventName": "Registration",
        "eventUniqueId": "user47",
        "properties": {"Gender": "Female", "Age": "23"},
        "eventTime": TIME_MS,
    }
    assert send(sandbox, "/event", {"apiKey": KEY, **content}) == 200
    assert (
        send(sandbox, f"/event/{quote(KEY, safe='')}", content, kind="application/json; charset=utf-8") == 200
    )
    assert sandbox.received.mparticle_analytics.events == (REGISTRATION, REGISTRATION)
    assert sandbox.received.findings == ()


def test_A2_an_event_by_get(sandbox: Sandbox) -> None:
    """Names and values of properties come in pairs, percent-encoded."""
    query = (
        f"apiKey={quote(KEY, safe='')}&eventName=Registration&eventUniqueId=user47&eventTime={TIME_MS}"
        "&propertyNames=Gender&propertyValues=Female&propertyNames=Age&propertyValues=23"
    )
    assert send(sandbox, f"/event?{query}", method="GET") == 200
    more = "&propertyNames=a%20b&propertyValues=x%26y%C3%A9"
    assert send(sandbox, f"/event?{query}{more}", method="GET") == 200
    first, second = sandbox.received.mparticle_analytics.events
    assert (first, second.properties["a b"]) == (REGISTRATION, "x&yé")
    assert sandbox.received.findings == ()


def test_A4_A5_a_batch_holds_one_to_a_hundred_events(sandbox: Sandbox, clock: Clock) -> None:
    """An apiKey inside an event is disregarded; 101 are refused whole, and none is not allowed either."""
    events = [event(eventName=f"e{n}") for n in range(101)]
    assert send(sandbox, "/event/batch", keyed(events=[{**events[0], "apiKey": "other"}, events[1]])) == 200
    assert send(sandbox, "/event/batch", keyed(events=events[:100])) == 200
    assert send(sandbox, "/event/batch", keyed(events=events)) == 422
    assert send(sandbox, "/event/batch", keyed(events=[])) == 422
    assert len(sandbox.received.mparticle_analytics.events) == 102
    assert sandbox.received.codes == ("batch_size", "batch_size")


def test_A13_a_batch_with_one_bad_event_is_refused_whole(sandbox: Sandbox) -> None:
    """Nothing of it is kept."""
    events = [event(), event(eventName=""), event()]
    assert send(sandbox, "/event/batch", keyed(events=events)) == 422
    assert sandbox.received.mparticle_analytics.events == ()
    assert sandbox.received.codes == ("bad_length:eventName",)


def test_A6_A7_lengths_are_counted_as_the_server_counts(sandbox: Sandbox) -> None:
    """255 characters pass; a value is cut, never in the middle of a pair."""
    assert track(sandbox, eventName="x" * 255, properties={"a": "v" * 254 + "😀", "b": "v" * 300}) == 200
    (kept,) = sandbox.received.mparticle_analytics.events
    assert kept.properties == {"a": "v" * 254, "b": "v" * 255}
    assert sandbox.received.codes == ("property_cut", "property_cut")


def test_A10_A11_A12_users(sandbox: Sandbox) -> None:
    """Identify, alias, suppress, delete: streams merge, and nothing more is taken of who is gone."""
    received = sandbox.received.mparticle_analytics
    track(sandbox, eventUniqueId="anon-1", eventName="visit")
    track(sandbox, eventUniqueId="user47", eventName="login", eventTime=TIME_MS + 5)
    assert send(sandbox, "/identify", keyed(uniqueId="user47", properties={"plan": "pro"})) == 200
    assert send(sandbox, "/alias", keyed(previousId="anon-1", newId="user47")) == 200
    track(
        sandbox, eventUniqueId="anon-1", eventName="late", eventTime=TIME_MS + 9, properties={"plan": "max"}
    )

    user = received.user("anon-1")
    assert (user.ids, user.properties) == ({"anon-1", "user47"}, {"plan": "max"})
    assert [one.name for one in user.events] == ["visit", "login", "late"]
    assert sandbox.received.findings == ()

    assert send(sandbox, "/suppress", keyed(uniqueId="user47")) == 200
    assert track(sandbox, eventUniqueId="anon-1") == 200
    assert send(sandbox, "/identify", keyed(uniqueId="user47", properties={"plan": "x"})) == 200
    assert len(received.user("user47").events) == 3
    assert (received.user("user47").suppressed, received.user("user47").deleted) == (True, False)
    assert send(sandbox, "/delete", keyed(uniqueId="user47")) == 200
    assert (received.user("user47").events, received.user("user47").properties) == ([], {})
    assert sandbox.received.codes == ("suppressed_user", "suppressed_user")
    with pytest.raises(LookupError):
        received.user("nobody")


def test_A11_aliases_that_should_not_be(sandbox: Sandbox) -> None:
    """To itself, twice, or of somebody known: each is told."""
    for previous, new in (("u", "u"), ("anon", "u"), ("anon", "u"), ("u", "v")):
        assert send(sandbox, "/alias", keyed(previousId=previous, newId=new)) == 200
    assert sandbox.received.codes == ("alias_to_itself", "alias_repeated", "alias_of_known_user")
    (user,) = sandbox.received.mparticle_analytics.users
    assert user.ids == {"anon", "u", "v"}


ALIASES: list[tuple[str, list[tuple[str, str]], tuple[str, ...]]] = [
    ("of a visitor to a user", [("a", "u")], ()),
    ("of two visitors to one user", [("a", "u"), ("b", "u")], ()),
    ("of a user to another user", [("a", "u"), ("b", "v"), ("u", "v")], ("alias_of_two_users",)),
    ("of a visitor of one user to another", [("a", "u"), ("b", "v"), ("a", "v")], ("alias_of_two_users",)),
    ("of a visitor to a second user", [("a", "u"), ("a", "v")], ("alias_of_known_user",)),
    ("of a user to a visitor", [("a", "u"), ("u", "a")], ("alias_repeated",)),
    ("of a user identified to a visitor", [("identify", "u"), ("a", "u")], ()),
    ("of a visitor identified to a user", [("identify", "a"), ("a", "u")], ()),
    (
        "of two who were identified",
        [("identify", "u"), ("identify", "v"), ("u", "v")],
        ("alias_of_identified_users",),
    ),
    (
        "of two users, also identified",
        [("a", "u"), ("b", "v"), ("identify", "u"), ("identify", "v"), ("u", "v")],
        ("alias_of_two_users",),
    ),
]


@pytest.mark.parametrize(("calls", "codes"), [row[1:] for row in ALIASES], ids=[row[0] for row in ALIASES])
def test_A11_an_alias_that_makes_one_of_two_users_is_told(
    sandbox: Sandbox, calls: list[tuple[str, str]], codes: tuple[str, ...]
) -> None:
    """Merging cannot be undone: users known to be two are an error, two who were identified a warning."""
    for one, other in calls:
        if one == "identify":
            assert send(sandbox, "/identify", keyed(uniqueId=other, properties={})) == 200
        else:
            assert send(sandbox, "/alias", keyed(previousId=one, newId=other)) == 200

    assert sandbox.received.codes == codes
    severities = {"alias_of_two_users": "error", "alias_of_known_user": "error"}
    assert [finding.severity for finding in sandbox.received.findings] == [
        severities.get(code, "warning") for code in codes
    ]


def test_A16_the_rate_is_that_of_any_one_second(sandbox: Sandbox, clock: Clock) -> None:
    """The 251st event in a second is told; ordered, it is refused with 429."""
    hundred = keyed(events=[event()] * 100)
    for seconds, expected in ((100.0, 0), (100.4, 0), (101.01, 0), (101.02, 1), (103.0, 0)):
        clock.seconds = seconds
        before = len(sandbox.received.findings)
        assert send(sandbox, "/event/batch", hundred) == 200
        assert len(sandbox.received.findings) - before == expected
    assert set(sandbox.received.codes) == {"over_rate"}

    sandbox.mparticle_analytics.switches = AnalyticsSwitches(refuse_over_rate=True)
    assert [send(sandbox, "/event/batch", hundred) for _ in range(2)] == [200, 429]
    sandbox.reset()
    assert send(sandbox, "/event/batch", hundred) == 200


def test_A14_A15_faults_are_ordered_by_call(sandbox: Sandbox) -> None:
    """A 503 for identify leaves tracking alone."""
    sandbox.answer_next(503, on="identify")
    assert track(sandbox) == 200
    assert send(sandbox, "/identify", keyed(uniqueId="u")) == 503
    assert send(sandbox, "/identify", keyed(uniqueId="u")) == 200


SINGLE: list[tuple[str, str, int, Json]] = [
    ("missing:eventName", "error", 422, event(eventName=None)),
    ("missing:eventUniqueId", "error", 422, {**event(), "eventUniqueId": None}),
    ("wrong_type:eventName", "error", 400, event(eventName=5)),
    ("bad_length:eventName", "error", 422, event(eventName=LONG)),
    ("bad_length:eventUniqueId", "error", 422, event(eventUniqueId="")),
    ("wrong_type:properties", "error", 400, event(properties=[])),
    ("wrong_type:eventTime", "error", 400, event(eventTime=True)),
    ("bad_time", "error", 422, event(eventTime="yesterday")),
    ("bad_time", "error", 422, event(eventTime="")),
    ("negative_time", "error", 422, event(eventTime=-1)),
    ("time_in_seconds", "warning", 200, event(eventTime=1_700_000_000)),
    ("future_event", "warning", 200, event(eventTime=TIME_MS + 2 * 86_400_000)),
    ("unknown_field:eventname", "error", 200, event(eventname="x")),
    ("property_name", "warning", 200, event(properties={LONG: "x"})),
    ("property_null", "warning", 200, event(properties={"a": None})),
    ("property_nested", "error", 200, event(properties={"a": {"b": "c"}})),
    ("property_nested", "error", 200, event(properties={"a": ["b"]})),
    ("property_not_string", "warning", 200, event(properties={"a": 1})),
    ("property_cut", "error", 200, event(properties={"a": LONG})),
]


@pytest.mark.parametrize(("code", "severity", "status", "content"), SINGLE, ids=[row[0] for row in SINGLE])
def test_each_reason_for_an_event(
    sandbox: Sandbox, code: str, severity: str, status: int, content: Json
) -> None:
    """Alone and in a batch: the documented status, exactly this finding, nothing kept when refused."""
    for path, body in (("/event", keyed(**content)), ("/event/batch", keyed(events=[content]))):
        sandbox.reset()
        assert send(sandbox, path, body) == status
        (found,) = sandbox.received.findings
        assert (found.code, found.severity) == (code, severity)
        assert len(sandbox.received.mparticle_analytics.events) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    ("code", "status", "method", "path", "content"),
    [
        ("missing_key", 400, "POST", "/event", event()),
        ("wrong_key", 400, "POST", "/event", {"apiKey": "x", **event()}),
        ("wrong_key", 400, "POST", "/event/x", event()),
        ("key_twice", 200, "POST", "/event/k%2F1", keyed(**event())),
        ("bad_method", 405, "PUT", "/event", keyed(**event())),
        ("bad_method", 405, "GET", "/identify", b""),
        ("bad_method", 405, "GET", "/event/batch", b""),
        ("body_too_large", 413, "POST", "/event", keyed(**event(properties={"a": "x" * 1_000_000}))),
        ("bad_json", 400, "POST", "/event", b'{"apiKey":'),
        ("bad_json", 400, "POST", "/event", b'{"eventTime":NaN}'),
        ("not_an_object", 400, "POST", "/event", []),
        ("bad_events", 400, "POST", "/event/batch", keyed(events={})),
        ("bad_events", 400, "POST", "/event/batch", keyed(events=[5])),
        ("no_event_time", 200, "POST", "/event/batch", keyed(events=[event(eventTime=None)])),
        ("missing:uniqueId", 422, "POST", "/suppress", keyed()),
        ("missing:newId", 422, "POST", "/alias", keyed(previousId="a")),
        ("bad_length:uniqueId", 422, "POST", "/delete", keyed(uniqueId="")),
        ("unknown_field:properties", 200, "POST", "/delete", keyed(uniqueId="u", properties={})),
        (
            "property_pairs",
            422,
            "GET",
            "/event?apiKey=k%2F1&eventName=a&eventUniqueId=u&propertyNames=a",
            b"",
        ),
        (
            "property_length",
            422,
            "GET",
            "/event?apiKey=k%2F1&eventName=a&eventUniqueId=u&propertyNames=a&propertyValues=",
            b"",
        ),
        ("bad_percent_encoding", 400, "GET", f"{QUERY}&propertyNames=%zz&propertyValues=a", b""),
        ("duplicate_param", 200, "GET", f"{QUERY}&eventName=b", b""),
    ],
)
def test_each_reason_for_a_call(
    sandbox: Sandbox, code: str, status: int, method: str, path: str, content: object
) -> None:
    """The documented status, and exactly this finding."""
    assert send(sandbox, path, content, method) == status
    assert sandbox.received.codes == (code,)


def test_a_field_that_stands_twice_and_another_content_type_are_refused(sandbox: Sandbox) -> None:
    """Both are bad syntax."""
    twice = json.dumps(keyed(**event())).replace("{", '{"eventName": "x", ', 1).encode()
    assert send(sandbox, "/event", twice) == 400
    assert send(sandbox, "/event", keyed(**event()), kind="text/plain") == 400
    assert sandbox.received.codes == ("repeated_key", "bad_content_type")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1_700_000_000, 1_700_000_000_000),
        (TIME_MS, TIME_MS),
        (1_700_000_000.5, 1_700_000_000_500),
        ("2023-11-14T22:13:20+00:00", 1_700_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        (None, int(NOW_SECONDS * 1000)),
    ],
)
def test_times_are_read_as_the_server_reads_them(sandbox: Sandbox, given: object, kept: int) -> None:
    """Seconds or milliseconds by size, ISO 8601, or the time of receipt."""
    assert track(sandbox, eventTime=given) == 200
    assert sandbox.received.mparticle_analytics.events[0].time_unix_ms == kept


HOSTILE = (
    *(b"", b"null", b"5", b"\xff", b"{" * 200_000, b"[" * 200_000, b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
    b'{"apiKey":"k/1","eventTime":1e999,"eventName":"a","eventUniqueId":"u"}',
    b'{"apiKey":"k/1","eventTime":' + b"9" * 400 + b',"eventName":"\\ud800","eventUniqueId":{}}',
    b'{"apiKey":["k"],"events":[null,[],{"eventName":[]}],"properties":{"\\ud800":"\\ud800"}}',
    b'{"apiKey":"k/1","uniqueId":"u","previousId":5,"newId":null,' + b'"a":1,' * 20_000 + b'"b":1}',
    b'{"events":[' + b"{}," * 50_000 + b"{}]}",
)


def test_hostile_bodies_are_answered_and_the_sandbox_goes_on(sandbox: Sandbox) -> None:
    """Every path answers 400 or 422 to each, within bounds, and the next event is taken."""
    for path in ("/event", "/event/batch", "/identify", "/alias", "/suppress", "/delete"):
        for body in HOSTILE:
            assert send(sandbox, path, body) in (400, 422), (path, body[:60])
    assert all(len(record.findings) <= 100 for record in sandbox.received.records)
    assert track(sandbox) == 200
    json.dumps(sandbox.as_wire())


def test_many_clients_at_once_are_counted_exactly(sandbox: Sandbox) -> None:
    """Eight clients, 400 events of 20 users, one of them suppressed before."""
    send(sandbox, "/suppress", keyed(uniqueId="u0"))

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(lambda n: track(sandbox, eventUniqueId=f"u{n % 20}"), range(400)))

    received = sandbox.received.mparticle_analytics
    assert statuses == {200: 400}
    assert Counter(len(user.events) for user in received.users) == {20: 19, 0: 1}
    told = Counter(sandbox.received.codes)
    assert told == {"suppressed_user": 20, "over_rate": 150}


def test_other_processes_see_what_arrived(sandbox: Sandbox) -> None:
    """received.json tells events, users and refusals."""
    track(sandbox)
    track(sandbox, eventName="")
    wire: Any = sandbox.as_wire()
    assert wire["vendors"]["mparticle_analytics"] == {"events": {"tap": 1}, "users": 1, "refused": 1}
