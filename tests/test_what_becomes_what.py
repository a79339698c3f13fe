"""
What becomes what: each row of README's three tables, driven through the exporters.

README's tables are made of these rows, which stand by vendor in tests/becomes; a row that is added or changed
comes with what proves it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.becomes import mparticle, mparticle_analytics, mpulse
from tests.becomes.row import Row

TABLES: Mapping[str, tuple[Row, ...]] = {
    "mpulse": mpulse.ROWS,
    "mparticle": mparticle.ROWS,
    "mparticle_analytics": mparticle_analytics.ROWS,
}
TITLES = {"mpulse": "mPulse", "mparticle": "mParticle", "mparticle_analytics": "mParticle Analytics"}
ROWS = [pytest.param(row, id=row.proof.__name__) for rows in TABLES.values() for row in rows]


def table(vendor: str) -> str:
    """The rows of a vendor as README shows them."""
    rows = [f"| {row.opentelemetry} | {row.vendor} |" for row in TABLES[vendor]]
    return "\n".join([f"| OpenTelemetry | {TITLES[vendor]} |", "|---|---|", *rows])


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_true(row: Row) -> None:
    """What README says becomes of it arrives."""
    row.proof()
