"""Every reason code of the sandbox's Events API: what provokes it, and how each mode takes it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import otel_vendor_exporters.sandbox
from otel_vendor_exporters.sandbox import Sandbox
from tests.sandbox.mparticle_http import (
    BULK,
    HISTORICAL,
    NOW_MS,
    SESSION,
    Json,
    app,
    batch,
    changed,
    event,
    last_upload,
    post,
)

DAY_MS = 86_400_000
TIME = "timestamp_unixtime_ms"
PLACE: Json = {"latitude": 1, "longitude": 1}
COMMERCE: Json = {"product_action": {"action": "purchase", "products": [{"id": "sku"}]}}


def data(**more: Any) -> Json:
    """The good batch with its event's data completed."""
    return batch(event(**more))


def of(kind: str, **more: Any) -> Json:
    """A batch with one event of a type."""
    return batch(event(kind, **more))


def attributes(**more: Any) -> Json:
    return data(custom_attributes=more)


def device(**more: Any) -> Json:
    return batch(device_info=more)


def without(name: str) -> Json:
    return changed(lambda content: content.pop(name))


# Refused whatever the mode: the server cannot read it.
FATAL: list[tuple[str, object]] = [
    ("wrong_type:events", batch(events={})),
    ("wrong_type:events", batch(events=["x"])),
    ("wrong_type:user_identities", batch(user_identities=[])),
    ("wrong_type:user_attributes.a", batch(user_attributes={"a": {"b": 1}})),
    ("wrong_type:user_attributes.a", batch(user_attributes={"a": [["b"]]})),
    ("wrong_type:data.custom_attributes.a", attributes(a={"b": 1})),
    ("wrong_type:data.custom_attributes.a", attributes(a=["b"])),
    ("wrong_type:data.event_name", data(event_name={})),
    ("wrong_type:device_info.screen_height", device(screen_height="tall")),
    ("wrong_type:device_info.screen_height", device(screen_height=1.5)),
    ("wrong_type:device_info.screen_height", device(screen_height=True)),
    ("wrong_type:device_info.is_tablet", device(is_tablet="perhaps")),
    ("wrong_type:device_info.is_tablet", device(is_tablet=[])),
    ("wrong_type:data.location.latitude", data(location={"latitude": "north", "longitude": 1})),
    ("wrong_type:data.location.latitude", data(location={"latitude": [], "longitude": 1})),
    ("out_of_range:device_info.screen_height", device(screen_height=2**31)),
    ("out_of_range:mpid", batch(mpid=2**63)),
    (
        "out_of_range:data.location.accuracy",
        data(location={"latitude": 1, "longitude": 1, "accuracy": 10**400}),
    ),
    ("not_uuid:device_info.ios_idfv", device(ios_idfv="not-a-guid")),
    ("not_uuid:mp_deviceid", batch(mp_deviceid="5")),
    ("not_in_list:environment", batch(environment="staging")),
    ("not_in_list:data.custom_event_type", data(custom_event_type="Navigation")),
    ("not_in_list:device_info.platform", device(platform="ios")),
    ("unknown_event_type", of("page_view")),
    ("missing:event_type", batch({"data": {}})),
    ("missing:event_type", batch({"event_type": "", "data": {}})),
    ("missing:data", batch({"event_type": "first_run"})),
    ("missing:data.event_name", data(event_name="")),
    ("missing:data.event_name", data(event_name=None)),
    ("missing:data.url", of("network_performance", response_code=200)),
    ("missing:data.is_opted_out", of("opt_out")),
    ("missing:data.label", of("breadcrumb")),
    ("missing:data.previous_mpid", of("profile", current_mpid=1, profile_event_type="login")),
    ("missing:context.data_plan.plan_id", batch(context={"data_plan": {"plan_version": 1}})),
    (
        "missing:consent_state.gdpr.a.consented",
        batch(consent_state={"gdpr": {"a": {"timestamp_unixtime_ms": 1}}}),
    ),
    ("missing:data.product_action.action", of("commerce_event", product_action={})),
]

