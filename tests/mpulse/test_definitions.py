"""What an app's definitions are read as, and how instruments find theirs: contract section 3.2, rows I."""

from __future__ import annotations

from typing import Any

import pytest

from otel_vendor_exporters.mpulse.definitions import Definitions, Metric, read_definitions


@pytest.mark.parametrize(
    ("page_params", "expected", "doubts"),
    [
        ({}, Definitions(), []),
        ({"customTimers": None, "customMetrics": {}, "customDimensions": "x"}, Definitions(), []),
        ({"customTimers": [{}, None, 5, [], {"name": "A"}, {"label": "custom0"}]}, Definitions(), []),
        ({"customTimers": [{"name": 5, "label": "custom0"}, {"name": "A", "label": 0}]}, Definitions(), []),
        (
            {"customTimers": [{"name": "A", "label": "custom10", "index": "10"}]},
            Definitions(timers={"A": "custom10"}),
            [],
        ),
        (
            {"customTimers": [{"name": "A", "label": "ctim.CT1"}, {"name": "a", "label": "custom1"}]},
            Definitions(timers={"A": "ctim.CT1", "a": "custom1"}),
            [],
        ),
        (
            {"customTimers": [{"name": "A", "label": "custom0"}, {"name": "A", "label": "custom1"}]},
            Definitions(timers={"A": "custom0"}),
            ["customTimers defines A twice, or two with one label; the first is used"],
        ),
        (
            {"customTimers": [{"name": "A", "label": "custom0"}, {"name": "B", "label": "custom0"}]},
            Definitions(timers={"A": "custom0"}),
            ["customTimers defines B twice, or two with one label; the first is used"],
        ),
        (
            {"customTimers": [{"name": "A", "label": "cust|om"}, {"name": "B", "label": "a,b"}]},
            Definitions(),
            [f"customTimers: the label of {name} cannot be sent" for name in "AB"],
        ),
        (
            {"customMetrics": [{"name": "M", "label": "cmet1"}, {"name": "N", "label": "n", "dataType": 5}]},
            Definitions(metrics={"M": Metric("cmet1", "Number"), "N": Metric("n", "5")}),
            [],
        ),
    ],
    ids=["none", "no lists", "I5", "no texts", "I6", "case", "twice", "one label", "separators", "metrics"],
)
def test_I5_I6_definitions(page_params: Any, expected: Definitions, doubts: list[str]) -> None:
    """Entries may be empty or odd: the usable ones are used, by exact name, and the odd ones told."""
    assert read_definitions(page_params) == (expected, doubts)


def test_instruments_find_their_definition_in_any_case() -> None:
    """The SDK writes instrument names in lower case: a unique match counts, an ambiguous one does not."""
    definitions = Definitions(
        timers={"MyTimer": "custom0", "mytimer2": "custom1", "MyTimer2": "custom2"},
        metrics={"Orders": Metric("cmet.Orders")},
    )

    assert [definitions.timer_for(name) for name in ("mytimer", "MyTimer2", "MYTIMER2", "x")] == [
        "MyTimer",
        "MyTimer2",
        None,
        None,
    ]
    assert (definitions.metric_for("orders"), definitions.metric_for("order")) == ("Orders", None)


@pytest.mark.parametrize(
    ("instrument", "metric"),
    [
        ("open_carts", "Open carts"),
        ("Open carts", "Open carts"),
        ("open-carts", "Open carts"),
        ("open.carts", "Open carts"),
        ("open__carts", "Open carts"),
        ("opencarts", None),
        ("page_views", "Page.Views"),
        ("page views", "Page.Views"),
        ("cart_size", "cart_size"),  # exactly
        ("CART SIZE", "Cart size"),  # but for case
        ("cart-size", None),  # of two
        ("cart.size", None),
        ("sign_ups_(new)", "Sign-ups (new)"),
        ("sign_ups_new", None),
    ],
)
def test_instruments_find_their_definition_however_words_are_joined(
    instrument: str, metric: str | None
) -> None:
    """Instruments have no spaces: exact names go first, then any case, then any joints, if only one fits."""
    names = ("Open carts", "Page.Views", "cart_size", "Cart size", "Sign-ups (new)")
    definitions = Definitions(
        timers={name: name for name in names}, metrics={name: Metric(name) for name in names}
    )

    assert definitions.metric_for(instrument) == metric
    assert definitions.timer_for(instrument) == metric
