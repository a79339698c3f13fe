"""`doctor` as people run it, against the real sandbox: credentials, and the way to the vendor."""

from __future__ import annotations

import json
import re
import socket
import ssl
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import NoReturn

import pytest
import trustme

from otel_vendor_exporters.doctor.network import unreachable
from otel_vendor_exporters.mpulse.settings import MPulseSettings
from otel_vendor_exporters.sandbox import Sandbox
from otel_vendor_exporters.sandbox.mpulse.config import Switches
from tests.command import (
    Call,
    analytics_environment,
    call,
    here,
    mparticle_environment,
    mpulse_environment,
)
from tests.delivery.loopback import Answer, Loopback, http
from tests.doctor_calls import mparticle, mpulse

# Credentials


def test_wrong_domain(sandbox: Sandbox) -> None:
    """In mPulse's own words, though it answers 200."""
    ended = mpulse(sandbox, domain="shop.example")

    assert ended.status == 2
    assert ended.findings("mpulse")["refused"] == (
        "error",
        "mPulse says: Domain is not a subdomain registered with this API Key: check api_key and domain",
    )


def test_wrong_keys(sandbox: Sandbox) -> None:
    """Each vendor's refusal names the settings to look at."""
    environment = {
        **mpulse_environment(sandbox, api_key="BBBBB"),
        **mparticle_environment(sandbox, api_secret="wrong-one"),
        **analytics_environment(sandbox, api_key="wrong-key"),
    }
    ended = call("doctor", "--json", **environment)

    assert (ended.status, ended.form["errors"]) == (2, 3)
    assert "HTTP 404: check api_key, domain" in ended.findings("mpulse")["refused"][1]
    assert "refuses api_key and api_secret (HTTP 403)" in ended.findings("mparticle")["refused"][1]
    assert "refuses api_key (HTTP 400)" in ended.findings("mparticle_analytics")["refused"][1]
    assert "wrong-" not in ended.out


@pytest.mark.parametrize("answer", ["rate_limited", "status_420"])
def test_a_limited_app(sandbox: Sandbox, answer: str) -> None:
    """That mPulse limits the app is not taken for a wrong key."""
    sandbox.mpulse.switches = Switches(answer=answer)  # type: ignore[arg-type]  # one of its choices
    ended = mpulse(sandbox)

    assert ended.status == 2
    assert ended.levels("mpulse")["rate_limited"] == "error"


def test_too_many_requests(sandbox: Sandbox) -> None:
    """HTTP 429 is named as what it is."""
    sandbox.answer_next(429, times=2, on="config")

    assert mpulse(sandbox).levels("mpulse")["rate_limited"] == "error"


def test_an_address_that_is_not_the_vendors(sandbox: Sandbox) -> None:
    """A login page instead of the configuration is told as what it is."""
    sandbox.mpulse.switches = Switches(answer="html")
    ended = mpulse(sandbox)

    assert ended.findings("mpulse")["unusable"] == (
        "error",
        "the answer to the configuration request is not a JSON object: check config_url",
    )


def test_a_bots_user_agent(sandbox: Sandbox) -> None:
    """The agent is told before anything is sent, and again when it is what mPulse refuses."""
    sandbox.mpulse.switches = Switches(refuse_bots=True)
    ended = mpulse(sandbox, user_agent="curl/8.5")

    assert (ended.status, ended.form["errors"]) == (2, 1)
    assert ended.findings("mpulse")["looks_like_bot"][0] == "warning"
    assert "refuses user_agent 'curl/8.5' (HTTP 403)" in ended.findings("mpulse")["refused"][1]


def test_the_pixels_key_cannot_be_asked_for(sandbox: Sandbox) -> None:
    """The doctor says so, and counts no pixel."""
    ended = mparticle(sandbox, transport="pixel", web_api_key="any")

    assert ended.status == 0
    assert ended.levels("mparticle")["not_checked"] == "info"
    assert sandbox.as_wire()["requests"]["mparticle"] == {}  # type: ignore[index]  # a dictionary


