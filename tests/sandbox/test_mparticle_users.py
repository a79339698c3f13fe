"""The sandbox's mParticle tells whose events arrived, in which session, at what time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_vendor_exporters.sandbox import Sandbox
from tests.sandbox.mparticle_http import NOW_MS, SESSION, Json, app, batch, event, post


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mparticle=app()) as running:
        yield running


@pytest.mark.parametrize(
    ("session_uuid", "session_id"),
    [
        ("84E1B361-A282-4ADF-8A6D-1D31E6DD5A9E", 6051321688317951794),
        ("8B8DFAA2-17C7-43E8-88EE-5F2DCF016D56", -2271448330363288817),
    ],
)
def test_the_session_number_is_derived(sandbox: Sandbox, session_uuid: str, session_id: int) -> None:
    """Both vectors of the official sample."""
    post(sandbox, batch(event(session_uuid=session_uuid)))
    (kept,) = sandbox.received.mparticle.events
    assert kept.session_id == session_id


def test_users_are_told_by_their_identities(sandbox: Sandbox) -> None:
    """A known customer_id decides; an address alone leads to its owner; attributes add up and are deleted."""
    told: list[Json] = [
        {"user_identities": {"email": "a@example.com"}, "user_attributes": {"plan": "free", "old": "x"}},
        {"user_identities": {"customer_id": "u-1", "email": "a@example.com"}},
        {"user_identities": {"customer_id": "u-2", "email": "a@example.com"}},
        {"user_identities": {"customer_id": "u-1"}, "user_attributes": {"plan": "pro"}},
        {"user_identities": {"customer_id": "u-1"}, "deleted_user_attributes": ["old"]},
    ]
    for number, more in enumerate(told):
        post(sandbox, batch(event(event_name=f"e{number}"), source_request_id=str(number), **more))

    first, second = sandbox.received.mparticle.users
    assert [one.name for one in first.events] == ["e0", "e1", "e3", "e4"]
    assert [one.name for one in second.events] == ["e2"]
    assert first.attributes == {"plan": "pro"}
    assert sandbox.received.mparticle.user(customer_id="u-2").events == second.events
    with pytest.raises(LookupError):
        sandbox.received.mparticle.user(customer_id="nobody")


def test_events_are_kept_with_session_time_and_name(sandbox: Sandbox) -> None:
    """A missing time is the time of receipt."""
    content = batch({"event_type": "session_start", "data": {"session_uuid": SESSION}})
    post(sandbox, content)
    (kept,) = sandbox.received.mparticle.events
    assert (kept.type, kept.name, kept.timestamp_unix_ms) == ("session_start", "", NOW_MS)
    assert kept.session_id is not None
