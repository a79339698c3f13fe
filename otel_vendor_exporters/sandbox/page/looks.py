"""
Looks: a record as a person may look at it, without keys, secrets and crumbs.

Pure. What is secret is read from the record itself, and from the keys the sandbox knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from otel_vendor_exporters.sandbox.inbox import Finding, Record
from otel_vendor_exporters.sandbox.masking import (
    masked_content,
    masked_pairs,
    masked_path,
    masked_values,
    secrets_of,
)
from otel_vendor_exporters.sandbox.page.sections import Json

Secrets = frozenset[str]


def secrets_of_record(record: Record, keys: Secrets) -> Secrets:
    """What must not be shown of a record: `keys`, and what stood where keys stand."""
    raw = record.raw
    if raw is None:
        return keys | secrets_of(record.path, (), "&".join(f"{name}={value}" for name, value in record.pairs))
    texts = (raw.query.decode("utf-8", "replace"), raw.body.decode("utf-8", "replace"))
    return keys | secrets_of(record.path, raw.headers, *texts)


def masked_findings(findings: Iterable[Finding], secrets: Secrets) -> tuple[Finding, ...]:
    """Findings name what arrived."""
    return tuple(
        replace(
            finding,
            code=masked_values(finding.code, secrets),
            sentence=masked_values(finding.sentence, secrets),
        )
        for finding in findings
    )


def as_wire(record: Record) -> Json:
    """All of a record but the bytes it came in, in a form for JSON."""
    return {name: value for name, value in asdict(replace(record, raw=None)).items() if name != "raw"}


def masked_wire(wire: Json, recent: Iterable[Record], keys: Secrets) -> Json:
    """What received.json tells, of which `recent` are the records it ends with, without what is secret."""
    records = [(record, secrets_of_record(record, keys)) for record in recent]
    met = keys.union(*(secrets for _, secrets in records))
    return {
        **{name: masked_content(content, keys) for name, content in wire.items() if name != "recent"},
        "findings": masked_content(wire["findings"], met),
        "recent": [_masked_record(record, secrets) for record, secrets in records],
    }


def _masked_record(record: Record, secrets: Secrets) -> object:
    path, pairs = masked_path(record.path, secrets), tuple(masked_pairs(record.pairs, secrets))
    return masked_content(as_wire(replace(record, path=path, pairs=pairs)), secrets)
