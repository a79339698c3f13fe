"""What `doctor --code` does with files that are no code: it never hangs, and says what it passed over."""

from __future__ import annotations

import os
import re
import socket
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
        (a_deep_tree, "RecursionError"),
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


def test_links_between_folders_are_followed_once(tmp_path: Path) -> None:
    """Code behind a link is read; links in a circle end."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pay.py").write_text(GOOD)
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)

    found = code_names.scan([str(root)])

    assert (found.files, found.unreadable) == (1, [])
    assert [one.name for one in found.names] == ["Checkout"]


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
    assert found.unreadable[0].startswith(f"what comes after {tmp_path / 'm2.py'}: 3 files or")
