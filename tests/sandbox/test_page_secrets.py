"""What the sandbox's page shows of keys and secrets, over real HTTP: nothing, in any form."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus, unquote

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.sandbox.page_wire import ANALYTICS, JSON, asked, requests, stream, track
from tests.sandbox.wire import Wire

SECRET = "hush-4711-do-not-tell"
HOSTILE = (
    *('"', '\\"', "\\", "[", '{"apiKey":', '"apiKey":[', '{"a":"\\u0061', "%25", "%7B%22", "+", "/event/"),
    *('form-data; name="a"\r\n', "form-data; name=", "x\r\n", "a.", "token=&", "a%", '"key" :', " ", '" '),
)
INNER = json.dumps({"apiKey": SECRET, "n": 1})
PACKED = json.dumps({"data": json.dumps({"data": INNER})})
MULTIPART = (
    '--b\r\nContent-Disposition: form-data; name="plan"\r\n\r\npro\r\n'
    f'--b\r\nContent-Disposition: form-data; name="apiKey"\r\nX-Y: z\r\n\r\n{SECRET}\r\n--b--'
)


def leaks(wire: Wire) -> list[str]:
    """Everything a page can see of the last request."""
    position = requests(wire, count=1)["rows"][0][0]
    shown = [json.dumps(asked(wire, "request", position=position))]
    shown.append(json.dumps(asked(wire, "requests")))
    shown.append(json.dumps(asked(wire, "requests", q=SECRET)["rows"]))
    with stream(wire) as events:
        shown += [json.dumps(next(events)), json.dumps(next(events))]
    shown.append(wire.ask("GET", "/sandbox/received.json").body.decode())
    return [text for text in shown if SECRET in text or SECRET in unquote(unquote(text))]


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
        ("POST", f"/event/{SECRET}", b"{}", JSON),
        ("POST", f"/service/event/batch/{SECRET}", b"{}", JSON),
        ("POST", f"/service//event/{SECRET}/", b"{}", JSON),
        ("POST", f"/service/%65vent%2F{SECRET}", b"{}", JSON),
        ("POST", f"/service/event/x/{SECRET}", b"{}", JSON),
        ("GET", f"/v1/JS/{SECRET}/pixel", None, {}),
        ("GET", f"/v7/{SECRET}/pixel?n=A", None, {}),
        ("GET", f"/{SECRET}/config.json", None, {}),
        ("GET", f"/boomerang/{SECRET}", None, {}),
        ("GET", f"/nowhere?a[apiKey]={SECRET}&h%252Ekey={SECRET}", None, {}),
        ("POST", "/nowhere", json.dumps({"u": f"https://shop.example/?h.key={SECRET}"}).encode(), JSON),
        ("GET", f"/17de4c15/;h.key={SECRET}", None, {}),
        ("POST", "/v2/events", b"{}", {"Authorization": f"{SECRET} x", **JSON}),
        ("POST", "/v2/events", b"{}", {"Authorization": f"x {SECRET}", **JSON}),
        ("POST", "/v2/events", b"{}", {"Proxy-Authorization": f"{SECRET} x", **JSON}),
        ("POST", "/nowhere", f'{{"apiKey":{{"a":{{"b":1}},"c":"{SECRET}"}}}}'.encode(), JSON),
        ("POST", "/nowhere", f'{{"apiKey":[[1],"{SECRET}"],"b":1}}'.encode(), JSON),
        ("POST", "/nowhere", f'{{"apiKey":[["]"],"{SECRET}'.encode(), JSON),
        ("POST", "/nowhere", quote(INNER).encode(), {}),
        ("POST", "/nowhere", f"data={quote(INNER)}".encode(), {}),
        ("POST", "/nowhere", f"data={quote_plus(quote_plus(INNER))}".encode(), {}),
        ("GET", f"/nowhere?data={quote(INNER)}", None, {}),
        ("POST", "/nowhere", PACKED.encode(), JSON),
        ("POST", "/nowhere", PACKED[:-9].encode(), JSON),
        ("GET", "/nowhere", None, {"Referer": f"https://shop.example/?a=1&h.key={SECRET}&b=2"}),
        ("GET", "/nowhere", None, {"Referer": f"https://shop.example/service/event/{SECRET}?b=2"}),
        ("GET", f"/17de4c15/?api=1;h.key={SECRET};b=2", None, {}),
        ("POST", "/nowhere", MULTIPART.encode(), {"Content-Type": "multipart/form-data; boundary=b"}),
        ("POST", f"/{SECRET}/typo?x={SECRET}", json.dumps({"apiKey": SECRET, "n": SECRET}).encode(), JSON),
        ("GET", f"/nowhere?x={SECRET}", None, {"X-Api-Key": SECRET}),
        ("GET", f"/17de4c15/?api=1&h.key={SECRET}&h.pg={SECRET}&{SECRET}=1", None, {}),
    ],
)
def test_secrets_never_leave(
    wire: Wire, method: str, target: str, body: bytes | None, headers: dict[str, str]
) -> None:
    """No Authorization, key, secret or crumb reaches a page, in whatever place it came."""
    wire.ask(method, target, body, headers)

    assert leaks(wire) == []


@pytest.mark.parametrize("key", ["plain-Key-1", "a+b/c=d e", 'quo"te\\d', "schlüssel€", "per%63ent"])
def test_what_stood_at_a_keys_place_is_masked_in_every_spelling(wire: Wire, key: str) -> None:
    """However a secret is written elsewhere in its request, it is stars there too."""
    spelled = {"query": quote(key), "form": quote_plus(key), "twice": quote(quote(key, safe=""), safe="")}
    query = "&".join(f"{name}={spelling}" for name, spelling in spelled.items())
    body = json.dumps({"apiKey": key, "raw": key, "packed": json.dumps({"inner": key})})
    wire.ask("POST", f"/nowhere?{query}", body.encode(), JSON)
    position = requests(wire, count=1)["rows"][0][0]

    shown = asked(wire, "request", position=position)

    assert shown["line"] == "POST /nowhere?query=****&form=****&twice=**** HTTP/1.1"
    assert shown["body"] == '{"apiKey": "****", "raw": "****", "packed": "{\\"inner\\": \\"****\\"}"}'


def test_own_keys_are_masked_wherever_they_stand(sandbox: Sandbox, wire: Wire) -> None:
    """A key that the sandbox knows is shown nowhere, also where nothing says that it is one."""
    key = sandbox.mparticle_analytics.api_key
    properties = {"note": f"with {key}", key: 1}
    track(wire, eventName=key, properties=properties)
    wire.ask("GET", f"/nowhere?note={quote(sandbox.mpulse.rest_secret)}")

    shown = json.dumps(requests(wire)) + wire.ask("GET", "/sandbox/received.json").body.decode()
    shown += json.dumps(asked(wire, "entry", name="mparticle_analytics.users", key="u-1"))
    shown += json.dumps(asked(wire, "request", position=2)) + wire.ask("GET", "/").body.decode()

    assert key not in shown
    assert sandbox.mpulse.rest_secret not in shown
    assert '"note": "with ****"' in shown


@pytest.mark.flaky(reruns=2)
def test_hostile_bodies_are_masked_in_time(wire: Wire) -> None:
    """Masking takes as long as the body is long, whatever it is made of."""
    opening = f'{{"apiKey":"{SECRET}", "b":"{SECRET}"'
    for piece in HOSTILE:
        wire.ask("POST", "/nowhere", (opening + piece * (60_000 // len(piece))).encode(), JSON)
    begun = time.monotonic()

    for position in range(1, len(HOSTILE) + 1):
        assert requests(wire)["total"] == len(HOSTILE)
        asked(wire, "request", position=position)

    assert time.monotonic() - begun < 2 * len(HOSTILE)


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