# Refused by the published schema; the live server takes it, and the sandbox warns.
SCHEMA: list[tuple[str, object]] = [
    ("unknown_key:schema_version", batch(schema_version=2)),
    ("unknown_key:user_identities.customerid", batch(user_identities={"customerid": "1"})),
    ("unknown_key:user_identities.other2", batch(user_identities={"other2": "1"})),
    ("unknown_key:further", batch(further=1)),
    ("unknown_key:device_info.colour", device(colour="red")),
    ("unknown_key:consent_state.ccpa.x", batch(consent_state={"ccpa": {"x": {}}})),
    ("unknown_key:further", batch({**event(), "further": 1})),
    ("not_in_list:data.custom_event_type", data(custom_event_type="attribution")),
    ("not_in_list:environment", batch(environment="unknown")),
    ("not_in_list:device_info.platform", device(platform="desktop")),
    ("loose_type:mpid", batch(mpid="5")),
    ("loose_type:mpid", batch(mpid=5.0)),
    ("loose_type:data.response_code", of("network_performance", url="u", response_code="200")),
    ("loose_type:data.location.latitude", data(location={"latitude": "1.5", "longitude": 1})),
    ("loose_type:device_info.is_tablet", device(is_tablet="true")),
    ("loose_type:application_info.application_version", batch(application_info={"application_version": 2})),
    (
        "loose_type:data.product_action.products.custom_attributes.size",
        of(
            "commerce_event",
            product_action={"action": "click", "products": [{"custom_attributes": {"size": 42}}]},
        ),
    ),
    ("not_uuid:data.session_uuid", data(session_uuid="sess-42")),
    ("not_an_address:ip", batch(ip="client.example.com")),
    ("null_value:ip", changed(lambda content: content.update(ip=None))),
    ("null_value:mpid", changed(lambda content: content.update(mpid=None))),
    ("unknown_event_type", of("push_reaction")),
    ("missing:data.screen_name", of("screen_view")),
    ("missing:data.severity", of("crash_report", message="boom")),
    ("missing:data.session_duration_ms", of("session_end")),
    ("missing:data.location.longitude", data(location={"latitude": 1})),
    ("commerce_variants", of("commerce_event")),
    ("commerce_variants", of("commerce_event", **COMMERCE, promotion_action={"action": "view"})),
    ("session_start_fields", of("session_start", session_uuid=SESSION, custom_attributes={"a": "b"})),
]

# Taken with 202 in both modes, and less of it kept: an error, and live a warning.
LOSS: list[tuple[str, object]] = [
    ("unknown_key:data.customAttributes", data(customAttributes={})),
    ("unknown_key:further", batch({**event("uninstall"), "further": 1})),
    ("too_long:event_name", data(event_name="e" * 257)),
    ("too_long:screen_name", of("screen_view", screen_name="e" * 257)),
    (
        "too_long:action_identifier",
        of(
            "push_message",
            push_message_token="t",
            push_message_type="sent",
            push_notification_payload="{}",
            action_identifier="a" * 101,
        ),
    ),
    ("too_long:name:custom_attributes", attributes(**{"k" * 257: "v"})),
    ("too_long:value:custom_attributes", attributes(a="v" * 4_097)),
    ("too_long:value:user_attributes", batch(user_attributes={"a": "v" * 4_097})),
    ("too_long:entry", batch(user_attributes={"a": ["v" * 513]})),
    ("too_many:list", batch(user_attributes={"a": ["v"] * 1_001})),
    ("too_many:user_attributes", batch(user_attributes={f"k{n}": 1 for n in range(101)})),
    ("too_many:custom_attributes", attributes(**{f"k{n}": 1 for n in range(101)})),
    ("too_many_events", batch(*[event()] * 101)),
]

# Taken whole, and worth a word.
ADVICE: list[tuple[str, object]] = [
    ("no_environment", without("environment")),
    ("no_identity", without("user_identities")),
    ("no_source_request_id", without("source_request_id")),
    ("empty_batch", batch(events=[], user_identities=None, mpid=5)),
    ("reserved_attribute", batch(user_attributes={"$age": "5", "$shoe": "42"})),
    ("partner_identities", batch(partner_identities={"a": "b"})),
    ("null_value:data.custom_attributes.a", attributes(a=None)),
    ("server_field:batch_id", batch(batch_id=1)),
    ("server_field:data.session_id", data(session_id=1)),
    ("disputed:data.breadcrumbs", of("crash_report", severity="fatal", message="m", breadcrumbs=[])),
    ("not_in_list:application_info.os", batch(application_info={"os": "BeOS"})),
    ("message_id_not_uuid", data(source_message_id="5")),
    ("no_timestamp", batch({"event_type": "first_run", "data": {}})),
    ("old_event", data(timestamp_unixtime_ms=NOW_MS - 31 * DAY_MS)),
    ("old_event", data(timestamp_unixtime_ms=NOW_MS // 1_000)),
    ("future_event", data(timestamp_unixtime_ms=NOW_MS + 2 * DAY_MS)),
    (
        "transition_fields",
        of(
            "application_state_transition",
            application_transition_type="application_exit",
            is_upgrade=True,
        ),
    ),
]

TABLES = [
    *(pytest.param(*row, (400, 400), ("error", "error"), id=f"fatal-{row[0]}") for row in FATAL),
    *(pytest.param(*row, (400, 202), ("error", "warning"), id=f"schema-{row[0]}") for row in SCHEMA),
    *(pytest.param(*row, (202, 202), ("error", "warning"), id=f"loss-{row[0]}") for row in LOSS),
    *(pytest.param(*row, (202, 202), ("warning", "warning"), id=f"advice-{row[0]}") for row in ADVICE),
]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Sandbox, Sandbox]]:
    """One sandbox in strict mode, one in live mode."""
    with Sandbox(mparticle=app()) as strict, Sandbox(mparticle=app(mode="live")) as live:
        yield strict, live


