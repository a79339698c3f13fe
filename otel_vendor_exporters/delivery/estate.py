"""
Estates: spool files whose process has ended. A living process with the same label adopts them.

Adopting is copying: into the adopter's own file, and only then are the blocks marked as settled here. Of an
adopter that died in between, both files have the same items. So it notes its name in the lock's file first:
whoever comes to either file next marks what the adopter has got, before anything is done with the other.
Rule: a file is either adopted as far as there is room, or set aside and said, or left as it is. Nothing of it
is sent before it is the adopter's own, on the adopter's own disk, and nobody else's any more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeAlias

from otel_vendor_exporters.delivery.codec import Codec
from otel_vendor_exporters.delivery.disk_errors import DamagedError, disk_errors
from otel_vendor_exporters.delivery.file_lock import FileLock, note_of
from otel_vendor_exporters.delivery.journal import (
    SUFFIX,
    Content,
    Label,
    Mark,
    read,
    remove,
    settle,
)
from otel_vendor_exporters.delivery.notices import Notices
from otel_vendor_exporters.delivery.request import Item, U
from otel_vendor_exporters.delivery.segments import (
    MOST_IN_A_SEGMENT,
    Entry,
    Segment,
    entries_of,
    origin_of,
    origins_of,
)

DAMAGED = ".damaged"
NOT_ADOPTED = "%s: the spool file %s cannot be adopted: %s"
FileId: TypeAlias = tuple[int, int, int, int]
_ALL_SETTLED = bytes([Mark.SETTLED]) * MOST_IN_A_SEGMENT
_PARTS = 256  # segments, at most, that are adopted in one transaction


@dataclass(frozen=True, slots=True)
class Part(Generic[U]):
    """
    A segment of an estate: its items that are to be sent, as they are and as they stand there.

    Of a segment that there is no room for as a whole, what stands before the place `stop`.
    """

    block: int
    pairs: Sequence[tuple[Item[U], bytes]] = ()
    places: Sequence[int] = ()  # of the pairs,
    ambiguous: Sequence[int] = ()  # of what was in flight, to a vendor who would count it twice,
    unreadable: Sequence[int] = ()  # and of what cannot be read
    stop: int = MOST_IN_A_SEGMENT

    def before(self, count: int) -> Part[U]:
        """The first `count` of its pairs, which are not all, and what else stands before the next."""
        stop = self.places[count]
        ambiguous = [place for place in self.ambiguous if place < stop]
        unreadable = [place for place in self.unreadable if place < stop]
        return Part(self.block, self.pairs[:count], self.places[:count], ambiguous, unreadable, stop)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A file with another label, of another program or another version of ours."""

    known_by: FileId


@dataclass(slots=True)
class Estate:
    """A dead process's file under our lock."""

    path: Path
    segments: Sequence[tuple[Segment, bytes]]  # with the marks of their items
    lock: FileLock
    end: Callable[[], None]  # removes it, or sets it aside
    adopted: int = 0  # segments
    is_paused: bool = False  # whoever adopts it has left it for a while, to go on with it

    def portions(self, codec: Codec[U], *, again: bool) -> Iterator[Sequence[Part[U]]]:
        """What is to be adopted, oldest first, some hundred items at a time. Never raises."""
        portion: list[Part[U]] = []
        for segment, marks in self.segments:
            portion.append(_part(segment, marks, codec, again=again))
            if sum(len(part.pairs) for part in portion) >= MOST_IN_A_SEGMENT // 2 or len(portion) >= _PARTS:
                yield portion
                portion = []
        if portion:
            yield portion

    def origin(self, part: Part[U]) -> str:
        """What a copy of a part says it is."""
        return origin_of(self.path.name, part.block, part.stop)

    def name_heir(self, name: str) -> None:
        """Before anything is copied: into which file. Raises SpoolError."""
        with disk_errors():
            self.lock.leave_note(name)

    def hand_over(self, portion: Sequence[Part[U]]) -> None:
        """After it was copied: it is not to be had here any more. Raises SpoolError."""
        settle(self.path, {part.block: part.stop for part in portion})
        self.adopted += sum(part.stop == MOST_IN_A_SEGMENT for part in portion)
        with suppress(OSError):  # then whoever comes next looks into our file, and finds that all is well
            self.lock.leave_note("")

    @property
    def is_ours(self) -> bool:
        """Whether everything in it was adopted."""
        return self.adopted == len(self.segments)

    def leave(self) -> None:
        """End it when everything in it is ours now; else leave the rest to another time or another."""
        is_ours = self.is_ours
        if is_ours:
            self.end()
        self.lock.release(unlink=is_ours)


