"""Shared destinations: one per fingerprint, as long as somebody uses it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from otel_vendor_exporters.delivery.shared import SharedDestinations
from otel_vendor_exporters.errors import ConfigurationError
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


@pytest.fixture
def shared() -> SharedDestinations[Settings, Destination]:
    return SharedDestinations(Settings.conflict_with)


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
