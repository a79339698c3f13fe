"""What the sandbox's page is made of, over real HTTP: its files, stream, windows, masks and conditions."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from otel_vendor_exporters.sandbox import Beacon, MPulseApp, Sandbox, Timer
from otel_vendor_exporters.sandbox.inbox import Inbox
from otel_vendor_exporters.sandbox.page.sections import POINTS, Series, Timings
from tests.sandbox.wire import Wire

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "otel_vendor_exporters" / "sandbox"
ANALYTICS = {"eventName": "Paid", "eventUniqueId": "u-1", "properties": {"plan": "pro"}}
JSON = {"Content-Type": "application/json"}


@contextmanager
def stream(wire: Wire) -> Iterator[Iterator[dict[str, Any]]]:
    """The page's stream, event by event; `hello` stands under its name."""
    with closing(HTTPConnection(*wire.address, timeout=5)) as connection:
        connection.request("GET", "/sandbox/stream", headers={"Accept": "text/event-stream"})
        reply = connection.getresponse()
        assert reply.headers["Content-Type"] == "text/event-stream"

        def events() -> Iterator[dict[str, Any]]:
            kind = ""
            while line := reply.readline().decode().rstrip("\n"):
                kind = line.partition("event: ")[2]
                line = reply.readline().decode().rstrip("\n") if kind else line
                assert reply.readline() == b"\n"
                if line.startswith("data: "):
                    content = json.loads(line.removeprefix("data: "))
                    yield {"hello": content} if kind else content

        yield events()


def asked(wire: Wire, path: str, **query: object) -> Any:
    reply = wire.ask("GET", f"/sandbox/{path}?{urlencode(query)}")
    assert reply.status == 200, reply
    return reply.json


def requests(wire: Wire, **query: object) -> Any:
    """The rows, after the page has looked: the board reads only for those who listen."""
    with stream(wire) as events:
        next(events)
        while next(events)["behind"]:
            pass
    return asked(wire, "requests", **query)


def track(wire: Wire, **changes: object) -> None:
    key = wire.sandbox.mparticle_analytics.api_key
    wire.ask("POST", "/service/event", json.dumps({"apiKey": key, **ANALYTICS, **changes}).encode(), JSON)