def _part(segment: Segment, marks: bytes, codec: Codec[U], *, again: bool) -> Part[U]:
    """What of a segment is to be sent; others that waited are counted."""
    if marks == _ALL_SETTLED:
        return Part(segment.block)
    try:
        entries = entries_of(segment.body)
    except ValueError:
        return Part(segment.block, unreadable=[0])
    pairs: list[tuple[Item[U], bytes]] = []
    places: list[int] = []
    ambiguous: list[int] = []
    unreadable: list[int] = []
    for place, (entry, mark) in enumerate(zip(entries, marks, strict=False)):
        if mark == Mark.SETTLED or entry.is_blot:
            continue
        if mark == Mark.IN_FLIGHT and not again:
            ambiguous.append(place)
        elif (item := _item(entry, segment, codec)) is None:
            unreadable.append(place)
        else:
            pairs.append((item, entry.body))
            places.append(place)
    return Part(segment.block, pairs, places, ambiguous, unreadable)


def _item(entry: Entry, segment: Segment, codec: Codec[U]) -> Item[U] | None:
    try:
        unit = codec.decode(entry.body)
        return Item(
            unit,
            entry.size_bytes,
            expires_at_unix_ms=entry.expires_at_unix_ms,
            merge_key=codec.merge_key(unit),
            first=bool(segment.first),
            subjects=codec.subjects(unit),
            inherited=True,
        )
    except Exception:  # noqa: BLE001  whatever stands in the file, it is one item that cannot be read
        return None


def known_as(status: os.stat_result) -> FileId:
    """What tells a file from others, and from itself once it has been written to."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def claimed(path: Path, label: Label, notices: Notices) -> Estate | Stranger | None:
    """
    A file of a dead process with this label, under our lock; or a note that it is none.

    None when there is nothing to adopt now. Called without a lock. Raises OSError and SpoolError.
    """
    try:
        lock = FileLock.take(path)
    except FileNotFoundError:
        return None  # being made or removed at this moment, or a stranger
    if lock is None:
        return None
    try:
        if not path.exists():  # another process adopted it between our look and our lock
            lock.release(unlink=True)
            return None
        return _opened(path, label, lock, notices)
    except BaseException:
        lock.release()
        raise


def _opened(path: Path, label: Label, lock: FileLock, notices: Notices) -> Estate | Stranger | None:
    try:
        content = read(path, label)
    except DamagedError as error:
        _set_aside(path, label, notices, str(error))
        lock.release(unlink=not path.exists())
        return None
    if content is None or isinstance(content, str):
        known_by = known_as(path.lstat())
        lock.release()
        if content is not None:
            notices.say(f"estate {path.name}", logging.WARNING, NOT_ADOPTED, label.vendor, path.name, content)
        return Stranger(known_by)
    if not _is_sole_owner(path, content):
        lock.release()
        return None
    copied = _copied_by_heir(path, label)
    settle(path, copied)  # which also tells whether that can be written
    segments = [
        (segment, _settled_up_to(copied.get(segment.block, 0), marks))
        for segment, marks in content.segments
        if copied.get(segment.block, 0) < MOST_IN_A_SEGMENT
    ]
    words = f"only {len(content.segments)} segments could be read"
    end = partial(remove, path) if content.whole else partial(_set_aside, path, label, notices, words)
    estate = Estate(path, segments, lock, end)
    if not segments:
        estate.leave()
        return None
    return estate


def _settled_up_to(place: int, marks: bytes) -> bytes:
    return _ALL_SETTLED[:place] + marks[place:]


def _is_sole_owner(path: Path, content: Content) -> bool:
    """Let nobody adopt from elsewhere what was copied into this file; False while somebody might do so."""
    copied = origins_of(segment for segment, _ in content.segments)
    return all(_give_up(path.parent / Path(name).name, path, blocks) for name, blocks in copied.items())


def _give_up(origin: Path, heir: Path, blocks: Mapping[int, int]) -> bool:
    """Mark in a file what its heir has got, unless that was done; False while another process has it."""
    if note_of(origin) != heir.name:
        return True
    lock = FileLock.take(origin)
    if lock is None:
        return False
    try:
        if origin.exists() and note_of(origin) == heir.name:
            settle(origin, blocks)
            lock.leave_note("")
    finally:
        lock.release(unlink=not origin.exists())
    return True


def _copied_by_heir(path: Path, label: Label) -> Mapping[int, int]:
    """Of which blocks, up to which place, the last who adopted from this file has got what stands there.

    It may have died before it marked that here.
    """
    heir = path.parent / Path(note_of(path)).name
    if heir.suffix != SUFFIX or not heir.exists():
        return {}
    try:
        content = read(heir, label)
    except DamagedError:
        return {}  # nobody can adopt it from there
    if not isinstance(content, Content):
        return {}
    return origins_of(segment for segment, _ in content.segments).get(path.name, {})


def _set_aside(path: Path, label: Label, notices: Notices, words: str) -> None:
    """Keep a damaged file for whoever can read more of it. Never raises."""
    aside, key = path.with_name(path.name + DAMAGED), f"estate {path.name}"
    try:
        path.rename(aside)
    except OSError as error:
        notices.say(key, logging.ERROR, NOT_ADOPTED, label.vendor, path.name, error.strerror)
        return
    remove(path)
    text = "%s: the spool file %s is damaged (%s); set aside as %s"
    notices.say(key, logging.ERROR, text, label.vendor, path.name, words, aside.name)
