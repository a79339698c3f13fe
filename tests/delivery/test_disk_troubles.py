"""A disk that is full, fails or takes nothing: the memory goes on, and nothing is lost or doubled."""

from __future__ import annotations

import resource
from collections.abc import Sequence

import pytest

from otel_vendor_exporters.delivery import journal
from otel_vendor_exporters.delivery.disk_errors import disk_errors
from otel_vendor_exporters.delivery.disk_spool import SCAN_SECONDS
from otel_vendor_exporters.delivery.journal import Journal
from otel_vendor_exporters.delivery.request import Item
from otel_vendor_exporters.delivery.spool_writing import RETRY_SECONDS
from tests.delivery.fakes import Log
from tests.delivery.processes import in_a_child
from tests.delivery.spool_host import Host, TextCodec, adopt, content_of, firsts, items, names, refusing

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_full_disk_goes_on_in_memory(host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log) -> None:
    """Said once, nothing lost; a minute later everything that waits is written down again."""
    spool = host.process()
    spool.put(items("ab"))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", refusing("database or disk is full"))
        spool.put(items("cd"))
        spool.put(items("e"))
        spool.settle(spool.take(1))
        host.clock.advance(RETRY_SECONDS + 1)
        spool.put(items("f"))
    host.clock.advance(RETRY_SECONDS + 1)
    spool.put(items("g"))
    host.notices.tell()
    host.die(spool)
    second = host.process()
    adopt(second)

    assert names(second.take(99)) == ["b", "c", "d", "e", "f", "g"]
    text = "shop: the spool folder cannot be written (database or disk is full): "
    assert caplog.messages[0] == text + "what is new waits in memory only"
    assert caplog.messages[-1] == "shop: what waits is written to the disk again"


@pytest.mark.parametrize("words", ["database or disk is full", "database is locked"])
def test_a_failed_write_takes_nothing_from_the_disk(
    host: Host, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """What stood in the file when the disk failed outlives the process; what is settled since does not."""
    spool = host.process()
    spool.put([*items("abc"), *firsts("k:1")])
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", refusing(words))
        spool.put(items("d"))
        spool.put(firsts("k:2"))
        taken = spool.take(2)
        spool.leave(taken)
        spool.settle(taken[1:])
        spool.give_back(taken[:1])
        spool.put(items("e"))
    host.die(spool)
    second = host.process()
    adopt(second)

    assert names(second.take(9)) == ["k:1", "b", "c"]


def test_marks_that_cannot_be_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is settled is marked later; what leaves, and must not come twice, has no file any more."""
    spool = host.process()
    spool.put(items([str(number) for number in range(3)]))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "mark", _refusing_marks)
        taken = spool.take(1)
        spool.leave(taken)
        spool.settle(taken)
        during = host.files()
    host.clock.advance(RETRY_SECONDS + 1)
    spool.put(items("x"))
    host.die(spool)
    second = host.process()
    adopt(second)

    assert during == []
    assert names(second.take(9)) == ["1", "2", "x"]


def test_new_items_when_the_marks_before_them_fail(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait in memory, and are not taken for written."""
    host.again = True
    spool = host.process()
    spool.put(items("abc"))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "mark", _refusing_marks)
        spool.settle(spool.take(3))
        spool.put(items("d"))
        lost = names(spool.end().lost)

    assert lost == ["d"]


def _refusing_marks(self: Journal, places: Sequence[int], mark: journal.Mark) -> None:
    with disk_errors():
        raise OSError(5, "Input/output error")


