"""Selection without code: environment variables alone, and the YAML file, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from tests.no_code import run

APPLICATION = """
import logging
from opentelemetry import trace
from opentelemetry._logs import get_logger

extra = {"otel.event.name": "Order placed", "user.id": "u1", "total": 3}
logging.getLogger("shop").warning("order placed", extra=extra)
get_logger("shop").emit(event_name="Cart opened", attributes={"customer": "u1", "user.id": "u1"})
with trace.get_tracer("shop").start_as_current_span("GET /", attributes={"user.id": "u1"}) as span:
    span.add_event("Clicked", {"customer": "u1"})
"""

YAML = """
file_format: "1.0"
tracer_provider:
  processors:
    - simple:
        exporter: {mparticle_analytics: {api_key: "${KEY}", base_url: "${BASE_URL}"}}
logger_provider:
  processors:
    - batch:
        exporter:
          mparticle_analytics:
            api_key: "${KEY}"
            base_url: "${BASE_URL}"
            user_id_from: [customer]
            event_names: {"Cart *": "Shop: {name}"}
"""


HANDLERS = {
    "of the instrumentation": {"OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "true"},
    "of the SDK": {"OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true"},
}


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_the_same_events_go_to_mparticle_and_to_analytics(
    sandbox: Sandbox, tmp_path: Path, handler: dict[str, str]
) -> None:
    """OTEL_LOGS_EXPORTER=mparticle,mparticle_analytics: ordinary logging calls arrive at both."""
    analytics, mparticle = sandbox.mparticle_analytics_settings, sandbox.mparticle_settings

    output = run(
        tmp_path,
        APPLICATION,
        OTEL_LOGS_EXPORTER="mparticle,mparticle_analytics",
        OTEL_TRACES_EXPORTER="mparticle_analytics",
        OTEL_METRICS_EXPORTER="none",
        **handler,
        **{f"OTEL_EXPORTER_MPARTICLE_ANALYTICS_{key.upper()}": str(one) for key, one in analytics.items()},
        **{f"OTEL_EXPORTER_MPARTICLE_{key.upper()}": str(one) for key, one in mparticle.items()},
    )

    received = sandbox.received
    user = received.mparticle_analytics.user("u1")
    assert sorted(event.name for event in user.events) == ["Cart opened", "Clicked", "Order placed"], output
    assert sorted(str(event.data["event_name"]) for event in received.mparticle.events) == [
        "Cart opened",
        "Order placed",
    ]
    assert received.findings == ()


def test_the_yaml_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """Lists and maps of the file are settings, each exporter with its own."""
    config = tmp_path / "otel.yaml"
    config.write_text(YAML)
    settings = sandbox.mparticle_analytics_settings

    output = run(
        tmp_path,
        APPLICATION,
        OTEL_CONFIG_FILE=str(config),
        KEY=settings["api_key"],
        BASE_URL=settings["base_url"],
    )

    events = sandbox.received.mparticle_analytics.events
    assert sorted(event.name for event in events) == ["Clicked", "Shop: Cart opened"], output
    assert sandbox.received.findings == ()