def test_browsers_get_the_page_and_the_rest_text(wire: Wire) -> None:
    """At / a browser finds the page and curl a summary; nothing of the page comes from elsewhere."""
    page = wire.ask("GET", "/", headers={"Accept": "text/html,*/*"})
    text = wire.ask("GET", "/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert text.body.startswith(b"otel_vendor_exporters sandbox")
    assert wire.ask("GET", "/sandbox/").body == page.body
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"http" not in page.body.replace(b"http://www.w3.org/2000/svg", b"")
    for name in (
        "page.css",
        "page.js",
        "page_detail.js",
        "page_findings.js",
        "page_list.js",
        "page_names.js",
        "page_panels.js",
    ):
        part = wire.ask("GET", f"/sandbox/{name}")
        assert part.status == 200
        assert part.body
        assert b"://" not in part.body.replace(b"http://www.w3.org/2000/svg", b"")


def test_a_page_from_elsewhere_is_kept_out(wire: Wire) -> None:
    """Neither what arrived nor the conditions are for other web pages."""
    for method, path in (("GET", "stream"), ("GET", "requests"), ("POST", "clear"), ("POST", "condition")):
        reply = wire.ask(method, f"/sandbox/{path}", headers={"Origin": "https://elsewhere.example"})
        assert reply.status == 403


def test_the_stream_tells_increments(sandbox: Sandbox, wire: Wire) -> None:
    """First everything, then what changed alone, as it arrives; after a clearing everything anew."""
    wire.beacon({"t_other": "custom0|10", "cmet.MyMetric": "2", "cdim.Visibility_State": "visible"})
    with stream(wire) as events:
        assert [panel["name"] for panel in next(events)["hello"]["panels"]] == [
            "mpulse",
            "mparticle",
            "mparticle_analytics",
        ]
        first = next(events)
        wire.beacon({"t_other": "custom1|20"})
        second = next(one for one in events if one["sections"])
        sandbox.inbox.clear()
        third = next(one for one in events if one["cleared"])

    assert first["requests"] == {"mpulse": 2}
    assert first["sections"]["mpulse.timers"][0]["name"] == "MyTimer"
    assert first["sections"]["mpulse.metrics"][0]["total"] == 2
    assert first["sections"]["mpulse.dimensions"][0]["values"] == [["visible", 1]]
    assert [timer["name"] for timer in second["sections"]["mpulse.timers"]] == ["Code Timer"]
    assert set(second["sections"]) == {"mpulse.timers"}
    assert (third["requests"], third["rows"], third["sections"]) == ({}, 0, {})


def test_a_sandbox_with_listeners_stops_at_once() -> None:
    """An open page does not hold the sandbox."""
    with Sandbox() as sandbox:
        wire = Wire(sandbox)
        with stream(wire) as events:
            next(events)
            began = time.monotonic()
            sandbox.stop()
            took = time.monotonic() - began

    assert took < 2


def test_findings_say_what_to_change(wire: Wire) -> None:
    """Each kind once, with how often, why, and the setting or attribute."""
    for _ in range(3):
        wire.beacon({"t_other": "Chekout|10"})
    with stream(wire) as events:
        next(events)
        (finding,) = next(events)["findings"]

    assert (finding["vendor"], finding["code"], finding["severity"]) == (
        "mpulse",
        "unknown_timer:Chekout",
        "error",
    )
    assert finding["count"] == 3
    assert "`timers`" in finding["remedy"]
    assert "define it in mPulse" in finding["sentence"]


def test_requests_are_found_and_filtered(wire: Wire) -> None:
    """By words of any of their parts, by vendor, by finding; newest first, in windows."""
    wire.beacon({"t_other": "custom0|10"})
    wire.beacon({"t_other": "Chekout|10", "h.pg": "Cart"})
    track(wire)
    wire.ask("GET", "/nowhere")

    def kinds(**query: object) -> list[str]:
        return [f"{row[2]} {row[3]}" for row in requests(wire, **query)["rows"]]

    assert kinds() == [
        " unknown",
        "mparticle_analytics track",
        "mpulse beacon",
        "mpulse beacon",
        "mpulse config",
    ]
    assert kinds(offset=1, count=2) == ["mparticle_analytics track", "mpulse beacon"]
    assert kinds(q="cart h.pg") == ["mpulse beacon"]
    assert kinds(q="MYTIMER") == ["mpulse beacon"]
    assert kinds(q="paid") == ["mparticle_analytics track"]
    assert kinds(vendor="mpulse", severity="error") == ["mpulse beacon"]
    assert kinds(code="unknown_timer:Chekout") == ["mpulse beacon"]
    assert kinds(until=2) == ["mpulse beacon", "mpulse config"]
    assert kinds(q="nothing of this") == []
    assert requests(wire, vendor="mpulse", count=1)["total"] == 3


def test_users_are_listed_with_all_that_is_known(wire: Wire) -> None:
    """An alias makes two users one; the detail holds properties and events."""
    key = wire.sandbox.mparticle_analytics.api_key
    track(wire, eventUniqueId="anon-1")
    track(wire, eventUniqueId="u-1")
    track(wire, eventUniqueId="u-2", eventName="Left")
    alias = {"apiKey": key, "previousId": "anon-1", "newId": "u-1"}
    wire.ask("POST", "/service/alias", json.dumps(alias).encode(), JSON)
    requests(wire)

    listed = asked(wire, "listing", name="mparticle_analytics.users")
    found = asked(wire, "listing", name="mparticle_analytics.users", q="anon")
    identify = {"apiKey": key, "uniqueId": "u-2", "properties": {"city": "Berlin"}}
    wire.ask("POST", "/service/identify", json.dumps(identify).encode(), JSON)
    requests(wire)
    by_property = asked(wire, "listing", name="mparticle_analytics.users", q="berlin")
    detail = asked(wire, "entry", name="mparticle_analytics.users", key=found["rows"][0]["key"])

    assert listed["total"] == 2
    assert [row["title"] for row in by_property["rows"]] == ["u-2"]
    assert [(row["title"], row["about"], row["count"]) for row in found["rows"]] == [("anon-1", "u-1", 2)]
    assert [event["name"] for event in detail["events"]] == ["Paid", "Paid"]
    assert detail["events"][0]["attributes"] == {"plan": "pro"}
    assert wire.ask("GET", "/sandbox/listing?name=nothing").status == 404
    assert wire.ask("GET", "/sandbox/entry?name=mparticle_analytics.users&key=nobody").status == 404


SECRET = "hush-4711-do-not-tell"


def leaks(wire: Wire) -> list[str]:
    """Everything a page can see of the last request."""
    position = requests(wire, count=1)["rows"][0][0]
    shown = [json.dumps(asked(wire, "request", position=position))]
    shown.append(json.dumps(asked(wire, "requests")))
    shown.append(json.dumps(asked(wire, "requests", q=SECRET)["rows"]))
    with stream(wire) as events:
        shown += [json.dumps(next(events)), json.dumps(next(events))]
    return [text for text in shown if SECRET in text or quote(SECRET) in text]


@pytest.mark.parametrize(
    ("method", "target", "body", "headers"),
    [
        ("POST", "/v2/events", b"{}", {"Authorization": "Basic " + SECRET, **JSON}),
        ("POST", "/v2/events", b"{}", {"Authorization": SECRET, "Cookie": "sid=" + SECRET, **JSON}),
        ("GET", f"/17de4c15/?api=1&h.key={SECRET}&h.cr={SECRET}", None, {"X-Api-Key": SECRET}),
        ("GET", f"/17de4c15/?api=1&h%2Ekey={SECRET}&H.CR={SECRET}", None, {}),
        ("POST", "/17de4c15/", f"h.cr={SECRET}&api=1".encode(), {}),
        ("GET", f"/api/config.json?key={SECRET}&d=x", None, {}),
        ("GET", f"/api/v2/config.json?key=K&t=1&s={SECRET}", None, {}),
        ("GET", f"/v1/{SECRET}/pixel?dt=AppEvent&n=A", None, {}),
        ("POST", f"/service/event/{SECRET}", json.dumps(ANALYTICS).encode(), JSON),
        ("POST", "/service/event", json.dumps({"apiKey": SECRET, **ANALYTICS}).encode(), JSON),
        ("POST", "/service/event/batch", f'{{"apiKey" : "{SECRET}", "events": [{{'.encode(), JSON),
        ("POST", "/service/event", f'[{{"API_KEY": "{SECRET}'.encode(), JSON),
        ("GET", f"/nowhere?token={SECRET}&api_secret={SECRET}", None, {"X-Auth": SECRET}),
        ("POST", "/nowhere", f'{{"access_token": "{SECRET}", "Authorization":"{SECRET}"}}'.encode(), JSON),
        ("POST", "/nowhere", f'{{"client_secret": ["{SECRET}"]}}'.encode(), JSON),
        ("POST", "/nowhere", f'{{"\\u0061piKey": "{SECRET}"}}'.encode(), JSON),
        ("POST", "/nowhere", f'\ufeff{{"apiKey": "{SECRET}"}}'.encode(), JSON),
        ("POST", "/nowhere", f"[a]=1&token={SECRET}".encode(), {}),
    ],
)
def test_secrets_never_leave(
    wire: Wire, method: str, target: str, body: bytes | None, headers: dict[str, str]
) -> None:
    """No Authorization, key, secret or crumb reaches a page, in whatever place it came."""
    wire.ask(method, target, body, headers)

    assert leaks(wire) == []


def test_own_keys_are_masked_in_any_path_and_in_received_json(sandbox: Sandbox, wire: Wire) -> None:
    """A typo in an address shows no key; who asks for secrets gets them."""
    secret = sandbox.mparticle.api_secret
    wire.ask("GET", f"/v9/{secret}/typo?h.key={SECRET}")
    wire.ask("GET", f"/17de4c15/?api=1&h.key={SECRET}")

    shown = json.dumps(requests(wire)) + wire.ask("GET", "/sandbox/received.json").body.decode()

    assert secret not in shown
    assert SECRET not in shown
    assert "/v9/****/typo" in shown
    open_ = wire.ask("GET", "/sandbox/received.json?secrets=1").body.decode()
    assert secret in open_
    assert SECRET in open_


def test_what_is_not_secret_is_shown(wire: Wire) -> None:
    """A request is readable: line, headers, parameters and body, and which scheme was used."""
    basic = base64.b64encode(b"a:b").decode()
    body = json.dumps({"user_identities": {"email": "a@example.com"}}).encode()
    wire.ask("POST", "/v2/events?x=1", body, {"Authorization": f"Basic {basic}", **JSON})
    position = requests(wire)["rows"][0][0]

    shown = asked(wire, "request", position=position)

    assert shown["line"] == "POST /v2/events?x=1 HTTP/1.1"
    assert ["authorization", "Basic ****"] in shown["headers"]
    assert shown["body"] == body.decode()
    assert shown["status"] == 403
    assert [finding["code"] for finding in shown["findings"]] == ["wrong_credentials"]
    assert wire.ask("GET", "/sandbox/request?position=99").status == 404


def test_a_key_that_somebody_brought_is_not_shown() -> None:
    """The settings on the page name the made-up key alone; another, of a saved configuration, is masked."""
    with Sandbox(mpulse=MPulseApp(key=SECRET)) as sandbox, stream(Wire(sandbox)) as events:
        settings = next(events)["hello"]["settings"]

    assert "export OTEL_EXPORTER_MPULSE_API_KEY=****" in settings
    assert f"export OTEL_EXPORTER_MPULSE_CONFIG_URL={sandbox_url(settings)}/api/config.json" in settings
    assert SECRET not in json.dumps(settings)


def sandbox_url(settings: list[str]) -> str:
    return next(line for line in settings if "MPARTICLE_BASE_URL" in line).partition("=")[2]


@pytest.mark.parametrize(("condition", "status"), [("429", 429), ("503", 503), ("well", 200)])
def test_a_condition_lasts(sandbox: Sandbox, wire: Wire, condition: str, status: int) -> None:
    """Every request of that vendor is answered so, and no other vendor's, until somebody changes it."""
    order = json.dumps({"vendor": "mpulse", "condition": condition}).encode()
    assert wire.ask("POST", "/sandbox/condition", order).status == 204

    assert [wire.config().status for _ in range(3)] == [status] * 3
    track(wire)
    assert sandbox.received.mparticle_analytics.calls[-1].status == 200
    sandbox.reset()
    assert wire.config().status == 200


def test_down_drops_the_connection(sandbox: Sandbox, wire: Wire) -> None:
    """No answer at all; the request stands in the journal with status 0."""
    sandbox.become("mpulse", "down")

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the moment of the reset
        wire.config()

    assert wire.last.status == 0


def test_slow_takes_the_request(sandbox: Sandbox, wire: Wire) -> None:
    """The vendor sees the request as ever; only the answer is late."""
    sandbox.become("mparticle_analytics", "slow")
    body = json.dumps({"apiKey": sandbox.mparticle_analytics.api_key, **ANALYTICS})
    with closing(HTTPConnection(*wire.address, timeout=0.3)) as connection:
        connection.request("POST", "/service/event", body, JSON)
        with pytest.raises(TimeoutError):
            connection.getresponse()

    assert [event.name for event in sandbox.received.mparticle_analytics.events] == ["Paid"]


def test_conditions_of_mpulse_alone(sandbox: Sandbox, wire: Wire) -> None:
    """A rate-limited app says so in its configuration; an expired crumb is a finding on each beacon."""
    wire.learn()
    sandbox.become("mpulse", "rate_limited")
    limited = wire.config().json
    sandbox.become("mpulse", "crumb_expired")
    expired = wire.beacon({"t_other": "custom0|1"})
    sandbox.become("mpulse", "well")
    well = wire.beacon({"t_other": "custom0|1"})

    assert limited["rate_limited"] is True
    assert "crumb_expired" in expired.codes
    assert expired.timers == ()
    assert well.findings == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", 'expected {"vendor"'),
        (b"[]", 'expected {"vendor"'),
        (b"{", "Expecting property name"),
        (b'{"vendor": "mpulse", "condition": 503}', 'expected {"vendor"'),
        (b'{"vendor": "nobody", "condition": "503"}', "vendor='nobody': choose one of mpulse, mparticle"),
        (
            b'{"vendor": "mparticle", "condition": "crumb_expired"}',
            "choose one of well, 429, 503, slow, down",
        ),
    ],
)
def test_a_wrong_condition_is_told(wire: Wire, body: bytes, said: str) -> None:
    """400 and what would be right."""
    reply = wire.ask("POST", "/sandbox/condition", body)

    assert reply.status == 400
    assert said in reply.body.decode()


