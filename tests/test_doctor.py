"""`doctor` as people run it: real processes against the real sandbox, over HTTP."""

from __future__ import annotations

import json
import socket
import ssl
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
import trustme

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
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

SHOP = """
import instrumentation
from instrumentation import counted as tally, timed
from instrumentation.decorators import timed as stopwatch


@timed("Checkout")
@tally("orders")
def checkout(): ...


@timed("Chekout")
@tally("revenu")
def misspelt(): ...


class Basket:
    @instrumentation.timed
    async def add(self):
        with stopwatch("search"):
            ...


@timed(name="Lookup", record="metric")
@timed(f"{1}")
def lookup(): ...
"""


def mpulse(sandbox: Sandbox, *arguments: str, **changes: str) -> Call:
    return call("doctor", "mpulse", "--json", *arguments, **mpulse_environment(sandbox, **changes))


def mparticle(sandbox: Sandbox, **changes: str) -> Call:
    return call("doctor", "mparticle", "--json", **mparticle_environment(sandbox, **changes))


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


# All well


def test_well_configured(sandbox: Sandbox) -> None:
    """Status 0; every check of both vendors is well, and neither vendor has counted anything."""
    environment = {
        **mpulse_environment(sandbox),
        **mparticle_environment(sandbox),
        **analytics_environment(sandbox),
    }
    ended = call("doctor", "--json", OTEL_TRACES_EXPORTER="none", **environment)

    assert (ended.status, ended.err) == (0, "")
    assert (ended.form["errors"], ended.form["warnings"]) == (0, 0)
    assert ended.levels("installation")["fit"] == "ok"
    assert ended.levels("mpulse").items() >= {
        ("right", "ok"),
        ("reached", "ok"),
        ("accepted", "ok"),
        ("defined", "ok"),
        ("collector_reached", "ok"),
    }
    assert ended.levels("mparticle").items() >= {("right", "ok"), ("reached", "ok"), ("accepted", "ok")}
    assert sandbox.received.timers == []
    assert sandbox.as_wire()["requests"] == {
        "mpulse": {"config": 1},
        "mparticle": {"events": 1},
        "mparticle_analytics": {"track": 1},
    }
    assert sandbox.as_wire()["vendors"]["mparticle_analytics"]["events"] == {}  # type: ignore[index]
    codes = [finding["code"] for finding in sandbox.as_wire()["findings"]]  # type: ignore[attr-defined]  # a list
    assert codes == []  # the doctor's questions are no mistakes
    assert ended.levels("mparticle")["agrees"] == "ok"  # the clock


def test_the_text_tells_values_and_sources_and_no_secret(sandbox: Sandbox) -> None:
    """Each setting with the variable it came from; secrets as stars; what is by default, too."""
    ended = call("doctor", **mpulse_environment(sandbox), **mparticle_environment(sandbox))

    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert ended.status == 0
    assert "domain = www.example.com from OTEL_EXPORTER_MPULSE_DOMAIN" in lines
    assert "api_secret = ***** from OTEL_EXPORTER_MPARTICLE_API_SECRET" in lines
    assert "by default: rest_secret=none, user_agent=otel-vendor-exporters/" in ended.out
    assert "2 dimensions: Country, Plan" in " ".join(lines)
    assert sandbox.mparticle.api_secret not in ended.out
    assert lines[-1] == "all well"
    assert max(map(len, ended.out.splitlines())) <= 110


def test_the_json_form(sandbox: Sandbox) -> None:
    """Its schema is what programs may count on."""
    form = mparticle(sandbox).form

    assert form.keys() == {"schema", "exit_status", "errors", "warnings", "sections"}
    assert form["schema"] == 1
    assert [section["name"] for section in form["sections"]] == ["installation", "mparticle"]
    for section in form["sections"]:
        assert section.keys() == {"name", "configured", "settings", "findings"}
        for finding in section["findings"]:
            assert finding.keys() == {"level", "check", "code", "sentence", "details"}
            assert finding["level"] in ("ok", "info", "warning", "error")
    (secret,) = (one for one in form["sections"][1]["settings"] if one["name"] == "api_secret")
    assert secret == {
        "name": "api_secret",
        "value": "*****",
        "source": "environment",
        "variable": "OTEL_EXPORTER_MPARTICLE_API_SECRET",
    }
    assert sandbox.mparticle.api_secret not in json.dumps(form)


# Settings


