"""`doctor` as people run it, against the real sandbox: what it tells, of which settings, from where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from tests.command import analytics_environment, call, here, mparticle_environment, mpulse_environment
from tests.doctor_calls import mparticle, mpulse

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


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("OTEL_EXPORTER_MPLUSE_API_KEY", "did you mean OTEL_EXPORTER_MPULSE_API_KEY?"),
        ("OTEL_EXPORTER_MPULS_DOMAIN", "did you mean OTEL_EXPORTER_MPULSE_DOMAIN?"),
        ("OTEL_EXPORTERS_MPULSE_DOMAIN", "did you mean OTEL_EXPORTER_MPULSE_DOMAIN?"),
        ("OTEL_MPULSE_CONFIG_URL", "no setting has this name"),
        ("OTEL_EXPORTER_MPARTCLE_API_SECRET", "did you mean OTEL_EXPORTER_MPARTICLE_API_SECRET?"),
        (
            "OTEL_EXPORTER_MPARTICEL_ANALYTICS_API_KEY",
            "did you mean OTEL_EXPORTER_MPARTICLE_ANALYTICS_API_KEY?",
        ),
        ("OTEL_VENDOR_INSTRUMNT", "did you mean OTEL_VENDOR_INSTRUMENT?"),
        ("OTEL_VENDER_INSTRUMENT_FILE", "did you mean OTEL_VENDOR_INSTRUMENT_FILE?"),
        ("OTEL_VENDOR_VISITORS", "no setting has this name"),
    ],
)
def test_a_variable_with_a_misspelt_prefix(variable: str, hint: str) -> None:
    """It is told with the one that was meant, though no vendor is configured by it; its value is not."""
    ended = call("doctor", "--json", **{variable: "S3CR3T"})

    assert ended.status == 1
    assert ended.findings("installation")["unread_variable"] == (
        "warning",
        f"{variable} is set, and nobody reads it: {hint}",
    )
    assert "S3CR3T" not in ended.out


def test_a_variable_with_a_misspelt_second_word(sandbox: Sandbox) -> None:
    """One vendor's prefix begins another's: what was meant may be the other's."""
    environment = {**mparticle_environment(sandbox), "OTEL_EXPORTER_MPARTICLE_ANALITICS_API_KEY": "x"}
    ended = call("doctor", "mparticle", "--json", **environment)

    assert ended.findings("mparticle")["unread_variable"][1].endswith(
        "did you mean OTEL_EXPORTER_MPARTICLE_ANALYTICS_API_KEY?"
    )


def test_variables_of_others_are_theirs(sandbox: Sandbox) -> None:
    """However like ours their ends are."""
    foreign = [
        *("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_ANY"),
        *("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_ZIPKIN_TIMEOUT", "OTEL_EXPORTER_PROMETHEUS_A"),
        *("OTEL_EXPORTER_JAEGER_USER", "OTEL_EXPORTER_GCP_TRACE_PROJECT_ID", "OTEL_SERVICE_NAME"),
        *("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS", "OTEL_BSP_X"),
        *("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_CONSOLE_TIMEOUT", "OTEL_SEMCONV_STABILITY_OPT_IN"),
        *("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "HOTEL_VENDOR_ID", "MPULSE_API_KEY"),
    ]
    ended = call("doctor", "mpulse", "--json", **mpulse_environment(sandbox), **dict.fromkeys(foreign, "1"))

    assert "unread_variable" not in {**ended.findings("installation"), **ended.findings("mpulse")}


def test_a_spool_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """Where what waits is kept, and how much that is."""
    ended = mpulse(sandbox, spool_dir=str(tmp_path))

    assert (ended.status, ended.levels("mpulse")["takes_files"]) == (0, "ok")
    assert list(tmp_path.iterdir()) == []


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
