"""What the doctor reads without running it: names in code, and files of a spool."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.codec import BytesCodec
from otel_vendor_exporters.delivery.journal import Changes, Journal, Label, Mark
from otel_vendor_exporters.delivery.segments import Segment, joined
from otel_vendor_exporters.delivery.spool_writing import Disk
from otel_vendor_exporters.doctor.code_names import CodeName, Kind, scan
from otel_vendor_exporters.doctor.configured import add_configured, configured_in
from otel_vendor_exporters.doctor.definitions import code_findings
from otel_vendor_exporters.doctor.spool import spool_findings
from otel_vendor_exporters.mpulse.definitions import Definitions, Metric
from otel_vendor_exporters.mpulse.settings import MPulseSettings

DEFINITIONS = Definitions(
    timers={"Checkout": "custom0", "Step 1": "custom1", "db.query": "custom2"},
    metrics={"Orders": Metric("cmet.Orders"), "Queue": Metric("cmet.Queue")},
)


@pytest.mark.parametrize(
    ("name", "kind", "is_sent"),
    [
        ("Checkout", Kind.SPAN, True),
        ("checkout", Kind.SPAN, False),
        ("Step {number}", Kind.SPAN, True),
        ("Stage {number}", Kind.SPAN, False),
        ("GET /cart", Kind.SPAN, True),
        ("DB.Query", Kind.DURATION, True),
        ("queue", Kind.DURATION, True),
        ("Import", Kind.DURATION, False),
        ("orders", Kind.COUNTER, True),
        ("ord{kind}", Kind.COUNTER, True),
        ("{kind}", Kind.DURATION, True),
        ("sales {kind}", Kind.COUNTER, False),
        ("Shop.Sales", Kind.COUNTER, True),
        ("Checkout", Kind.COUNTER, False),
    ],
)
def test_the_way_of_a_name(name: str, kind: Kind, *, is_sent: bool) -> None:
    """Names go through the mapping settings; spans match exactly, instruments whatever their case."""
    settings = MPulseSettings(
        api_key="k", domain="d", timers={"GET *": "Checkout"}, metrics={"Shop.*": "Orders"}
    )
    found = scan([])
    found.names.append(CodeName(name, kind, "shop.py:1"))
    codes = [one.code for one in code_findings(found, settings, DEFINITIONS)]

    assert codes == (["scanned"] if is_sent else ["undefined", "scanned"])


CODE = """
from instrumentation import counted, event, timed
from elsewhere import timed as other
NAME = "x"

@timed
class Tills:
    def open(self): ...
    def _count(self): ...

@timed("Tills")
class Named:
    def close(self): ...

def outer():
    @counted
    def inner(): ...

timed(outer)
timed(NAME)
other("Not ours")
event("not.sent.to.mpulse")
"""


def test_what_is_read_off_code(tmp_path: Path) -> None:
    """Classes name their public methods, functions themselves; other decorators are not ours."""
    (tmp_path / "tills.py").write_text(CODE)
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "tills.py").write_text(CODE)
    found = scan([str(tmp_path), "no.such.module", "x" * 5000])

    assert [(one.name, one.kind) for one in found.names] == [
        ("Tills.open", Kind.SPAN),
        ("Tills.close", Kind.SPAN),
        ("outer.inner", Kind.COUNTER),
        ("outer", Kind.SPAN),
        ("x", Kind.SPAN),
    ]
    assert found.made_at_run_time == []
    assert [place.rpartition("/")[2] for place in found.not_followed] == ["tills.py:21"]
    assert [one.rpartition("/")[2] for one in found.unreadable] == ["broken.py: SyntaxError in line 1"]
    assert (found.files, found.missing) == (1, ["no.such.module", "x" * 5000])


def test_names_of_functions_that_a_configuration_decorates() -> None:
    """They are names as well as those in code; what is not understood is told."""
    found = scan([])
    entries = "a:pay=timed(Payment); a:Cart.*=counted(Carts); a:b.c=timed(record=metric); a:f=event(E); a:x"
    for place in configured_in({"OTEL_VENDOR_INSTRUMENT": entries}, {}):
        add_configured(found, place)

    assert [(one.name, one.kind) for one in found.names] == [
        ("Payment", Kind.SPAN),
        ("Carts.{function}", Kind.COUNTER),
        ("b.c", Kind.DURATION),
    ]
    (unread,) = found.unreadable
    assert unread.startswith("OTEL_VENDOR_INSTRUMENT: 'a:x' is not understood: write module:function=timed(N")


def disk(folder: Path, key: str = "k") -> Disk[bytes]:
    """The spool of an account, by its key."""
    return Disk(folder, Label("mpulse", "bytes/1", "https://c.example/", (key,)), BytesCodec(), again=False)


def kept(folder: Path, key: str = "k") -> Journal:
    """A living process's file in which one item waits and one is in flight."""
    journal = Journal.create(folder, disk(folder, key).label)
    body = joined([(None, 5, b"kept")] * 2)
    journal.write(Changes(new=[Segment(block=0, age=1, first=0, origin=None, body=body)]))
    journal.mark([1], Mark.IN_FLIGHT)
    return journal


def told(folder: Path) -> list[tuple[str, str]]:
    return [(one.code, one.sentence) for one in spool_findings(disk(folder))]


def test_a_spool_that_is_no_folder(tmp_path: Path) -> None:
    """What waits is then in memory, which is told; a folder that is not there yet will be made."""
    (tmp_path / "file").write_bytes(b"")

    assert [one.code for one in spool_findings(None)] == ["in_memory"]
    assert [code for code, _ in told(tmp_path / "file" / "below")] == ["not_writable"]
    assert told(tmp_path / "new") == [
        (
            "takes_files",
            f"spool_dir {tmp_path / 'new'} takes files; waiting: 0 in 0 files of living processes",
        )
    ]


def test_what_waits_in_the_spool(tmp_path: Path) -> None:
    """What living and ended processes keep is counted; looking changes nothing."""
    alive, ended = kept(tmp_path), kept(tmp_path)
    ended.close()
    before = sorted(one.name for one in tmp_path.iterdir())
    found = told(tmp_path)

    ((code, sentence),) = found
    assert code == "takes_files"
    told_of = "1 in 1 file of living processes, 2 in 1 file of ended ones, which a living one adopts"
    assert sentence == f"spool_dir {tmp_path} takes files; waiting: {told_of}"
    assert sorted(one.name for one in tmp_path.iterdir()) == before
    alive.close()


def test_spool_files_that_nobody_here_sends(tmp_path: Path) -> None:
    """Those of other settings are named with their address, damaged ones with what is wrong."""
    kept(tmp_path, key="another").close()
    (tmp_path / "mpulse-1-a.spool").write_bytes(b"no database" * 100)
    (tmp_path / "mpulse-2-b.spool.damaged").write_bytes(b"")
    found = told(tmp_path)

    assert [code for code, _ in found] == [
        "takes_files",
        "unusable_file",
        "of_other_settings",
        "unusable_file",
    ]
    assert (
        "keeps 2 items for another account or address than these settings' (https://c.example/)"
        in found[2][1]
    )
