"""What the sandbox's page shows of keys and secrets, over real HTTP: nothing, in any form."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.sandbox.page_wire import ANALYTICS, JSON, asked, requests, stream
from tests.sandbox.wire import Wire

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
