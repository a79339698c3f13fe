"""The contract's cases C01 to C17: records go in, and the batch that is sent is the contract's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from tests.mparticle.records import MS, NANOSECONDS, SHOP, USER, batches, log, mapping, span

CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parent.parent / "conformance/mparticle_cases.json").read_text())
}


def from_case(case: dict[str, Any]) -> Any:
    """What the case gives, as real records, through the mapping."""
    given = case["input"]
    plain = "breadcrumb" if case["id"] == "C12" else "drop"
    if "span" in given:
        return mapping(network_performance=True).from_spans([_span(given["span"])])
    logs = given.get("logs") or [given.get("log") or _commerce(given)]
    resource = given.get("resource", SHOP)
    return mapping(plain_logs=plain).from_logs([_log(one, resource) for one in logs])


def _log(given: dict[str, Any], resource: dict[str, Any]) -> Any:
    given = dict(given)
    if "trace_id" in given:
        given |= {"trace_id": int(given["trace_id"], 16), "span_id": int(given["span_id"], 16)}
    given["severity"] = given.pop("severity_number", None)
    return log(resource=resource, **given)


def _span(given: dict[str, Any]) -> Any:
    return span(
        given["attributes"],
        name=given.get("name", ""),
        kind=SpanKind[given["kind"]],
        start=given["start"],
        end=given["end"],
        trace_id=int(given["trace_id"], 16),
        span_id=int(given["span_id"], 16),
    )


def _commerce(given: dict[str, Any]) -> dict[str, Any]:
    """C10 and C11 give the body alone, of the record that C09 gives in full."""
    return {"timestamp": NANOSECONDS, "event_name": "mparticle.commerce_event", "attributes": USER, **given}


@pytest.mark.parametrize("number", [*range(1, 15), 16], ids="C{:02}".format)
def test_C01_to_C16(number: int) -> None:
    """The records of the case become its one batch; every record is mapped, and nothing is left out."""
    case = CASES[f"C{number:02}"]
    mapped = from_case(case)
    assert batches(mapped) == [case["batch"]]
    assert not mapped.ignored
    assert mapped.left_out == ({"client.address": 1} if number == 14 else {})


def test_C15_attribute_coercion_and_limits() -> None:
    """None is left out, numbers JSON has no word for are words, bytes are base64, long texts are cut."""
    record = log("e" * 300, {})
    attributes = {
        **USER,
        "nan": float("nan"),
        "inf": float("inf"),
        "bytes": b"\x00\xff",
        "none": None,
        "big": 2**70,
        "long": "x" * 4100,
        "k" * 300: "v",
    }
    object.__setattr__(record.log_record, "attributes", attributes)
    assert batches(mapping().from_logs([record])) == [CASES["C15"]["batch"]]


def test_C17_consent_and_data_plan() -> None:
    """What settings say of every user is in every batch."""
    of_settings = mapping(
        data_plan="mobile_data_plan",
        data_plan_version=2,
        consent={"gdpr.analytics": "true;document:v4", "ccpa.data_sale_opt_out": "true"},
    )
    (batch,) = batches(of_settings.from_logs([log("x")]))
    expected = {key: one for key, one in CASES["C17"]["batch"].items() if key != "source_request_id"}
    assert {key: one for key, one in batch.items() if key != "events"} == expected
    assert batch["consent_state"]["gdpr"]["analytics"]["timestamp_unixtime_ms"] == MS


def test_the_cases_are_the_contracts() -> None:
    """All seventeen are here."""
    assert list(CASES) == [f"C{number:02}" for number in range(1, 18)]
