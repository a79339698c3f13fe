"""Points nobody defined, and points made by hand: what becomes of the others, and of what comes later."""

from __future__ import annotations

from otel_vendor_exporters.mpulse.definitions import Definitions
from otel_vendor_exporters.mpulse.increments import Increments
from otel_vendor_exporters.mpulse.metrics import MetricMapping
from otel_vendor_exporters.mpulse.packing import Limits, pack
from otel_vendor_exporters.mpulse.units import How
from tests.mpulse.example import NOW_UNIX_MS, settings
from tests.mpulse.metric_points import (
    CUMULATIVE,
    DEFINITIONS,
    DELTA,
    collection,
    counter,
    cumulative,
    level,
    mapped,
    number,
    over_time,
    values,
)


def test_what_was_counted_undefined_is_not_sent_when_it_is_defined_again() -> None:
    """A cumulative counter's increments and an up-down counter's changes are followed all the while."""
    mapping = MetricMapping(settings())
    none = Definitions()
    found = []
    for definitions, total, change in (
        (DEFINITIONS, 15, 15),
        (none, 1015, 100),
        (none, 2015, 100),
        (DEFINITIONS, 2016, 1),
    ):
        points = cumulative(total, end=1), level(number(change), temporality=DELTA)
        found.append(values(mapping.readings_from(collection(*points), definitions, None)))

    defined = [("Orders", How.ADD, 15), ("Queue", How.LEVEL, 15)]
    again = [("Orders", How.ADD, 1), ("Queue", How.LEVEL, 216)]
    assert found == [defined, [], [], again]


def test_what_nobody_defined_from_the_start_is_counted_from_its_definition_on() -> None:
    """What a cumulative counter counted before was counted as undefined."""
    mapping = MetricMapping(settings())
    mapping.readings_from(collection(cumulative(1000, end=1)), Definitions(), None)

    assert over_time(mapping, cumulative(1003, end=2)) == [3]


def test_undefined_series_take_no_place_of_others() -> None:
    """Past the bound they are not followed, and what may have been counted is not counted again."""
    increments = Increments()
    for key in range(20_000):
        increments.since_last(key, 0, 1, 5, 1)

    assert increments.has_room_for(0)
    assert not increments.has_room_for("one more")
    assert increments.since_last("one more", 0, 2, 7, 1) is None


def test_an_undefined_instrument_of_malformed_points_is_counted_as_undefined() -> None:
    """Whatever they are, they are counted once."""
    odd = counter(None, number("5"), number(float("nan")), temporality=CUMULATIVE)  # type: ignore[arg-type]

    found = mapped(odd, definitions=Definitions())

    assert (dict(found.undefined), dict(found.ignored)) == ({"orders": 3}, {})


def test_the_first_of_globs_that_differ_in_case_wins() -> None:
    """Instrument names have no case, and so have their globs."""
    found = mapped(counter(number(5)), metrics={"ORD*": "Queue", "ord*": "Orders"})

    assert values(found) == [("Queue", How.ADD, 5)]


def test_attribute_names_that_are_no_text_leave_the_number_alone() -> None:
    """Also before the definitions are known."""
    point = number(5, {1: "a", "Country": "DE"})  # type: ignore[dict-item]

    for definitions in (None, DEFINITIONS):
        found = mapped(counter(point), definitions=definitions)
        loads, _ = pack(found.units, DEFINITIONS, Limits(), NOW_UNIX_MS)
        (beacon,) = (load.beacon for load in loads)
        assert (beacon.metrics, beacon.dimensions) == ((("cmet.Orders", "5"),), (("cdim.Country", "DE"),))