def test_nothing_configured() -> None:
    """Vendors without settings are no errors; that there is none at all is a warning."""
    ended = call("doctor", "--json")

    assert (ended.status, ended.form["errors"], ended.form["warnings"]) == (1, 0, 1)
    assert ended.levels("mpulse") == {"not_configured": "info"}
    assert ended.levels("mparticle") == {"not_configured": "info"}
    assert ended.levels("mparticle_analytics") == {"not_configured": "info"}
    assert ended.levels("installation")["nothing_configured"] == "warning"


def test_settings_that_are_missing_or_wrong(sandbox: Sandbox) -> None:
    """Every wrong setting is told, with where it came from; nobody is asked."""
    ended = mpulse(sandbox, api_key="", timeout="soon", connections="99")

    told = [one["sentence"] for one in ended.form["sections"][1]["findings"]]
    assert ended.status == 2
    assert told == [
        "api_key is missing: set OTEL_EXPORTER_MPULSE_API_KEY",
        "timeout is 'soon' (from environment variable OTEL_EXPORTER_MPULSE_TIMEOUT): expected a number",
        "connections is 99 (from environment variable OTEL_EXPORTER_MPULSE_CONNECTIONS): expected at most 64",
    ]
    assert sandbox.as_wire()["recent"] == []


def test_settings_that_do_not_go_together(sandbox: Sandbox) -> None:
    """What only all settings together show is told, too, without a password in an address."""
    ended = mpulse(sandbox, config_url="https://me:hidden@example.com/c.json")

    assert ended.status == 2
    assert "config_url is" in ended.findings("mpulse")["wrong_setting"][1]
    assert "hidden" not in ended.out + ended.err


def test_a_variable_that_nobody_reads(sandbox: Sandbox) -> None:
    """A misspelt variable is told with the right one; those of other vendors are theirs."""
    environment = {
        **mparticle_environment(sandbox),
        **analytics_environment(sandbox),
        "OTEL_EXPORTER_MPARTICLE_APIKEY": "x",
    }
    ended = call("doctor", "mparticle", "--json", **environment)

    assert ended.status == 1
    assert ended.form["warnings"] == 1
    prefix = "OTEL_EXPORTER_MPARTICLE_"
    assert ended.findings("mparticle")["unread_variable"] == (
        "warning",
        f"{prefix}APIKEY is set, and nobody reads it: did you mean {prefix}API_KEY?",
    )


def test_a_variable_like_no_setting(sandbox: Sandbox) -> None:
    """No other is offered for it."""
    ended = mpulse(sandbox, otlp_protocol="x")

    assert ended.findings("mpulse")["unread_variable"] == (
        "warning",
        "OTEL_EXPORTER_MPULSE_OTLP_PROTOCOL is set, and nobody reads it: no setting has this name",
    )


def test_a_spool_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """Where what waits is kept, and how much that is."""
    ended = mpulse(sandbox, spool_dir=str(tmp_path))

    assert (ended.status, ended.levels("mpulse")["takes_files"]) == (0, "ok")
    assert list(tmp_path.iterdir()) == []


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


# Names


def test_names_in_code(sandbox: Sandbox, tmp_path: Path) -> None:
    """Names of @timed and @counted that mPulse does not define are told with place and nearest name."""
    (tmp_path / "shop.py").write_text(SHOP)
    ended = mpulse(sandbox, "--code", str(tmp_path))

    names = {
        one["details"]["name"]: one["sentence"]
        for one in ended.form["sections"][1]["findings"]
        if one["code"] == "undefined"
    }
    assert ended.status == 1
    assert names.keys() == {"Chekout", "revenu", "Basket.add", "search", "Lookup"}
    assert "shop.py:12) is no custom timer of the app" in names["Chekout"]
    assert names["Chekout"].endswith("did you mean 'Checkout'?")
    assert names["revenu"].endswith(
        "is no custom metric of the app, so it is not sent: did you mean 'Revenue'?"
    )
    assert names["search"].endswith("did you mean 'Search'? Upper and lower case differ")
    assert ended.findings("mpulse")["scanned"] == (
        "ok",
        "1 file read; 2 names that code uses defined",
    )
    assert ended.levels("mpulse")["made_at_run_time"] == "info"