@pytest.mark.parametrize(("code", "content", "statuses", "severities"), TABLES)
def test_each_reason(
    both: tuple[Sandbox, Sandbox],
    code: str,
    content: object,
    statuses: tuple[int, int],
    severities: tuple[str, str],
) -> None:
    """Exactly this finding, and the answer the mode gives; what is refused is not stored."""
    for sandbox, status, severity in zip(both, statuses, severities, strict=True):
        sandbox.reset()
        assert post(sandbox, content).status_code == status
        (found,) = sandbox.received.findings
        assert (found.code, found.severity) == (code, severity)
        assert found.sentence.endswith((".", "!"))
        assert len(sandbox.received.mparticle.batches) == (1 if status == 202 else 0)


def test_a_user_attribute_keeps_its_kind(both: tuple[Sandbox, Sandbox]) -> None:
    """A list that becomes a single value is told."""
    strict, _ = both
    strict.reset()
    post(strict, batch(event(), user_attributes={"a": ["x"]}, source_request_id="1"))
    post(strict, batch(event(), user_attributes={"a": "x"}, source_request_id="2"))
    assert strict.received.codes == ("attribute_changed_kind",)


def test_the_clients_own_name_is_taken_for_the_visitors(both: tuple[Sandbox, Sandbox]) -> None:
    """A User-Agent is told unless the batch names the visitor's."""
    strict, _ = both
    strict.reset()
    headers = {"User-Agent": "python-requests/2"}
    post(strict, batch(event(), source_request_id="1"), headers=headers)
    named = batch(event(), source_request_id="2", device_info={"http_header_user_agent": "Mozilla/5.0"})
    post(strict, named, headers=headers)
    assert strict.received.codes == ("user_agent_leak",)


def test_requests_as_a_whole_are_looked_at(both: tuple[Sandbox, Sandbox]) -> None:
    """Content type, keys that stand twice, an empty array, more than 100 events in all."""
    strict, _ = both
    twice = json.dumps(batch()).replace("{", '{"environment": "development", ', 1).encode()
    sent: list[tuple[object, str, dict[str, str], str]] = [
        (batch(), "/v2/events", {"Content-Type": "text/plain"}, "bad_content_type"),
        (twice, "/v2/events", {}, "repeated_key:environment"),
        ([], BULK, {}, "no_batches"),
        ([batch(*[event()] * 60, source_request_id=str(n)) for n in range(2)], BULK, {}, "too_many_events"),
        ([5], BULK, {}, "wrong_type:batch"),
        (b"", "/v2/events", {}, "empty_body"),
        (b"{", "/v2/events", {}, "bad_json"),
        ([batch(events=[])], HISTORICAL, {}, "historical_not_processed"),
    ]
    for content, path, headers, code in sent:
        strict.reset()
        post(strict, content, path, headers)
        assert strict.received.codes == (code,)


def test_a_finding_of_a_bulk_names_its_batch(both: tuple[Sandbox, Sandbox]) -> None:
    """So that it can be found among a hundred."""
    strict, _ = both
    strict.reset()
    post(strict, [batch(), batch(environment="staging")], BULK)
    (found,) = strict.received.findings
    assert found.sentence.startswith("batch 1: `environment`=`staging`")
    assert [one.status for one in last_upload(strict).batches] == ["stored", "refused"]


PROVOKED_ELSEWHERE = {
    *("bad_method", "content_encoding", "no_authorization", "wrong_credentials", "request_too_large"),
    *("root_not_array", "root_not_object", "too_many_batches", "trailing_slash", "rate_limited"),
    *("request_id_reused", "message_id_reused", "too_many_event_names", "batch_too_large"),
}
PROVOKED_HERE = {
    *(code.partition(":")[0] for table in (FATAL, SCHEMA, LOSS, ADVICE) for code, _ in table),
    *("attribute_changed_kind", "user_agent_leak", "bad_content_type", "repeated_key", "no_batches"),
    *("wrong_type", "empty_body", "bad_json", "historical_not_processed"),
}


def test_no_reason_code_is_left_out() -> None:
    """The codes in the sources are those that the tests provoke (the pixel's have their own file)."""
    folder = Path(next(iter(otel_vendor_exporters.sandbox.__path__)))
    files = [path for path in (folder / "mparticle").glob("*.py") if path.stem != "pixel"]
    found = {code for path in files for code in codes_in(ast.parse(path.read_text()))}
    assert found - {"wrong_web_api_key"} == PROVOKED_HERE | PROVOKED_ELSEWHERE


def codes_in(tree: ast.AST) -> Iterator[str]:
    """The code given to each Problem or Finding, up to its colon."""
    position: dict[str, int] = {"Problem": 1, "_about_request": 1, "_error": 0, "Finding": 0}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in position):
            continue
        code = node.args[position[node.func.id]]
        first = code.values[0] if isinstance(code, ast.JoinedStr) else code
        if isinstance(first, ast.Constant):
            yield str(first.value).partition(":")[0]
