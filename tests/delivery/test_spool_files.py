"""Files of the durable spool: whose they are, who may read them, and those that cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_vendor_exporters.delivery import segments
from otel_vendor_exporters.delivery.journal import Label
from otel_vendor_exporters.delivery.spool import Inherited
from tests.delivery.fakes import Log
from tests.delivery.processes import in_a_child
from tests.delivery.spool_host import LABEL, SECRET, Host, TextCodec, adopt, content_of, items, names

# Forking with threads, which newer versions of Python warn of, is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

# Whose files


def test_a_living_process_keeps_its_file(host: Host) -> None:
    """Nobody adopts what is in use, in this process or another."""
    first = host.process()
    first.put(items("abc"))

    def child() -> bool:
        return host.process().claim() is None

    assert host.process().claim() is None
    assert in_a_child(child)
    assert names(first.take(9)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "other",
    [
        replace(LABEL, identity=("another key", "production")),
        replace(LABEL, identity=(SECRET, "development")),
        replace(LABEL, address="https://elsewhere.example"),
        replace(LABEL, units="text/2"),
        replace(LABEL, vendor="shop-two"),
    ],
)
def test_only_the_same_label_adopts(host: Host, other: Label, caplog: Log) -> None:
    """Another account, environment, address or way to write leaves the file alone, without a word."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    before = host.files()

    host.label = other
    stranger = adopt(host.process())
    host.label = LABEL
    own = adopt(host.process())

    assert (stranger, [one.items for one in own]) == ([], [3])
    assert [name for name in before if name not in host.files()] == before
    assert caplog.messages == []


def test_no_credential_reaches_the_disk(host: Host) -> None:
    """Neither the key nor a plain hash of it stands in any file."""
    import hashlib

    spool = host.process()
    spool.put(items("abc"))
    written = b"".join(path.read_bytes() for path in host.folder.iterdir())

    assert SECRET.encode() not in written
    for name in ("md5", "sha1", "sha256", "blake2b"):
        digest = hashlib.new(name, SECRET.encode())
        assert digest.digest() not in written
        assert digest.hexdigest().encode() not in written


def test_files_are_their_owners(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder and files can be read by nobody else, whatever the umask."""
    mask = os.umask(0)
    try:
        spool = host.process()
        spool.put(items("abc"))
    finally:
        os.umask(mask)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in host.folder.iterdir()}
    assert (modes, stat.S_IMODE(host.folder.stat().st_mode)) == ({0o600}, 0o700)
    assert len(host.files()) >= 3


def test_what_another_user_put_there_is_not_adopted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of somebody else's is not taken for telemetry."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    assert adopt(host.process()) == []


def test_links_are_not_followed(host: Host, tmp_path: Path) -> None:
    """A symbolic link is no spool file."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    (path,) = host.folder.glob("*.spool")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    assert adopt(host.process()) == []


def test_a_relative_folder_is_the_one_at_construction(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that changes its working directory later has its file where it said."""
    monkeypatch.chdir(tmp_path)
    host.folder = Path("here")
    spool = host.process()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    spool.put(items("a"))

    assert list((tmp_path / "here").glob("*.spool"))
    assert not (tmp_path / "elsewhere" / "here").exists()


# Files that cannot be used


def broken_file(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def foreign_file(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def future_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()


def damaged_file(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words", "stays"),
    [
        (broken_file, "is damaged (file is not a database); set aside as", False),
        (damaged_file, "is damaged", False),
        (foreign_file, "cannot be adopted: is of another program", True),
        (future_file, "cannot be adopted: has schema version 7, this version knows 1", True),
    ],
)
def test_files_that_cannot_be_used(
    host: Host, spoil: Callable[[Path], None], words: str, stays: bool, caplog: Log
) -> None:
    """Said once, set aside when damaged, left alone when not ours; and everything else goes on."""
    for names_ in ("abc", "def"):
        spool = host.process()
        spool.put(items(names_))
        host.die(spool)
    path = min(host.folder.glob("*.spool"), key=lambda one: one.stat().st_mtime)
    good = {"a", "b", "c", "d", "e", "f"} - set(content_of(path))
    spoil(path)

    third = host.process()
    for _ in range(3):
        adopt(third)

    assert set(names(third.take(99))) == good
    assert [message for message in caplog.messages if words in message] == caplog.messages
    assert len(caplog.messages) == 1
    assert path.exists() is stays
    assert path.with_name(path.name + ".damaged").exists() is not stays


def test_what_cannot_be_read_is_counted(host: Host) -> None:
    """A unit that no codec understands is unreadable; the others are not held up."""
    first = host.process()
    first.put(items("abc"))
    host.die(first)
    (path,) = host.folder.glob("*.spool")
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = [(None, 10, b"a"), (None, 10, b"\xff"), (None, 10, b"c")]
        connection.execute("UPDATE segments SET body = ?", [segments.joined(columns)])
    connection.close()
    second = host.process()

    assert adopt(second) == [Inherited(3, 0, 1)]
    assert names(second.take(9)) == ["a", "c"]


def test_a_codec_at_fault_costs_its_item_only(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: Log
) -> None:
    """An item that cannot be written waits in memory; one that cannot be read is unreadable."""
    good = TextCodec.encode
    monkeypatch.setattr(TextCodec, "encode", lambda self, unit: cannot() if unit == "b" else good(self, unit))
    spool = host.process()
    spool.put(items("abc"))
    host.notices.tell()
    in_memory = len(spool)
    ended = spool.end()
    spool.close()
    monkeypatch.setattr(TextCodec, "subjects", lambda self, unit: cannot())

    assert (in_memory, ended.handed_over, names(ended.lost)) == (3, 2, ["b"])
    assert [(one.items, one.unreadable) for one in adopt(host.process())] == [(2, 2)]
    assert "cannot be written to the disk" in caplog.text


def cannot(*args: Any, **options: Any) -> Any:
    raise sqlite3.OperationalError("database or disk is full")