def test_clearing_keeps_conditions(sandbox: Sandbox, wire: Wire) -> None:
    """Clear forgets what arrived and nothing else."""
    wire.beacon()
    sandbox.become("mparticle", "503")

    assert wire.ask("POST", "/sandbox/clear", b"{}").status == 204

    assert sandbox.received.records == ()
    with stream(wire) as events:
        next(events)
        assert next(events)["conditions"]["mparticle"] == "503"


def test_percentiles_are_those_of_the_values() -> None:
    """Exact below a second, within half a percent above."""
    timings = Timings("t", "T")
    for value in range(1, 101):
        timings.add("A", value, 1)
    timings.add("B", 123_456, 2)

    (a, b) = timings.changed_since(0)

    assert a["percentiles"] == [[50, 50], [75, 75], [95, 95], [99, 99]]
    assert (a["min"], a["max"], a["mean"], sum(a["bars"])) == (1, 100, 50.5, 100)  # type: ignore[call-overload]
    assert b["percentiles"][0][1] == pytest.approx(123_456, rel=0.005)  # type: ignore[index]
    assert [one["name"] for one in timings.changed_since(1)] == ["B"]


def test_hostile_values_do_not_end_the_stream(wire: Wire) -> None:
    """Endless numbers, texts and lone surrogates are shown like any other, cut where they are long."""
    key = wire.sandbox.mparticle_analytics.api_key
    event = f'{{"apiKey": "{key}", "eventName": "\\ud800", "eventUniqueId": "<script>"}}'.encode()
    wire.ask("POST", "/service/event", event, JSON)
    wire.beacon({"t_other": "custom0|" + "9" * 18, "cmet.MyMetric": "9" * 30})
    wire.post({"h.pg": "x" * 500_000, "rt.si": "y" * 100_000, "rt.ss": "1" * 13, "rt.sl": "1"})
    wire.ask("GET", "/" + "z" * 60_000)
    with stream(wire) as events:
        next(events)
        first = next(events)

    assert first["requests"] == {"mpulse": 3, "mparticle_analytics": 1, "": 1}
    assert first["sections"]["mpulse.timers"][0]["bars"] == [1]
    assert len(json.dumps(first)) < 20_000
    assert len(json.dumps(asked(wire, "requests"))) < 20_000