# The way there


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def test_a_vendor_that_is_down(sandbox: Sandbox, closed_port: int) -> None:
    """A refused connection is told with host and port."""
    ended = mpulse(sandbox, config_url=f"http://127.0.0.1:{closed_port}/api/config.json")

    assert ended.status == 2
    assert ended.findings("mpulse")["connect"] == (
        "error",
        f"no connection to 127.0.0.1:{closed_port} (Connection refused): it is down, or behind a firewall",
    )


def test_a_slow_vendor_and_one_that_is_too_slow(sandbox: Sandbox) -> None:
    """Half the timeout is worth a warning; past it there is no answer."""
    sandbox.mpulse.switches = Switches(slow_seconds=2.6)  # a busy machine may take two seconds more
    slow, too_slow = mpulse(sandbox, timeout="5"), mpulse(sandbox, timeout="0.2")

    assert (slow.status, slow.levels("mpulse")["slow"]) == (1, "warning")
    assert (too_slow.status, too_slow.levels("mpulse")["no_answer"]) == (2, "error")


def test_a_redirect(sandbox: Sandbox) -> None:
    """It is told, and not followed."""
    sandbox.mpulse.switches = Switches(answer="redirect")
    ended = mpulse(sandbox)

    assert (ended.status, ended.levels("mpulse")["redirected"]) == (2, "error")
    assert "followed_redirect" not in json.dumps(sandbox.as_wire()["findings"])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "OTEL_EXPORTER_MPULSE_PROXY"])
def test_a_proxy_that_is_down(sandbox: Sandbox, closed_port: int, variable: str) -> None:
    """The proxy is named, without its password, and what chooses it: the exporters' setting comes first."""
    proxy = {variable: f"http://me:hidden@127.0.0.1:{closed_port}"}
    ended = call("doctor", "mpulse", "--json", **mpulse_environment(sandbox), **proxy)

    assert ended.status == 2
    sentence = ended.findings("mpulse")["proxy"][1]
    assert sentence.startswith(f"the proxy …@127.0.0.1:{closed_port} cannot be reached (Connection refused)")
    assert "hidden" not in ended.out


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "proxy",
    [
        "http://u:S3C/R3T@127.0.0.1:1",
        "http://u:12#S3CR3T@127.0.0.1:1",
        "u:S3C/R3T@127.0.0.1:1",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://127.0.0.1:0",
        "htp://127.0.0.1:1",
    ],
)
def test_a_proxy_that_is_none(variable: str, proxy: str) -> None:
    """The variable is named, and nothing of what may be a password."""
    mpulse_of_akamai = {"OTEL_EXPORTER_MPULSE_API_KEY": "A", "OTEL_EXPORTER_MPULSE_DOMAIN": "x.y"}
    ended = call("doctor", "mpulse", "--json", **mpulse_of_akamai, **{variable: proxy})

    assert (ended.status, ended.err) == (2, "")
    assert ended.findings("mpulse")["proxy"] == (
        "error",
        (
            f"the proxy that {variable} names is none: expected a URL such as http://host:8080, "
            "what is not plain in user and password percent-encoded (/ as %2F)"
        ),
    )
    assert not re.search("S3C|R3T", ended.out)


def test_a_proxy_that_is_none_on_the_way_to_the_collector(sandbox: Sandbox) -> None:
    """Though NO_PROXY spares the configuration of it."""
    settings = MPulseSettings.read(**sandbox.mpulse_settings)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HTTPS_PROXY", "http://u:S3C/R3T@127.0.0.1:1")
        obstacle = unreachable("https://17de4c15.akstat.io/", settings)

    assert obstacle is not None
    assert obstacle.startswith("the proxy that HTTPS_PROXY names is none")
    assert "S3C" not in obstacle


