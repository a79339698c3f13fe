"""mParticle selected without code: ordinary log calls and spans of an application that knows none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from tests.no_code import run

LOGGING = """
import logging

log = logging.getLogger("shop")
log.setLevel(logging.INFO)

log.info("a line for the log file alone")
log.info("signed up", extra={"otel.event.name": "Signed up", "user.id": "u-1", "plan": "gold"})
log.info("nobody's", extra={"otel.event.name": "Cart emptied"})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("no total", extra={"user.id": "u-1"})
"""

TRACING = """
from opentelemetry import trace

tracer = trace.get_tracer("shop")
with tracer.start_as_current_span("checkout", attributes={"user.id": "u-1"}) as span:
    span.add_event("Coupon used", {"coupon": "SPRING"})
    span.record_exception(ValueError("bad card"))
"""

YAML = """
file_format: "1.0"
resource:
  attributes: [{name: service.name, value: shop}, {name: deployment.environment.name, value: test}]
propagator:
  composite: [{tracecontext: }, {baggage: }]
logger_provider:
  processors:
    - batch:
        exporter:
          mparticle: &feed
            api_key: "${KEY}"
            api_secret: "${SECRET}"
            base_url: "${BASE_URL}"
            anonymous: send
            timeout: ${TIMEOUT:-7}
            event_types: {"Signed *": user_preference}
tracer_provider:
  processors:
    - batch:
        exporter:
          mparticle: *feed
instrumentation/development:
  python:
    logging: {}
"""


def variables(sandbox: Sandbox, **settings: str) -> dict[str, str]:
    """The sandbox's feed as environment variables, and more settings."""
    feed = {name: sandbox.mparticle_settings[name] for name in ("api_key", "api_secret", "base_url")}
    return {
        f"OTEL_EXPORTER_MPARTICLE_{name.upper()}": str(value) for name, value in (feed | settings).items()
    }


def signals(**exporters: str) -> dict[str, str]:
    """The exporters of these signals, and none for the others."""
    return {
        f"OTEL_{signal.upper()}_EXPORTER": exporters.get(signal, "none")
        for signal in ("traces", "metrics", "logs")
    }


def test_log_calls_are_events_without_a_change_to_the_application(sandbox: Sandbox, tmp_path: Path) -> None:
    """Calls with an event name or an exception arrive, with and without a user; a plain line stays here."""
    output = run(tmp_path, LOGGING, **signals(logs="mparticle"), **variables(sandbox, anonymous="send"))

    received = sandbox.received
    named = received.mparticle.user(customer_id="u-1")
    assert [event.type for event in named.events] == ["custom_event", "crash_report"], output
    signed_up, crash = named.events
    assert signed_up.name == "Signed up"
    assert signed_up.attributes.items() >= {"plan": "gold", "log.logger": "shop"}.items()
    assert tuple(crash.data[key] for key in ("class_name", "message", "exception_handled")) == (
        "ZeroDivisionError",
        "division by zero",
        True,
    )
    assert sorted(event.name for event in received.mparticle.events) == [
        "Cart emptied",
        "Signed up",
        "ZeroDivisionError",
    ]
    assert received.codes == ("no_identity",)  # the sandbox warns of what was asked for


def test_records_of_nobody_stay_here_unless_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without the setting, only what happened to a user is sent."""
    output = run(tmp_path, LOGGING, **signals(logs="mparticle"), **variables(sandbox))

    types = [event.type for event in sandbox.received.mparticle.events]
    assert types == ["custom_event", "crash_report"], output


def test_span_events_are_events(sandbox: Sandbox, tmp_path: Path) -> None:
    """The traces exporter tells the user's span events, exceptions among them."""
    output = run(tmp_path, TRACING, **signals(traces="mparticle"), **variables(sandbox))

    events = sandbox.received.mparticle.user(customer_id="u-1").events
    assert [event.type for event in events] == ["custom_event", "crash_report"], output
    assert events[0].data["event_name"] == "Coupon used"
    assert events[1].data["message"] == "bad card"
    assert sandbox.received.findings == ()
    assert output == ""


@pytest.mark.parametrize(
    ("program", "types"),
    [
        (LOGGING, {"Signed up": "user_preference", "Cart emptied": "other", "ZeroDivisionError": None}),
        (TRACING, {"Coupon used": "other", "ValueError": None}),
    ],
    ids=["logs", "traces"],
)
def test_the_yaml_file(sandbox: Sandbox, tmp_path: Path, program: str, types: dict[str, str | None]) -> None:
    """OTEL_CONFIG_FILE builds the exporters from the keys of the file, typed and substituted."""
    config = tmp_path / "otel.yaml"
    config.write_text(YAML)
    feed = sandbox.mparticle_settings

    output = run(
        tmp_path,
        program,
        OTEL_CONFIG_FILE=str(config),
        KEY=feed["api_key"],
        SECRET=feed["api_secret"],
        BASE_URL=feed["base_url"],
    )

    received = sandbox.received
    assert {one.name: one.data.get("custom_event_type") for one in received.mparticle.events} == types, output
    assert {batch.environment for batch in received.mparticle.batches} == {"development"}
    assert set(received.codes) <= {"no_identity"}


def test_a_missing_secret_is_told_and_the_application_runs(tmp_path: Path) -> None:
    """Without the secret the application runs on, and the log names the variable to set."""
    output = run(tmp_path, LOGGING, **signals(logs="mparticle"), OTEL_EXPORTER_MPARTICLE_API_KEY="key")

    assert "api_secret is missing: pass api_secret= or set OTEL_EXPORTER_MPARTICLE_API_SECRET" in output
