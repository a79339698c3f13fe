"""Names that every process of one account knows, without standing in the file."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.clock import Clock
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.register import Register

ROOT = Path(__file__).parent.parent.parent
LOGGER = logging.getLogger("otel_vendor_exporters.numbers")


def register(path: Path | None, *account: str) -> Register:
    return Register("numbers", account or ("key",), path, Notices(LOGGER, Clock()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "numbers.register"


def test_without_a_file_a_process_knows_its_own() -> None:
    """What was added is known at once, and nothing else."""
    one = register(None)
    one.add("ann")
    one.refresh()

    assert "ann" in one
    assert "bob" not in one
    assert "ann" not in register(None)


def test_what_one_adds_the_others_know_after_a_refresh(path: Path) -> None:
    """Also a process that was there before the file, and one that comes after; names in any writing."""
    early, one = register(path), register(path)
    early.refresh()
    for name in ("ann", "é\n", "x" * 255, "\ud800"):
        one.add(name)
    early.refresh()
    late = register(path)
    late.refresh()

    for each in (early, late, one):
        assert all(name in each for name in ("ann", "é\n", "x" * 255, "\ud800"))
        assert "bob" not in each


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_name_is_claimed_once(path: Path, *, on_disk: bool) -> None:
    """The first who claims it has it, and the names that go with it are known to the others from then on."""
    one = register(path if on_disk else None)
    other = register(path) if on_disk else one

    assert one.claim("ann", "ann of one")
    assert not other.claim("ann", "ann of other")
    assert other.claim("bob")
    assert "ann of one" in other
    assert "ann of other" not in other
    one.refresh()
    assert "bob" in one


def test_what_cannot_be_written_down_is_not_claimed(path: Path) -> None:
    """A folder that is none, and a file that is full: nobody has the name."""
    path.parent.write_bytes(b"")

    assert not register(path).claim("ann")


def test_accounts_do_not_share_names(path: Path) -> None:
    """One file, but a name is registered for its account alone."""
    register(path, "key 1").add("ann")
    other = register(path, "key 2")
    other.refresh()

    assert "ann" not in other


def test_the_file_tells_no_names(path: Path) -> None:
    """It holds salted hashes, is its owner's alone, and another folder's has other hashes."""
    beside = path.with_name("beside")
    for each in (path, beside):
        register(each).add("ann")

    assert b"ann" not in path.read_bytes()
    assert b"key" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes()[-16:] != beside.read_bytes()[-16:]


def test_many_processes_add_at_once(path: Path) -> None:
    """Nothing overwrites anything."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from tests.delivery.test_register import register\n"
        f"one = register(Path({str(path)!r}))\n"
        "for n in range(50): one.add(f'{sys.argv[1]} {n}')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    one = register(path)
    one.refresh()

    assert all(f"{process} {n}" in one for process in range(4) for n in range(50))


def test_half_a_hash_is_written_over(path: Path) -> None:
    """A process died, or the disk was full, in the middle: what follows is readable all the same."""
    register(path).add("ann")
    with path.open("ab") as file:
        file.write(b"half")
    register(path).add("bob")
    one = register(path)
    one.refresh()

    assert "ann" in one
    assert "bob" in one


def test_half_a_head_is_written_over(path: Path) -> None:
    """The process that made the file died over it."""
    path.parent.mkdir()
    path.write_bytes(b"otel-reg")
    one = register(path)
    one.refresh()
    one.add("ann")
    other = register(path)
    other.refresh()

    assert "ann" in other


@pytest.mark.parametrize("content", [b"something else, and long enough to be read as a register", b"\0" * 64])
def test_a_foreign_file_is_said_and_left_alone(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """This process goes on with what it knows itself."""
    path.parent.mkdir()
    path.write_bytes(content)
    one = register(path)
    one.add("ann")
    one.refresh()

    assert "ann" in one
    assert path.read_bytes() == content
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "it is no register" in caplog.text


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same holds when there is no folder to be had."""
    (tmp_path / "file").write_text("")
    one = register(tmp_path / "file" / "numbers.register")
    one.add("ann")

    assert "ann" in one
    assert "cannot be used" in caplog.text


def test_a_symbolic_link_is_not_followed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody makes us write to another file."""
    path.parent.mkdir()
    target = path.with_name("target")
    target.write_bytes(b"")
    path.symlink_to(target)
    register(path).add("ann")

    assert target.read_bytes() == b""
    assert "cannot be used" in caplog.text


def test_a_process_that_was_stopped_in_the_middle_holds_up_nobody(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits too long for the file goes on alone, and says so; reading needs no lock."""
    monkeypatch.setattr("otel_vendor_exporters.delivery.register.MOST_WAIT_SECONDS", 0.05)
    one = register(path)
    one.add("ann")
    with path.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        one.add("bob")
        other = register(path)
        other.refresh()

    assert "bob" in one
    assert "ann" in other
    assert "bob" not in other
    assert "another process holds it" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_knows_what_its_parent_knew(path: Path) -> None:
    """After a fork the lock is new, and the names are there."""
    one = register(path)
    one.add("ann")
    one.renew_after_fork()
    one.refresh()

    assert "ann" in one
