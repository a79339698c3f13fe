"""Selection without code: environment variables alone, and the YAML file, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from otel_vendor_exporters.sandbox import Sandbox
from tests.no_code import run

APPLICATION = """
from opentelemetry import metrics, trace

with trace.get_tracer("app").start_as_current_span("Checkout", attributes={"tier": "gold"}):
    metrics.get_meter("app").create_counter("Orders").add(2)
"""

YAML = """
file_format: "1.0"
resource:
  attributes: [{name: service.name, value: shop}]
tracer_provider:
  processors:
    - batch:
        exporter:
          mpulse:
            api_key: "${KEY}"
            domain: "${DOMAIN}"
            config_url: "${CONFIG_URL}"
            timeout: ${TIMEOUT:-7}
            dimensions: {tier: Plan}
meter_provider:
  readers:
    - periodic:
        exporter:
          mpulse:
            api_key: "${KEY}"
            domain: "${DOMAIN}"
            config_url: "${CONFIG_URL}"
            timeout: 7
"""


def test_environment_variables_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """OTEL_TRACES_EXPORTER=mpulse and OTEL_METRICS_EXPORTER=mpulse are all that an application needs."""
    settings = sandbox.mpulse_settings

    output = run(
        tmp_path,
        APPLICATION,
        OTEL_TRACES_EXPORTER="mpulse",
        OTEL_METRICS_EXPORTER="mpulse",
        OTEL_LOGS_EXPORTER="none",
        OTEL_EXPORTER_MPULSE_DIMENSIONS="tier=Plan",
        **{f"OTEL_EXPORTER_MPULSE_{name.upper()}": str(value) for name, value in settings.items()},
    )

    received = sandbox.received
    assert [name for name, _ in received.timers] == ["Checkout"], output
    assert received.metrics == {"Orders": 2}
    assert {beacon.dimensions for beacon in received.beacons if beacon.timers} == {(("Plan", "gold"),)}
    assert received.findings == ()
    assert output == ""


def test_the_yaml_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """OTEL_CONFIG_FILE builds both exporters from the keys of the file, typed and substituted."""
    config = tmp_path / "otel.yaml"
    config.write_text(YAML)
    settings = sandbox.mpulse_settings

    output = run(
        tmp_path,
        APPLICATION,
        OTEL_CONFIG_FILE=str(config),
        KEY=settings["api_key"],
        DOMAIN=settings["domain"],
        CONFIG_URL=settings["config_url"],
    )

    received = sandbox.received
    assert [name for name, _ in received.timers] == ["Checkout"], output
    assert received.metrics == {"Orders": 2}
    assert {beacon.dimensions for beacon in received.beacons if beacon.timers} == {(("Plan", "gold"),)}
    assert received.findings == ()


def test_a_missing_setting_is_told_and_the_application_runs(tmp_path: Path) -> None:
    """Without an API key the application runs on, and the log names the variable to set."""
    output = run(
        tmp_path,
        APPLICATION,
        OTEL_TRACES_EXPORTER="mpulse",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )

    assert "api_key is missing: pass api_key= or set OTEL_EXPORTER_MPULSE_API_KEY" in output
