"""`send` as people run it: real processes against the real sandbox, over HTTP."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from otel_vendor_exporters.sandbox.mpulse.config import Switches
from otel_vendor_exporters.send import KINDS
from otel_vendor_exporters.send.passage import masked
from tests.command import (
    Call,
    analytics_environment,
    call,
    here,
    mparticle_environment,
    mpulse_environment,
)


def mpulse(sandbox: Sandbox, *arguments: str, **changes: str) -> Call:
    return call("send", *arguments, **mpulse_environment(sandbox, **changes))


def mparticle(sandbox: Sandbox, *arguments: str, **changes: str) -> Call:
    return call("send", *arguments, **mparticle_environment(sandbox, **changes))


def analytics(sandbox: Sandbox, *arguments: str, **changes: str) -> Call:
    return call("send", *arguments, **analytics_environment(sandbox, **changes))


def findings(sandbox: Sandbox) -> list[str]:
    """What the vendors had to object."""
    return [finding.code for record in sandbox.inbox.records for finding in record.findings]


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_timer(sandbox: Sandbox) -> None:
    """It arrives with everything said of it; both requests and answers are shown, without the crumb."""
    ended = mpulse(
        sandbox,
        *("timer", "Checkout", "12.5", "--page-group", "Cart", "--ab-test", "B"),
        *("--dimension", "Country=DE", "--dimension", "Colour=red"),
    )

    (beacon,) = sandbox.received.beacons
    lines = ended.out.splitlines()
    assert (ended.status, ended.err, findings(sandbox)) == (0, "", [])
    assert [(timer.name, timer.milliseconds) for timer in beacon.timers] == [("Checkout", 13)]
    assert (beacon.page_group, beacon.ab_test) == ("Cart", "B")
    assert beacon.dimensions == (("Country", "DE"),)
    assert [line.split("?")[0] for line in lines if line.startswith("> GET ")] == [
        f"> GET {sandbox.config_url}",
        f"> GET {sandbox.url}{beacon.path}",
    ]
    assert [line[:10] for line in lines if line.startswith("< HTTP")] == ["< HTTP 200", "< HTTP 204"]
    assert "left out: the app defines no custom dimension 'Colour'" in lines
    assert lines[-1] == "delivered"
    (crumb,) = (value for name, value in beacon.pairs if name == "h.cr")
    assert crumb not in ended.out
    assert "h.cr=*****" in ended.out


def test_a_metric(sandbox: Sandbox) -> None:
    """One increment of one, unless told otherwise."""
    one, more = mpulse(sandbox, "metric", "Orders"), mpulse(sandbox, "metric", "Revenue", "19.9")

    assert (one.status, more.status, findings(sandbox)) == (0, 0, [])
    assert sandbox.received.metrics == {"Orders": 1, "Revenue": 19.9}


def test_an_increment_of_nothing(sandbox: Sandbox) -> None:
    """It goes where the exporters would send it."""
    ended = mpulse(sandbox, "metric", "Orders", "0", zero_metrics="true")

    assert (ended.status, sandbox.received.metrics) == (0, {"Orders": 0})


def test_less_than_a_cent(sandbox: Sandbox) -> None:
    """It is no loss: an exporter carries it along, so the status is that of what is not delivered now."""
    ended = mpulse(sandbox, "metric", "Revenue", "0.001")

    assert (ended.status, ended.err, sandbox.received.metrics) == (1, "", {})
    assert ended.out.splitlines()[-2:] == [
        "carried",
        "not delivered now; an exporter would send it along with the next of its metric",
    ]


def test_an_alias_that_came_about(sandbox: Sandbox, tmp_path: Path) -> None:
    """Whoever shares the spool folder does not ask for it again, and nothing is missing."""
    alias, folder = ("alias", "anon-1", "u1", "--for-ever"), {"spool_dir": str(tmp_path)}
    first, again = analytics(sandbox, *alias, **folder), analytics(sandbox, *alias, **folder)

    assert (first.status, again.status, again.err) == (0, 0, "")
    assert again.out.splitlines() == [
        "already_merged",
        "not sent, since it came about before; an exporter would not send it either",
    ]


def test_an_event(sandbox: Sandbox) -> None:
    """A batch of one event of one user; the credentials are stars."""
    ended = mparticle(sandbox, "event", "Order placed", "--user", "u 1", "--attribute", "sku=a=b", "--json")

    form = ended.form
    (step,) = form["steps"]
    (sent,) = json.loads(step["request"]["body"])
    assert (ended.status, form["outcome"], findings(sandbox)) == (0, "delivered", [])
    assert step["request"]["headers"]["Authorization"] == "*****"
    assert step["answer"]["status"] == 202
    assert sent["user_identities"] == {"customer_id": "u 1"}
    assert sent["events"][0]["data"]["event_name"] == "Order placed"
    assert sent["events"][0]["data"]["custom_attributes"] == {"sku": "a=b"}
    assert sandbox.as_wire()["vendors"]["mparticle"]["events"] == {"custom_event": 1}  # type: ignore[index]


def test_a_pixel(sandbox: Sandbox) -> None:
    """It needs web_api_key alone."""
    changes = {"web_api_key": sandbox.mparticle.web_api_key, "api_key": "", "api_secret": ""}
    ended = mparticle(sandbox, "pixel", "Seen", "--user", "u1", "--attribute", "k=v", **changes)

    assert (ended.status, findings(sandbox)) == (0, [])
    assert "/Pixel?dt=AppEvent" in ended.out
    assert sandbox.as_wire()["requests"]["mparticle"] == {"pixel": 1}  # type: ignore[index]  # a dictionary


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("identify", "u1", "--property", "plan=pro"), "identify", {"properties": {"plan": "pro"}}),
        (("alias", "anon-1", "u1", "--for-ever"), "alias", {"previousId": "anon-1", "newId": "u1"}),
        (("suppress", "u1", "--for-ever"), "suppress", {"uniqueId": "u1"}),
        (("delete", "u1", "--for-ever"), "delete", {"uniqueId": "u1"}),
        (("analytics-event", "Seen", "--user", "u1"), "event", {"eventName": "Seen", "eventUniqueId": "u1"}),
    ],
)
def test_analytics_events_and_calls(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    path: str,
    body: dict[str, str],
) -> None:
    """Each goes to its own path, and its key is stars."""
    for name, value in analytics_environment(sandbox).items():
        monkeypatch.setenv(name, value)
    status = here("send", *arguments, "--json")

    form = json.loads(capsys.readouterr().out)
    (step,) = form["steps"]
    assert (status, form["outcome"], findings(sandbox)) == (0, "delivered", [])
    assert step["request"]["url"] == f"{sandbox.url}/service/{path}"
    assert json.loads(step["request"]["body"]).items() >= {"apiKey": "*****", **body}.items()


def test_a_suppressed_user_in_a_spool_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """Whoever shares the folder tells nothing more of them, nor does `send`."""
    folder = {"spool_dir": str(tmp_path)}
    suppressed = analytics(sandbox, "suppress", "u1", "--for-ever", **folder)
    event = analytics(sandbox, "analytics-event", "Seen", "--user", "u1", **folder)
    other = analytics(sandbox, "analytics-event", "Seen", "--user", "u2", **folder)

    assert (suppressed.status, event.status, other.status) == (0, 2, 0)
    assert event.out.splitlines() == ["suppressed", "not delivered; an exporter would count it as lost"]
    assert findings(sandbox) == []


def test_analytics_refuses_a_key(sandbox: Sandbox) -> None:
    """What a 400 may mean is said; the key is nowhere."""
    ended = analytics(sandbox, "identify", "u1", "--property", "plan=pro", api_key="not-the-one")

    assert ended.status == 1
    assert "it, or api_key, is wrong" in ended.out
    assert "not-the-one" not in ended.out


def test_a_name_that_is_not_defined(sandbox: Sandbox) -> None:
    """It is not sent, with the nearest name that is."""
    ended = mpulse(sandbox, "timer", "Chekout")

    assert ended.status == 2
    assert "defines no such custom timer: 'Chekout' (nearest: 'Checkout')" in ended.out
    assert ended.out.splitlines()[-1] == "not delivered; an exporter would count it as lost"
    assert sandbox.received.timers == []


def test_a_configuration_that_is_refused(sandbox: Sandbox) -> None:
    """No beacon goes without one; what mPulse said is shown."""
    ended = mpulse(sandbox, "timer", "Checkout", domain="shop.example")

    assert ended.status == 1
    assert "Domain is not a subdomain registered with this API Key" in ended.out
    assert ended.out.splitlines()[-1] == "not delivered now; an exporter would keep it and try again"


def test_wrong_credentials(sandbox: Sandbox) -> None:
    """The answer and what it means; the secret is nowhere."""
    ended = mparticle(sandbox, "event", "e", "--user", "u", api_secret="not-the-one")

    assert ended.status == 1
    assert "< HTTP 403" in ended.out
    assert "HTTP 403: check api_key and api_secret" in ended.out
    assert "not-the-one" not in ended.out + ended.err


def test_a_refusal(sandbox: Sandbox) -> None:
    """A status that no repetition would change."""
    sandbox.answer_next(400, on="pixel")
    ended = mparticle(sandbox, "pixel", "e", "--user", "u", web_api_key=sandbox.mparticle.web_api_key)

    assert ended.status == 2
    assert "< HTTP 400" in ended.out


def test_no_answer(sandbox: Sandbox, nobody: str) -> None:
    """Nobody there, or nobody who answers in time: what happened, and how long it took."""
    sandbox.mpulse.switches = Switches(slow_seconds=2)
    down = mparticle(sandbox, "event", "e", "--user", "u", base_url=nobody)
    slow = mpulse(sandbox, "timer", "Checkout", timeout="0.2")

    assert (down.status, slow.status) == (1, 1)
    assert "Connection refused" in down.out
    assert "< no answer after 0.2" in slow.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("timer", "Checkout"),
            "send: api_key is missing: pass api_key= or set OTEL_EXPORTER_",
        ),
        (("event", "e"), "the following arguments are required: --user"),
        (("timer", "Checkout", "soon"), "argument milliseconds: invalid float value: 'soon'"),
        (("timer", "Checkout", "--dimension", "DE"), "'DE' is not NAME=VALUE"),
        (("delete", "u1"), "the following arguments are required: --for-ever"),
        (("parcel",), "invalid choice: 'parcel'"),
        ((), "the following arguments are required: what"),
    ],
)
def test_what_cannot_be_sent(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """Status 2 and one sentence."""
    status = here("send", *arguments)

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("timer", "Checkout", "nan"), "send: a timer takes 0 to"),
        (("metric", "Orders", "--", "-1"), "send: a metric takes values below 0 only with negative_metrics"),
        (("metric", "Orders", "0"), "send: a metric takes an increment of 0 only with zero_metrics"),
        (("metric", "Orders", "--", "-0.0"), "send: a metric takes an increment of 0 only with zero_metrics"),
        (("event", "", "--user", "u"), "send: "),
    ],
)
def test_values_that_vendors_do_not_take(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """They are refused here, and nobody is asked."""
    for name, value in {**mpulse_environment(sandbox), **mparticle_environment(sandbox)}.items():
        monkeypatch.setenv(name, value)
    status = here("send", *arguments)

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith(said)
    assert len(sandbox.inbox.records) == 0


def test_help_names_every_kind() -> None:
    """With a sentence each."""
    ended = call("send", "--help")

    told = " ".join(ended.out.split())
    assert ended.status == 0
    for kind in KINDS:
        assert f"{kind.name} {kind.sentence}" in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key=s%2Bc%2Fr%3Dt&x=1", "key=*****&x=1"),
        ('{"apiKey":"s+c/r=t"}', '{"apiKey":"*****"}'),
        ("Basic s+c/r=t", "Basic *****"),
        ("/c?key=k&t=1&s=0a1b", "/c?key=k&t=1&s=*****"),
        ("h.key=k&h.cr=abc", "h.key=k&h.cr=*****"),
        ('{"h.t": 1, "h.cr": "abc"}', '{"h.t": 1, "h.cr": "*****"}'),
        ("sl=1&rt.si=2", "sl=1&rt.si=2"),
    ],
)
def test_secrets_are_stars(text: str, shown: str) -> None:
    """However they are written, and only they."""
    assert masked(text, ["s+c/r=t"]) == shown
