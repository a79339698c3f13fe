"""What `doctor --code` does with files that are no code: it never hangs, and says what it passed over."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_vendor_exporters.doctor import code_names, sources
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.command import Call, call, mpulse_environment

GOOD = 'from instrumentation import timed\n\n\n@timed("Checkout")\ndef pay() -> None: ...\n'


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "gone.py")


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10_000_000_000)  # takes no room: it has holes


def a_binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 100)


FROM_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 reads such a tree")


def bad_syntax(path: Path) -> None:
    path.write_text(f"{GOOD}\ndef (")


def an_unknown_encoding(path: Path) -> None:
    path.write_text("# -*- coding: klingon -*-\n")


def deep_nesting(path: Path) -> None:
    path.write_text(f"from instrumentation import timed\nx = {'-' * 100_000}1\n")


def a_deep_tree(path: Path) -> None:
    path.write_text(f"from instrumentation import timed\nx = {'1 + ' * 50_000}1\n")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_pipe, "a pipe, not a regular file"),
        (a_socket, "a socket, not a regular file"),
        (a_device, "a device, not a regular file"),
        (a_link_to_itself, "Too many levels of symbolic links"),
        (a_link_to_nothing, "No such file or directory"),
        (a_huge_file, "larger than 2000000 bytes"),
        (a_binary, "(SyntaxError in line 1|ValueError)"),
        (bad_syntax, "SyntaxError in line 7"),
        (an_unknown_encoding, "SyntaxError in line 1"),
        (deep_nesting, "(MemoryError|RecursionError|SyntaxError in line 2)"),
        pytest.param(a_deep_tree, "RecursionError", marks=FROM_3_11),
    ],
)
def test_what_is_no_code_is_passed_over_and_told(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    """The doctor ends, and names the file and the reason; the code beside it is read all the same."""
    (tmp_path / "good.py").write_text(GOOD)
    odd = tmp_path / "odd.py"
    make(odd)

    ended = doctor(str(tmp_path))

    assert (ended.status, ended.err) == (1, "")
    assert re.search(f"not read: {re.escape(str(odd))}: {reason}", told(ended)), ended.out
    assert "1 file read; 1 name that code uses defined" in told(ended)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/zero", "not read: /dev/zero: a device, not a regular file"),
        ("README.md", "not read: README.md: not a .py file"),
        ("/no/such/file.py", "/no/such/file.py is neither a file, nor a folder, nor a module"),
    ],
)
def test_what_is_named_and_no_code_is_told(path: str, said: str) -> None:
    """The doctor ends, and says so."""
    ended = doctor(path)

    assert (ended.status, ended.err) == (1, "")
    assert said in told(ended)


def doctor(code: str) -> Call:
    """The doctor's call for an app with a timer `Checkout`."""
    with Sandbox(mpulse=MPulseApp(timers=("Checkout",))) as sandbox:
        return call("doctor", "mpulse", "--code", code, **mpulse_environment(sandbox))


def told(ended: Call) -> str:
    """What it said, without line breaks."""
    return " ".join(ended.out.split())


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """One that leads elsewhere is told with where; one that leads back is read already."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pay.py").write_text(GOOD)
    root = tmp_path / "root"
    root.mkdir()
    (root / "shop.py").write_text(GOOD)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (tmp_path / "link").symlink_to(root)

    found = code_names.scan([str(tmp_path / "link")])

    (told,) = found.unreadable
    assert found.files == 1
    linked, elsewhere = tmp_path / "link" / "linked", tmp_path / "elsewhere"
    assert told == f"{linked}: a link to another folder: name {elsewhere} too"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux alone has it")
def test_folders_of_the_system_end_soon() -> None:
    """Those of a process are full of links to everything there is."""
    ended = doctor("/proc/self")

    assert ended.err == ""
    assert re.search("not read: /proc/self/(cwd|root): a link to another folder: name /", told(ended))
    assert "1 file read" not in told(ended)


def test_there_is_an_end_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past it nothing more is read, which is told once, also where there are folders without code."""
    monkeypatch.setattr(sources, "MOST_SECONDS", 0.0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pay.py").write_text(GOOD)

    found = code_names.scan([str(tmp_path), str(tmp_path / "b")])

    assert found.files == 0
    assert found.unreadable == [
        f"what comes after {tmp_path}: 20000 files, 100000000 bytes or 0 seconds are enough"
    ]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    """Here because the path to it is too long; likewise without permission."""
    (tmp_path / "good.py").write_text(GOOD)
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=handle)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)

    found = code_names.scan([str(tmp_path)])

    assert found.files == 1
    assert [one.rpartition(": ")[2] for one in found.unreadable] == ["File name too long"]


def test_there_is_an_end_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound nothing more is read, which is told."""
    monkeypatch.setattr(sources, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / f"m{number}.py").write_text(GOOD)

    found = code_names.scan([str(tmp_path)])

    assert found.files == 3
    assert found.unreadable[0].startswith(f"what comes after {tmp_path / 'm2.py'}: 3 files, ")
