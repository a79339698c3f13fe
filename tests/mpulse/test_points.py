"""Points made by hand: what becomes of the others."""

from __future__ import annotations

from otel_vendor_exporters.mpulse.packing import Limits, pack
from tests.mpulse.example import NOW_UNIX_MS
from tests.mpulse.test_metrics import (
    DEFINITIONS,
    counter,
    mapped,
    number,
)


def test_attribute_names_that_are_no_text_leave_the_number_alone() -> None:
    """Also before the definitions are known."""
    point = number(5, {1: "a", "Country": "DE"})  # type: ignore[dict-item]

    for definitions in (None, DEFINITIONS):
        found = mapped(counter(point), definitions=definitions)
        loads, _ = pack(found.units, DEFINITIONS, Limits(), NOW_UNIX_MS)
        (beacon,) = (load.beacon for load in loads)
        assert (beacon.metrics, beacon.dimensions) == ((("cmet.Orders", "5"),), (("cdim.Country", "DE"),))
