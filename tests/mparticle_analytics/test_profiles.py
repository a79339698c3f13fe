"""What is remembered of users' attributes: neither told twice, nor left wrong."""

from __future__ import annotations

from typing import Any

from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from otel_vendor_exporters.mparticle_analytics.exporters import MParticleAnalyticsLogExporter
from otel_vendor_exporters.mparticle_analytics.profiles import TOLD_AGAIN_AFTER_SECONDS, Profiles
from otel_vendor_exporters.sandbox import Sandbox
from tests.conftest import ForwardClock
from tests.mparticle_analytics.records import log_record

PLAN = "mparticle.user_attributes.plan"


def profiles(most: int = 100) -> Profiles:
    return Profiles(lambda: 0.0, most)


def test_only_what_changed_is_told() -> None:
    """Each attribute is told when its text is new for that user."""
    known = profiles()

    assert known.changed("u", {"plan": "pro", "age": "23"}) == {"plan": "pro", "age": "23"}
    assert known.changed("u", {"plan": "pro", "age": "24"}) == {"age": "24"}
    assert known.changed("u", {"age": "23"}) == {"age": "23"}
    assert known.changed("other", {"plan": "pro"}) == {"plan": "pro"}


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    """Past the bound, which counts attributes, the user told longest ago is told of once more."""
    known = profiles(most=3)
    known.changed("a", {"plan": "pro", "age": "1"})
    known.changed("b", {"plan": "pro"})
    known.changed("a", {"age": "2"})  # who changes is not the oldest
    known.changed("c", {"plan": "pro"})

    assert known.changed("a", {"plan": "pro", "age": "2"}) == {}
    assert known.changed("c", {"plan": "pro"}) == {}
    assert known.changed("b", {"plan": "pro"}) == {"plan": "pro"}
    assert known.changed("d", {str(number): "x" for number in range(4)}).keys() == {"0", "1", "2", "3"}


def test_everything_is_told_again_after_a_while(clock: ForwardClock) -> None:
    """Another process may have told something else meanwhile, and nobody would know."""
    known = Profiles(clock.monotonic, 100)
    known.changed("u", {"plan": "pro"})

    clock.forward(TOLD_AGAIN_AFTER_SECONDS - 60)
    assert known.changed("u", {"plan": "pro"}) == {}
    clock.forward(61)
    assert known.changed("u", {"plan": "pro"}) == {"plan": "pro"}


def test_what_the_application_tells_is_known(sandbox: Sandbox) -> None:
    """A record that says what was so before a call of the client sets it back."""
    settings = sandbox.mparticle_analytics_settings
    exporter = MParticleAnalyticsLogExporter(**settings)
    with AnalyticsClient(**settings) as client:
        exporter.export(log_record(attributes={PLAN: "free"}))
        client.identify("user47", {"plan": "pro"})
        exporter.export(log_record(attributes={PLAN: "pro"}))
        exporter.export(log_record(attributes={PLAN: "free"}))
        exporter.force_flush()
    exporter.shutdown()

    calls = [call.kind for call in sandbox.received.mparticle_analytics.calls]
    assert sandbox.received.mparticle_analytics.user("user47").properties == {"plan": "free"}
    assert calls.count("identify") == 3


def test_what_an_event_overwrote_is_told_again(sandbox: Sandbox) -> None:
    """Properties of events change the user's of the same name, of a record as of the client."""
    settings: dict[str, Any] = {**sandbox.mparticle_analytics_settings, "context_properties": ""}
    exporter = MParticleAnalyticsLogExporter(**settings)
    found: list[object] = []
    with AnalyticsClient(**settings) as client:
        for overwrite in (
            lambda: exporter.export(log_record(plan="2")),
            lambda: client.track(AnalyticsEvent("e", "user47", {"plan": 3})),
        ):
            exporter.export(log_record(attributes={PLAN: "1"}))
            overwrite()
            exporter.export(log_record(attributes={PLAN: "1"}))
            exporter.force_flush()
            found.append(sandbox.received.mparticle_analytics.user("user47").properties)
    exporter.shutdown()

    assert found == [{"plan": "1"}, {"plan": "1"}]


def test_an_event_that_says_both_is_no_reason_to_tell_again() -> None:
    """Else each such event would bring a call with it."""
    known = profiles()
    known.changed("u", {"plan": "pro"})

    known.overwritten("u", {"plan": 1, "sku": 2}, but={"plan": "pro"})

    assert known.changed("u", {"plan": "pro"}) == {}