def test_names_in_a_module_that_is_not_imported(sandbox: Sandbox, tmp_path: Path) -> None:
    """A module is named as in an import, and is read, not run."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "tills.py").write_text("from instrumentation import timed\n@timed('Chekout')\ndef f(): ...\n")
    environment = {**mpulse_environment(sandbox), "PYTHONPATH": f"{Path(__file__).parent.parent}:{tmp_path}"}
    ended = call("doctor", "mpulse", "--json", "--code", "shop.tills", "--code", "shop.no", **environment)

    assert ended.status == 1
    assert "tills.py:2) is no custom timer" in ended.findings("mpulse")["undefined"][1]
    assert ended.findings("mpulse")["no_such_code"][1].startswith("shop.no is neither a file")


def test_names_in_the_environment(sandbox: Sandbox) -> None:
    """Functions that the environment decorates are compared, too."""
    environment = {**mpulse_environment(sandbox), "OTEL_VENDOR_INSTRUMENT": "a:b=timed(Serch)"}
    ended = call("doctor", "mpulse", "--json", **environment)

    assert ended.status == 1
    assert "'Serch' (OTEL_VENDOR_INSTRUMENT) is no" in ended.findings("mpulse")["undefined"][1]


def test_names_in_settings(sandbox: Sandbox) -> None:
    """What the mapping settings name must be defined, as what they say it is."""
    ended = mpulse(sandbox, timers="GET /*=Chekout", metrics="q=Queue,c=Checkout", dimensions="a=plan")

    told = [one["sentence"] for one in ended.form["sections"][1]["findings"] if one["level"] == "warning"]
    assert [sentence.replace(" of the app, so it is not sent", "") for sentence in told] == [
        "'Chekout' (timers: GET /*) is no custom timer: did you mean 'Checkout'?",
        "'Checkout' (metrics: c) is no custom metric: it is a custom timer there, and a metric here",
        "'plan' (dimensions: a) is no custom dimension: did you mean 'Plan'? Upper and lower case differ",
    ]


def test_an_app_that_defines_nothing() -> None:
    """Then nothing could ever arrive."""
    with Sandbox(mpulse=MPulseApp(timers=())) as empty:
        ended = mpulse(empty)

    assert (ended.status, ended.levels("mpulse")["none_defined"]) == (1, "warning")


# Selection without code


def test_a_configuration_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """Settings of a YAML file are read as OpenTelemetry reads them, before the environment's."""
    file = tmp_path / "otel.yaml"
    shared = f"domain: www.example.com, config_url: '{sandbox.config_url}'"
    file.write_text(f"""
file_format: "1.0"
tracer_provider:
  processors: [{{batch: {{exporter: {{mpulse: {{api_key: "${{KEY}}", {shared}}}}}}}}}]
meter_provider:
  readers: [{{periodic: {{exporter: {{mpulse: {{api_key: other, {shared}, timeout: 3}}}}}}}}]
logger_provider:
  processors: [{{simple: {{exporter: {{mparticle: }}}}}}]
""")
    environment = {"KEY": sandbox.mpulse.key, "OTEL_EXPORTER_MPULSE_TIMEOUT": "9"}
    ended = call("doctor", "--json", OTEL_CONFIG_FILE=str(file), OTEL_LOGS_EXPORTER="nobody", **environment)

    first = ended.form["sections"][1]
    sources = {one["name"]: (one["value"], one["source"]) for one in first["settings"]}
    assert ended.status == 2
    assert ended.findings("installation")["read"][1].endswith(
        "mpulse for traces, mpulse for metrics, mparticle for logs"
    )
    assert ended.levels("mpulse (traces)")["accepted"] == "ok"
    assert ended.levels("mpulse (metrics)")["refused"] == "error"
    assert ended.levels("mparticle") == {"wrong_setting": "error"}
    assert sources["domain"] == ("www.example.com", "configuration file")
    assert sources["timeout"] == ("9", "environment")


def test_a_configuration_file_that_cannot_be_used(tmp_path: Path) -> None:
    """OpenTelemetry would start nothing with it; its own traceback is spared."""
    (tmp_path / "otel.yaml").write_text("{")
    ended = call("doctor", "--json", OTEL_CONFIG_FILE=str(tmp_path / "otel.yaml"))

    assert (ended.status, ended.err) == (2, "")
    assert ended.levels("installation")["unusable"] == "error"


def test_an_exporter_of_another_signal_stops_everything(sandbox: Sandbox) -> None:
    """Exporters that the environment selects and nobody brings are errors, each with its way out."""
    selection = {
        "OTEL_TRACES_EXPORTER": "mpulse",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "mpulse",
    }
    ended = call("doctor", "mpulse", "--json", **mpulse_environment(sandbox), **selection)

    assert ended.status == 2
    assert ended.findings("installation")["not_installed"][1] == (
        "OTEL_LOGS_EXPORTER selects mpulse, no exporter of logs that is installed, and "
        "opentelemetry-instrument then starts no telemetry at all: it exports traces and metrics"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("doctor", "akamai"),
            "there is no vendor 'akamai': choose from mpulse, mparticle, mpar",
        ),
        (("doctor", "--code"), "--code: expected one argument"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    """Status 2, how to call it, and what was wrong."""
    status = here(*arguments)

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert said in err