def test_what_merged_while_the_disk_failed_comes_back_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the process dies before the disk works again, or after."""
    for recovers in (False, True):
        spool = host.process()
        spool.put(firsts("k:1"))
        taken = spool.take(1)
        spool.put(firsts("k:2"))
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "write", refusing("database or disk is full"))
            spool.give_back(taken)
            spool.put(firsts("m:1"))
        if recovers:
            host.clock.advance(RETRY_SECONDS + 1)
            spool.put(items("a"))
        else:
            taken = spool.take(1)
            spool.leave(taken)
            spool.settle(taken)
        host.die(spool)
        second = host.process()
        adopt(second)
        found = second.take(9)
        second.settle(found)
        second.close()

        assert sorted(names(found)) == (["a", "k:1+k:2", "m:1"] if recovers else [])


def test_what_was_to_be_taken_out_while_the_disk_failed_is_blotted_out_later(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never sent, and gone from the file once the disk works again."""
    spool = host.process()
    spool.put([Item(unit, 10, subjects=TextCodec().subjects(unit)) for unit in ("a@ann", "b@bob")])
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", refusing("database or disk is full"))
        spool.take_out({"ann"})
        spool.put(items("c"))
    host.clock.advance(RETRY_SECONDS + 1)
    spool.put(items("d"))
    host.die(spool)

    (path,) = host.folder.glob("*.spool")
    assert [body for body in content_of(path) if body] == ["b@bob", "c", "d"]


def test_what_comes_back_after_the_end_is_left_to_the_next(host: Host) -> None:
    """It stands in the file that is closed: another process sends it, so it is handed over and not lost."""
    host.again = True
    spool = host.process()
    spool.put(items("abc"))
    taken = spool.take(2)
    spool.leave(taken)
    first = spool.end()
    spool.close()
    spool.give_back(taken)
    second = spool.end()
    adopted = host.process()
    adopt(adopted)

    assert (first.handed_over, first.lost) == (1, [])
    assert (second.handed_over, second.lost) == (2, [])
    assert names(adopted.take(9)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("words", "is_told"), [("database or disk is full", True), ("database is locked", False)]
)
def test_what_a_full_disk_keeps_from_being_sent_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log, words: str, is_told: bool
) -> None:
    """Adopting needs a file of one's own: who left something on a full disk is named, and so is its end."""
    first = host.process()
    first.put(items("ab"))
    host.die(first)
    second = host.process()
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", refusing(words))
        for _ in range(2):
            adopt(second)
            host.clock.advance(SCAN_SECONDS - 1)
        host.notices.tell()
        during = [line for line in caplog.messages if "dead processes" in line]
    host.clock.advance(RETRY_SECONDS + 1)
    adopt(second)
    host.notices.tell()
    after = [line for line in caplog.messages if "dead processes" in line]

    folder = f"what dead processes left in {host.folder}"
    text = f"shop: {folder} cannot be sent before it takes files: make room"
    assert during == [text] * is_told
    assert after == [text, "shop: what dead processes left is sent again"][: 2 * is_told]
    assert names(second.take(99)) == ["a", "b"]


def test_a_really_full_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own refusal, with a file that may not grow: rolled back whole, and the memory has it all."""
    spool = host.process(max_bytes=10**9)
    spool.put(items("a"))
    assert spool._journal is not None
    pages = spool._journal._connection.execute("PRAGMA page_count").fetchone()[0]
    spool._journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    spool.put([Item("x" * 50_000, 50_000)])

    assert [len(name) for name in names(spool.take(9))] == [1, 50_000]
    assert names(spool.end().lost) == []
    host.die(spool)
    second = host.process()
    adopt(second)
    assert names(second.take(9)) == ["a"]


def test_a_quota_that_is_used_up(host: Host) -> None:
    """A limit of the system on the size of files: it goes on in memory, and later on disk again."""

    def child() -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        spool = host.process(max_items=5000, max_bytes=10**9)
        spool.put(items("a"))
        spool.put([Item("x" * 1000, 1000) for _ in range(1000)])
        kept = len(spool) == 1001
        spool.settle(spool.take(1001))
        removed = host.files() == []
        host.clock.advance(RETRY_SECONDS + 1)
        spool.put(items("b"))
        written = spool.end().handed_over == 1
        spool.close()
        return kept and removed and written

    right = in_a_child(child)
    next_one = host.process()
    adopt(next_one)

    assert right
    assert names(next_one.take(9)) == ["b"]
