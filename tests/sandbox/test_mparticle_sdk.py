"""What the official Python SDK sends, and what the command line prints, work against the sandbox."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter

import pytest
import requests

from otel_vendor_exporters.sandbox import MParticleApp, Sandbox
from tests.sandbox.mparticle_http import batch

UPLOAD_WITH_SDK = """
import sys
import mparticle
from mparticle import (AppEvent, Batch, CommerceEvent, DeviceInformation, Product, ProductAction,
    ScreenViewEvent, SessionEndEvent, SessionStartEvent, UserIdentities)

configuration = mparticle.Configuration()
configuration.api_key, configuration.api_secret, configuration.host = sys.argv[1:4]
whole = Batch(environment="development")
whole.user_identities = UserIdentities(customerid="123456", email="a@b.c", other_id_10="x")
whole.device_info = DeviceInformation(platform="iOS", screen_height=480)
whole.user_attributes = {"$age": "18", "list": ["a", "b"]}
product = Product(); product.id = "sku"; product.name = "Shoe"; product.price = 19.99
action = ProductAction("purchase"); action.products = [product]; action.transaction_id = "t-1"
whole.events = [
    SessionStartEvent(session_id=5),
    AppEvent("click", "navigation", custom_attributes={"a": "b", "i": 1, "t": True, "n": None}),
    ScreenViewEvent(screen_name="Home"),
    CommerceEvent(action),
    SessionEndEvent(session_duration_ms=6000),
]
mparticle.EventsApi(configuration).upload_events(whole)
"""


@pytest.mark.skipif(importlib.util.find_spec("mparticle") is None, reason="the official SDK is not installed")
def test_live_mode_takes_what_the_official_sdk_sends() -> None:
    """Five events of one user arrive; what the published schema says against them is warned of."""
    with Sandbox(mparticle=MParticleApp(mode="live")) as sandbox:
        settings = sandbox.mparticle_settings
        arguments = (settings["api_key"], settings["api_secret"], f"{settings['base_url']}/v2")
        command = [sys.executable, "-c", UPLOAD_WITH_SDK, *arguments]
        subprocess.run(command, check=True, timeout=30, capture_output=True)

        types = Counter(one.type for one in sandbox.received.mparticle.events)
        assert types == dict.fromkeys(
            ("session_start", "custom_event", "screen_view", "commerce_event", "session_end"), 1
        )
        assert sandbox.received.mparticle.user(customer_id="123456").attributes["list"] == ["a", "b"]
        assert sandbox.received.errors == ()
        codes = set(sandbox.received.codes)
        assert {"unknown_key:user_identities.customerid", "user_agent_leak"} <= codes


def test_the_command_line_prints_settings_that_work() -> None:
    """A batch only live mode takes, sent with the printed key, secret and address, is taken."""
    command = [sys.executable, "-u", "-m", "otel_vendor_exporters", "sandbox", "--port", "0"]
    command += ["--mparticle-mode", "live"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            printed: dict[str, str] = {}
            for line in process.stdout:
                printed.update(re.findall(r"export OTEL_EXPORTER_MPARTICLE_(\w+)=(\S+)", line))
                if line.startswith("What arrived"):
                    break
            response = requests.post(
                f"{printed['BASE_URL']}/v2/events",
                json=batch(schema_version=2),
                auth=(printed["API_KEY"], printed["API_SECRET"]),
                timeout=5,
            )
        finally:
            process.terminate()
    assert response.status_code == 202
    assert printed["WEB_API_KEY"].startswith("us1-")
