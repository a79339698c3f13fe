"""Shared destinations: one per fingerprint, as long as somebody uses it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from opentelemetry.metrics import MeterProvider

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.delivery.shared import SharedDestinations
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle_analytics import MParticleAnalyticsSpanExporter
from otel_vendor_exporters.mparticle_analytics.client import _destinations
from otel_vendor_exporters.settings import Secret

SECRET = Secret("s3cret")
STARS = "Secret('*****')"


@dataclass(frozen=True)
class Settings:
    timeout: float = 1.0
    secret: Secret = SECRET

    def conflict_with(self, other: Settings) -> str | None:
        differing = [name for name in ("timeout", "secret") if getattr(self, name) != getattr(other, name)]
        return differing[0] if differing else None


class Destination:
    """What is shared; compared by identity."""

    def __init__(self) -> None:
        self.begun = self.ended = False

    def begin(self) -> None:
        self.begun = True

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def shared() -> SharedDestinations[Settings, Destination]:
    return SharedDestinations(Settings.conflict_with, lambda one: one.begin(), lambda one: one.end())


Shared = SharedDestinations[Settings, Destination]


def test_one_destination_for_one_fingerprint(shared: Shared) -> None:
    """Who asks for the same gets the same; another fingerprint is another destination."""
    one = shared.acquire("a", Settings(), Destination)
    same = shared.acquire("a", Settings(), Destination)
    other = shared.acquire("b", Settings(), Destination)

    assert (one is same, one is other) == (True, False)


def test_the_last_to_leave_ends_it(shared: Shared) -> None:
    """Only the last user is told to shut down; who comes then gets a new one."""
    one = shared.acquire("a", Settings(), Destination)
    shared.acquire("a", Settings(), Destination)

    last = [shared.release("a", one), shared.release("a", one)]

    assert last == [False, True]
    assert shared.acquire("a", Settings(), Destination) is not one


def test_a_destination_that_is_no_longer_shared_is_ended_by_its_user(shared: Shared) -> None:
    """Who holds an old one ends that, and leaves its successor alone."""
    old = shared.acquire("a", Settings(), Destination)
    shared.release("a", old)
    new = shared.acquire("a", Settings(), Destination)

    assert shared.release("a", old) is True
    assert shared.acquire("a", Settings(), Destination) is new


@pytest.mark.parametrize(
    ("other", "name", "words"),
    [
        (
            Settings(timeout=2.0),
            "timeout",
            "timeout differs for one destination in one process (1.0 and 2.0): expected one value",
        ),
        (
            Settings(secret=Secret("0ther")),
            "secret",
            f"secret differs for one destination in one process ({SECRET!r} and {STARS}): expected one value",
        ),
    ],
)
def test_conflicting_settings_are_an_error(shared: Shared, other: Settings, name: str, words: str) -> None:
    """Two users who want different things of one destination are told which; secrets stay secret."""
    first = shared.acquire("a", Settings(), Destination)

    with pytest.raises(ConfigurationError) as raised:
        shared.acquire("a", other, Destination)

    assert (str(raised.value), raised.value.setting) == (words, name)
    assert shared.release("a", first) is True


def test_what_cannot_be_made_is_not_kept(shared: Shared) -> None:
    """A destination whose making fails is made anew by the next who asks."""

    def fail() -> Destination:
        raise ConfigurationError("no")

    with pytest.raises(ConfigurationError):
        shared.acquire("a", Settings(), fail)

    assert shared.release("a", shared.acquire("a", Settings(), Destination)) is True


def test_a_handler_that_opens_one_while_it_is_made_shares_it(shared: Shared) -> None:
    """Both get what the handler made; what was being made is ended, once, and the last of both ends that."""
    ours: list[Destination] = []
    handlers: list[Destination] = []

    def make() -> Destination:
        ours.append(Destination())
        handlers.append(shared.acquire("a", Settings(), Destination))
        return ours[0]

    got = shared.acquire("a", Settings(), make)

    assert ([got], ours[0].ended, got.ended) == (handlers, True, False)
    assert [shared.release("a", got), shared.release("a", got)] == [False, True]


def test_a_handler_that_opens_another_while_one_is_made_has_it(shared: Shared) -> None:
    """Each has its own."""
    others: list[Destination] = []

    def make() -> Destination:
        others.append(shared.acquire("b", Settings(), Destination))
        return Destination()

    one = shared.acquire("a", Settings(), make)

    assert others != [one]
    assert (shared.release("a", one), shared.release("b", others[0])) == (True, True)


def test_a_handler_that_opens_one_of_other_settings_meanwhile_goes_first(shared: Shared) -> None:
    """Who was making it is told of the conflict, and what was made is ended."""
    ours = Destination()

    def make() -> Destination:
        shared.acquire("a", Settings(timeout=2.0), Destination)
        return ours

    with pytest.raises(ConfigurationError, match="timeout differs"):
        shared.acquire("a", Settings(), make)

    assert ours.ended


def test_a_handler_that_comes_while_the_last_one_leaves_stays(shared: Shared) -> None:
    """Who is about to end it hears that somebody came, and leaves it to them."""
    one = shared.acquire("a", Settings(), Destination)
    came: list[Destination] = []

    class Interrupted(dict[object, object]):
        def __delitem__(self, key: object) -> None:
            if not came:
                came.append(shared.acquire("a", Settings(), Destination))
            super().__delitem__(key)

    shared._uses = Interrupted(shared._uses)  # type: ignore[assignment]  # a dict all the same

    assert (shared.release("a", one), came) == (False, [one])
    assert shared.acquire("a", Settings(), Destination) is one


def test_many_threads_share_one(shared: Shared) -> None:
    """Whoever comes at once gets the same, made once, and one of them is the last."""
    made: list[Destination] = []
    last: list[bool] = []
    all_here = threading.Barrier(8)

    def make() -> Destination:
        made.append(Destination())
        return made[-1]

    def use() -> None:
        all_here.wait(10)
        destination = shared.acquire("a", Settings(), make)
        all_here.wait(10)
        last.append(shared.release("a", destination))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (len(made), sorted(last)) == (1, [False] * 7 + [True])


def test_a_fork_has_a_lock_of_its_own(shared: Shared) -> None:
    """The child's lock is free, though a thread of the parent held the parent's; what is shared stays so."""
    one = shared.acquire("a", Settings(), Destination)

    with shared._lock:
        shared.renew_after_fork()
        same = shared.acquire("a", Settings(), Destination)

    assert same is one


def test_who_is_interrupted_by_what_came_in_meanwhile_leaves(shared: Shared) -> None:
    """A time limit may come while what a handler closed is being closed, when the destination is there."""
    made = Destination()

    def interrupt() -> None:
        raise KeyboardInterrupt

    def make() -> Destination:
        reentry.do_later(interrupt)
        return made

    with pytest.raises(KeyboardInterrupt):
        shared.acquire("a", Settings(), make)

    assert made.ended
    assert shared.acquire("a", Settings(), Destination) is not made


def test_an_exporter_whose_making_is_interrupted_leaves_its_destination() -> None:
    """A meter provider is where a handler's exception may come in; nobody holds the destination after it."""

    class Interrupts:
        def get_meter(self, *_: object) -> None:
            raise KeyboardInterrupt

    settings = {"api_key": "k" * 36, "base_url": "http://127.0.0.1:9/interrupted"}
    with pytest.raises(KeyboardInterrupt):
        MParticleAnalyticsSpanExporter(meter_provider=cast("MeterProvider", Interrupts()), **settings)

    assert ("k" * 36, "http://127.0.0.1:9/interrupted") not in _destinations._uses


def test_who_is_interrupted_when_it_begins_leaves(shared: Shared) -> None:
    """A time limit may come while the threads are started."""

    class Interrupted(Destination):
        def begin(self) -> None:
            super().begin()
            raise KeyboardInterrupt

    made = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        shared.acquire("a", Settings(), lambda: made)

    assert (made.begun, made.ended) == (True, True)


def test_a_destination_that_nobody_came_to_own_has_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception between its making and its first user leaves nothing that works on for good."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    monkeypatch.setattr("otel_vendor_exporters.delivery.shared._Use", interrupt)
    with pytest.raises(KeyboardInterrupt):
        MParticleAnalyticsSpanExporter(
            api_key="k" * 36, base_url="http://127.0.0.1:9/nobody", spool_dir=str(tmp_path)
        )

    assert set(threading.enumerate()) == before
