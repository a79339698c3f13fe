"""The sandbox's mParticle under hostile input and many clients at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from otel_vendor_exporters.sandbox import Sandbox
from tests.sandbox.mparticle_http import BULK, HISTORICAL, SINGLE, app, batch, event, post


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mparticle=app()) as running:
        yield running


HOSTILE: list[bytes] = [
    b"",
    b"null",
    b"5",
    b'"text"',
    b"\xff\xfe{}",
    b"{" * 200_000,
    b"[" * 200_000,
    b'{"events":' * 5_000 + b"1" + b"}" * 5_000,
    *(b'{"further":' * depth + b"1" + b"}" * depth for depth in (60, 70, 200, 450, 900)),
    b'{"mpid":' + b"9" * 10_000 + b"}",
    b'{"mpid":1e999}',
    b'{"mpid":NaN}',
    b'{"a":1,}',
    b'{"user_identities":{"customer_id":"\\ud800"},"ip":"\\ud800","\\udfff":{"\\ud800":1}}',
    b'{"events":[null,5,"x",[],{"event_type":{}},{"event_type":[1],"data":7}]}',
    b'{"events":{"a":1},"user_identities":[],"user_attributes":"x","device_info":null,"context":[1]}',
    b'{"consent_state":{"gdpr":{"x":null,"y":5,"z":{}}},"deleted_user_attributes":{"a":1}}',
    b"{" + b",".join(b'"k%d":0' % n for n in range(15_000)) + b"}",
    b"{" + b'"a":0,' * 30_000 + b'"a":1}',
    b'{"user_attributes":{' + b",".join(b'"%d":[[]]' % n for n in range(9_000)) + b"}}",
]


@pytest.mark.parametrize("mode", ["strict", "live"])
def test_hostile_bodies_are_answered_and_the_sandbox_goes_on(mode: Any) -> None:
    """Whatever comes gets 202 or 400, within bounds, and the next good batch is taken."""
    with Sandbox(mparticle=app(mode=mode)) as sandbox:
        for path in (SINGLE, BULK, HISTORICAL):
            for body in HOSTILE:
                whole = body if path == SINGLE else b"[" + body + b"]"
                assert post(sandbox, whole, path).status_code in (202, 400), body[:60]
        assert all(len(record.findings) <= 300 for record in sandbox.received.records)
        assert requests.get(f"{sandbox.url}/sandbox/received.json", timeout=10).status_code == 200
        assert post(sandbox, batch()).status_code == 202
        assert sandbox.received.mparticle.batches[-1].content == batch()


def test_a_compressed_body_and_other_methods_are_told(sandbox: Sandbox) -> None:
    """Neither is documented."""
    assert post(sandbox, b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}).status_code == 400
    response = requests.get(sandbox.url + SINGLE, timeout=5)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert sandbox.received.codes == ("content_encoding", "bad_method")


def test_many_clients_at_once_are_counted_exactly(sandbox: Sandbox) -> None:
    """Eight clients send 400 batches, each twice: 400 are stored, each user has its own."""

    def send(number: int) -> int:
        id_ = number // 2
        user = {"customer_id": f"u-{id_ % 20}"}
        return post(sandbox, batch(event(), source_request_id=str(id_), user_identities=user)).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(send, range(800)))

    received = sandbox.received.mparticle
    assert statuses == {202: 800}
    assert len(received.batches) == len(received.events) == 400
    assert {len(user.events) for user in received.users} == {20}
    assert Counter(one.status for one in received.refused) == {"duplicate": 400}
    assert sandbox.received.findings == ()
