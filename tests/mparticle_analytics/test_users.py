"""What is remembered of users, and what is not told twice."""

from __future__ import annotations

from otel_vendor_exporters.mparticle_analytics.users import Users
from otel_vendor_exporters.mparticle_analytics.wire import Alias, Identify


def test_A11_an_id_is_merged_once_and_only_after_use() -> None:
    """Without events under the anonymous id there is nothing to merge; afterwards it happens once."""
    users = Users(set())

    assert not users.becomes_known("anon", "u")
    assert users.anonymous_sent("anon") == "u"
    assert users.anonymous_sent("anon") is None
    assert not users.becomes_known("anon", "u", always=True)


def test_A11_two_users_are_never_merged() -> None:
    """An anonymous id that two users claimed, before or after it was merged, stays what it is."""
    users = Users(set())
    users.anonymous_sent("shared")
    users.becomes_known("shared", "u1")  # merged
    users.becomes_known("claimed", "u1")
    users.becomes_known("claimed", "u2")  # not merged yet

    assert not users.becomes_known("shared", "u2", always=True)
    assert users.anonymous_sent("claimed") is None
    assert not users.becomes_known("claimed", "u1", always=True)


def test_A11_a_known_user_is_nobodys_anonymous_id() -> None:
    """What something was merged into is not merged into something else."""
    users = Users(set())

    assert users.merge("anon", "u1") is None
    assert users.merge("anon", "u1") == "merged"
    assert users.merge("anon", "u2") == "known_user"
    assert users.merge("u1", "u2") == "known_user"
    assert not users.becomes_known("u1", "u2", always=True)


def test_A11_two_users_that_were_named_or_identified_are_not_merged() -> None:
    """Whoever a record names is no anonymous id; of those identified one may have been anonymous."""
    users = Users(set())
    users.is_user("u1")
    for one in ("u2", "u3", "anon"):
        users.identified(one)

    assert users.merge("u1", "new") == "known_user"
    assert users.merge("u2", "u1") == "known_user"
    assert users.merge("u2", "u3") == "known_user"
    assert not users.becomes_known("u1", "u2", always=True)
    assert users.merge("anon", "new") is None


def test_A11_a_merge_that_failed_may_be_tried_again() -> None:
    """When the call was lost, the next one goes out; not when it was lost because it came about before."""
    users, alias = Users(set()), Alias("anon", "u1").unit()
    users.anonymous_sent("anon")
    users.becomes_known("anon", "u1")

    users.take_back(alias, "already_merged")
    assert not users.becomes_known("anon", "u1")
    users.take_back(alias, "queue_full")
    assert users.becomes_known("anon", "u1")
    users.take_back(alias, "merged_elsewhere")
    assert not users.becomes_known("anon", "u1")


def test_A10_attributes_that_were_lost_are_told_again() -> None:
    """Only those: what was told anew since then is told."""
    users, lost = Users(set()), Identify("u", {"plan": "pro", "age": 23}).unit()
    users.profiles.changed("u", {"plan": "pro", "age": "23"})
    users.profiles.changed("u", {"age": "24"})

    users.take_back(lost, "expired")

    assert users.profiles.changed("u", {"plan": "pro", "age": "24"}) == {"plan": "pro"}


def test_A12_who_is_suppressed_is_so_under_every_id() -> None:
    """Also under the anonymous ids that were merged into them, and those that became known to be theirs."""
    users = Users(set())
    users.merge("anon", "u")
    users.becomes_known("unused", "u")
    users.becomes_known("another", "v")

    assert users.ids_of("u") == {"u", "anon", "unused"}
    users.suppress("u")
    assert [users.is_suppressed(one) for one in ("anon", "unused", "another", "v")] == [
        True,
        True,
        False,
        False,
    ]


def test_A12_suppression_outlives_a_fork() -> None:
    """A child process keeps silent about whom its parent did, and tells the rest anew."""
    users = Users(set())
    users.suppress("u")
    users.profiles.changed("v", {"plan": "pro"})

    users.renew_after_fork()

    assert users.is_suppressed("u")
    assert not users.is_suppressed("v")
    assert users.profiles.changed("v", {"plan": "pro"}) == {"plan": "pro"}
