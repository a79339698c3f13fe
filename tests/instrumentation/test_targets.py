"""What one entry of a configuration asks for, and what is said when it cannot be understood."""

from __future__ import annotations

from typing import Any

import pytest

from instrumentation.targets import ResultReader, Target, entries_in, target_of


@pytest.mark.parametrize(
    ("entry", "path", "use", "options"),
    [
        ("shop.cart:add=timed", "add", "timed", {}),
        ("shop.cart:add = timed()", "add", "timed", {}),
        ("shop.cart:add=timed(Add to cart)", "add", "timed", {"name": "Add to cart"}),
        ("shop.cart:add=timed('Add, {sku=}')", "add", "timed", {"name": "Add, {sku=}"}),
        ("shop.cart:Cart.*=timed(record=metric)", "Cart.*", "timed", {"record": "metric"}),
        ("shop.cart:add=counted(Sum, value=amount)", "add", "counted", {"name": "Sum", "value": "amount"}),
        ("shop.cart:add=counted(value=2.5, on=return)", "add", "counted", {"value": 2.5, "on": "return"}),
        ("shop.cart:add=counted(404)", "add", "counted", {"name": "404"}),
        (
            "shop.cart:add=counted(Revenue, value=result.total)",
            "add",
            "counted",
            {"name": "Revenue", "value": ResultReader(("total",))},
        ),
        (
            "shop.cart:add=event(cart.add, attributes=[sku, tier], on=both)",
            "add",
            "event",
            {"name": "cart.add", "attributes": ["sku", "tier"], "on": "both"},
        ),
        (
            "shop.cart:add=timed(attributes={channel=web, shard=3})",
            "add",
            "timed",
            {"attributes": {"channel": "web", "shard": 3}},
        ),
    ],
)
def test_text(entry: str, path: str, use: str, options: dict[str, Any]) -> None:
    """A text names module, path, decorator and options."""
    assert target_of(entry) == Target("shop.cart", path, use, options)


def test_mapping_says_the_same_as_the_text() -> None:
    """TOML, YAML and Python say it with keys."""
    mapping = {
        "target": "shop.billing:charge",
        "use": "counted",
        "name": "Revenue",
        "value": "result.total",
        "attributes": ["sku"],
    }
    assert target_of(mapping) == target_of(
        "shop.billing:charge=counted(Revenue, value=result.total, attributes=[sku])"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("shop.cart.add", "write module:function=timed"),
        ("shop.cart:add", "write module:function=timed"),
        ("shop.cart:add=timed(", "write module:function=timed"),
        ("shop.cart:add=tiemd", r"no decorator 'tiemd' \(nearest: 'timed'\)"),
        ("shop.cart:add=sum", "no decorator 'sum': use one of timed, counted, event"),
        ("shop.cart:add=timed(recrod=metric)", r"timed has no option 'recrod' \(nearest: 'record'\)"),
        ("shop.cart:add=timed(value=1)", "timed has no option 'value': it has name, attributes, record"),
        ("shop.cart:add=timed(record=log)", "record='log' is not known: use one of span, metric"),
        ("shop.cart:add=timed(a, b)", "name is given twice"),
        ("shop.cart:add=counted(value=result, on=both)", "use on='return'"),
        ({"target": "shop.cart", "use": "timed"}, "needs a target="),
        ({"target": "shop.cart:add"}, "needs a target=.* and a use="),
        (3, "3 is no entry"),
    ],
)
def test_what_is_not_understood_says_what_would_be_right(entry: Any, message: str) -> None:
    """A wrong entry is a ValueError with the nearest right word."""
    with pytest.raises(ValueError, match=message):
        target_of(entry)


def test_entries_of_a_text() -> None:
    """Semicolons and line ends separate, except in quotes and brackets."""
    text = """
        a:f=timed; b:g=timed('x; y');;
        c:h=timed(attributes=[one,
                              two])
    """
    assert [target_of(entry).module for entry in entries_in(text)] == ["a", "b", "c"]
    assert target_of(entries_in(text)[2]).options == {"attributes": ["one", "two"]}


def test_result_reader_follows_attributes_and_keys() -> None:
    """A path into the result goes through keys of mappings and attributes of anything else."""
    assert ResultReader(("order", "real"))({"order": 3}) == 3
    assert ResultReader(())(7) == 7
