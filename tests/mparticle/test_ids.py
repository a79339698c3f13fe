"""Ids: of names always the same, of random bits never the same."""

from __future__ import annotations

import os
import uuid
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_vendor_exporters.mparticle.ids import (
    is_uuid,
    named_uuid,
    session_uuid,
    span_uuid,
    uuid_text,
    uuids_from,
)


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
def test_names_have_the_uuids_of_the_standard(name: str) -> None:
    """The same as Python's own version 5."""
    assert named_uuid(name) == str(uuid.uuid5(uuid.NAMESPACE_URL, f"mparticle-otel:{name}"))


@given(st.binary(min_size=16, max_size=16))
def test_random_bytes_make_a_random_uuid(content: bytes) -> None:
    """Version 4, RFC variant."""
    made = uuid.UUID(uuid_text(content))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


def test_the_contracts_ids() -> None:
    """Section 9: a session that is no UUID (C05), a span (C07)."""
    assert session_uuid("sess-42") == "ab583ea2-d1dc-5409-9ac3-0619499c07c8"
    assert session_uuid("84E1B361-A282-4ADF-8A6D-1D31E6DD5A9E") == "84E1B361-A282-4ADF-8A6D-1D31E6DD5A9E"
    trace_id, span_id = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
    assert span_uuid(trace_id, span_id) == "de73b1ab-e51f-5b77-a53d-f7a4b5b7115c"
    assert span_uuid(trace_id, span_id, 0) != span_uuid(trace_id, span_id, 1)


@pytest.mark.parametrize(
    "text",
    ["", "sess-42", "84E1B361A2824ADF8A6D1D31E6DD5A9E", 7, None, "9be7f0c2-5ce1-486e-a78e-1ec8c72ac060\n"],
)
def test_other_texts_are_no_uuids(text: object) -> None:
    """One spelling only: the server's schema knows no other."""
    assert not is_uuid(text)


def test_ids_of_an_export_are_counted_up() -> None:
    """From a random one, past the end of its last part, each a UUID and none twice."""
    first = str(uuid.UUID(bytes=os.urandom(10) + b"\xff" * 6, version=4))
    ids = list(islice(uuids_from(first), 1000))
    assert ids[0] == first
    assert len(set(ids)) == 1000
    assert all(is_uuid(one) and uuid.UUID(one).version == 4 for one in ids)