def test_a_series_stays_short() -> None:
    """However long it runs, it has at most POINTS slices, and nothing is lost of the total."""
    series = Series("s", "S")
    for second in range(5_000):
        series.add("A", 1, second * 1_000, 1)

    (shown,) = series.changed_since(0)
    points: Any = shown["points"]

    assert len(points) <= POINTS
    assert (sum(points), shown["total"]) == (5_000, 5_000)


def test_the_board_forgets_with_the_journal() -> None:
    """Rows leave when their requests do; sums stay."""
    with Sandbox(inbox=Inbox(capacity=10)) as sandbox:
        wire = Wire(sandbox)
        for number in range(25):
            sandbox.inbox.add(timing(number))
        first = requests(wire, count=100)
        for number in range(25):
            sandbox.inbox.add(timing(number))
        second = requests(wire, q="beacon", count=100)

    assert [row[0] for row in first["rows"]] == list(range(25, 15, -1))
    assert [row[0] for row in second["rows"]] == list(range(50, 40, -1))


def timing(milliseconds: int) -> Beacon:
    return Beacon(
        vendor="mpulse",
        kind="beacon",
        method="GET",
        path="/17de4c15/",
        arrived_unix_ms=int(time.time() * 1000),
        status=204,
        timers=(Timer("MyTimer", milliseconds),),
    )