@pytest.mark.parametrize(
    ("broken", "check", "still"),
    [
        ("otel_vendor_exporters.doctor.spool.spool_files", "spool", "accepted"),
        ("otel_vendor_exporters.doctor.network.skew_seconds", "clock", "accepted"),
        ("otel_vendor_exporters.doctor.definitions.counted", "names", "collector_reached"),
        ("otel_vendor_exporters.doctor.mpulse.config_request", "credentials", "right"),
        ("otel_vendor_exporters.doctor.configuration.nearest", "settings", None),
    ],
)
def test_a_fault_of_ours(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: str,
    check: str,
    still: str | None,
) -> None:
    """It is told as that by its place, without the error's words; the other checks go on."""

    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("S3CR3T")

    monkeypatch.setattr(broken, fail)
    odd = {"OTEL_EXPORTER_MPULSE_SPOOLDIR": "x"} if still is None else {}
    for name, value in {**mpulse_environment(sandbox, spool_dir=str(tmp_path)), **odd}.items():
        monkeypatch.setenv(name, value)
    status = here("doctor", "mpulse", "--json")

    out, err = capsys.readouterr()
    ended = Call(status, out, err)
    (fault,) = (one for one in ended.form["sections"][1]["findings"] if one["code"] == "fault")
    assert (status, err, fault["level"], fault["check"]) == (2, "", "error", check)
    assert "by a fault in this library (ZeroDivisionError in doctor/" in fault["sentence"]
    assert still is None or still in ended.levels("mpulse")
    assert "S3CR3T" not in out


@pytest.mark.parametrize("name", ["ca_file", "client_certificate"])
def test_a_certificate_that_is_not_there(sandbox: Sandbox, name: str) -> None:
    """A path that leads nowhere is told by its name, before anybody is asked."""
    ended = mpulse(sandbox, **{name: "/no/such.pem"})

    assert ended.status == 2
    assert f"{name} is '/no/such.pem': expected a PEM file" in ended.findings("mpulse")["wrong_setting"][1]


def test_an_authority_that_is_none(sandbox: Sandbox, tmp_path: Path) -> None:
    """A file without a certificate is told as that, before anybody is asked."""
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    ended = mpulse(sandbox, ca_file=str(empty))

    assert ended.status == 2
    sentence = ended.findings("mpulse")["wrong_setting"][1]
    problem = f"ca_file is {str(empty)!r} (NO_CERTIFICATE_OR_CRL_FOUND)"
    assert sentence == f"{problem}: expected a PEM file with the certificates of authorities"


@pytest.mark.parametrize("trusted", [True, False])
def test_the_authority_of_the_settings_is_trusted(sandbox: Sandbox, tmp_path: Path, trusted: bool) -> None:
    """The doctor goes the way of the exporters, with their ca_file: with another one there is no TLS."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    server = Loopback(http(lambda _: Answer(200, body=b"{}")), tls=tls)
    ended = mpulse(sandbox, config_url=f"{server.url}/config.json", ca_file=str(file))
    server.close()

    assert ("tls" in ended.findings("mpulse")) is not trusted


def test_no_tls(sandbox: Sandbox) -> None:
    """What is no TLS, or none that can be trusted, is told as that."""
    ended = mpulse(sandbox, config_url=sandbox.config_url.replace("http:", "https:"))

    assert (ended.status, ended.levels("mpulse")["tls"]) == (2, "error")


@pytest.mark.parametrize(("seconds", "level"), [(-60, "warning"), (3_600, "error")])
def test_a_skewed_clock(sandbox: Sandbox, seconds: int, level: str) -> None:
    """The vendor's Date says how far this machine's clock is off, and in which direction."""
    sandbox.answer_next(202, headers={"Date": formatdate(time() - seconds, usegmt=True)}, on="events")
    ended = mparticle(sandbox)

    way = "ahead of" if seconds > 0 else "behind"
    found, sentence = ended.findings("mparticle")["skewed"]
    assert (found, ended.status) == (level, 2 if level == "error" else 1)
    assert f"s {way} 127.0.0.1's: times that are sent are wrong" in sentence


def test_a_clock_that_agrees(sandbox: Sandbox) -> None:
    """A Date of now, cut to whole seconds, is no skew."""
    sandbox.answer_next(202, headers={"Date": formatdate(time(), usegmt=True)}, on="events")

    assert mparticle(sandbox).levels("mparticle")["agrees"] == "ok"
