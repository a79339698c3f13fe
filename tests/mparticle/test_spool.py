"""With a spool folder, what `export()` had accepted outlives the process, and arrives once."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk._logs.export import LogRecordExportResult

from otel_vendor_exporters.mparticle import MParticleLogExporter
from otel_vendor_exporters.mparticle.codec import BatchCodec
from otel_vendor_exporters.mparticle.units import SealedBatch
from otel_vendor_exporters.sandbox import Sandbox
from tests.mparticle.records import log
from tests.sandbox.wire import eventually

KILLS = 5
BATCH = 40
USERS = 4
GUARD_SECONDS = 30.0
CODEC = BatchCodec()

# Children of a server process that has no threads: forking this one, with its sandbox, would be another test.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

OPTIONAL = st.none() | st.text(min_size=1)


@given(
    batch=st.builds(
        SealedBatch,
        body=st.binary(),
        source_request_id=st.text(),
        events=st.integers(min_value=0, max_value=100),
        ordering_key=OPTIONAL,
        subject=OPTIONAL,
    )
)
def test_a_batch_is_read_as_it_was_written(batch: SealedBatch) -> None:
    """Byte by byte, so that what is sent again is found as a repeat; and whose it is."""
    assert CODEC.decode(CODEC.encode(batch)) == batch
    assert CODEC.subjects(batch) == (() if batch.subject is None else (batch.subject,))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n{}",
        b"[]\n{}",
        b'["id",1,null,null]',
        b'["id",true,null,null]\n{}',
        b"[1,1,null,null]\n{}",
        b"\xff\n",
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    """A file that something else wrote, or damaged, does not reach mParticle."""
    with pytest.raises(ValueError):  # noqa: PT011  the message is for nobody
        CODEC.decode(content)


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> dict[str, Any]:
    feed = {name: sandbox.mparticle_settings[name] for name in ("api_key", "api_secret", "base_url")}
    return {**feed, "spool_dir": str(tmp_path / "spool"), "batches_per_second": 0, "timeout": 20.0}


def load(settings: dict[str, Any], log_path: Path, start: int) -> None:
    """A process under load: exports numbers from `start`, and notes each batch that was accepted."""
    accepted = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    exporter = MParticleLogExporter(**settings)
    for first in range(start, start + 50_000, BATCH):
        records = [
            log("Seen", {"user.id": f"u-{number % USERS}", "number": number}, timestamp=time.time_ns())
            for number in range(first, first + BATCH)
        ]
        if exporter.export(records) is LogRecordExportResult.SUCCESS:
            os.write(accepted, b"%d\n" % first)
        time.sleep(0.002)


def finish(settings: dict[str, Any], counts: Any) -> None:
    """The last process: sends what all the others left."""
    exporter = MParticleLogExporter(**settings)
    exporter.export([log("last", {"user.id": "last"})])
    deadline = time.monotonic() + GUARD_SECONDS
    mine = f"-{os.getpid()}-"
    while time.monotonic() < deadline and any(
        mine not in path.name for path in Path(settings["spool_dir"]).glob("*.spool")
    ):
        time.sleep(0.02)
    exporter.shutdown()
    ledger = exporter.ledger()
    counts.send((ledger.balanced, ledger.waiting, ledger.lost))


def test_killed_at_random_moments(sandbox: Sandbox, settings: dict[str, Any], tmp_path: Path) -> None:
    """Five kills under load: everything accepted arrives, and nothing twice, as ids and bytes are kept."""
    chance = random.Random(6)
    log_path = tmp_path / "accepted"
    for turn in range(KILLS):
        process = PROCESSES.Process(target=load, args=(settings, log_path, turn * 50_000))
        before = log_path.stat().st_size if log_path.exists() else 0
        process.start()
        assert eventually(lambda: log_path.exists() and log_path.stat().st_size > before)  # noqa: B023
        time.sleep(chance.uniform(0.0, 0.4))
        process.kill()
        process.join(GUARD_SECONDS)
        assert process.exitcode == -9

    receiver, sender = PROCESSES.Pipe(duplex=False)
    last = PROCESSES.Process(target=finish, args=(settings, sender))
    last.start()
    assert receiver.poll(GUARD_SECONDS)
    counts = receiver.recv()
    last.join(GUARD_SECONDS)

    whole_lines = log_path.read_bytes().split(b"\n")[:-1]
    accepted = {str(int(first) + more) for first in whole_lines for more in range(BATCH)}
    arrived = Counter(event.attributes.get("number") for event in sandbox.received.mparticle.events)
    assert len(accepted) >= KILLS * BATCH
    assert accepted - arrived.keys() == set()
    assert [number for number, times in arrived.items() if times > 1] == []
    repeats = {batch.status for batch in sandbox.received.mparticle.refused}
    assert repeats <= {"duplicate"}  # what was under way was sent again, under the same id
    assert counts == (True, 0, 0)
    assert list(Path(settings["spool_dir"]).glob("*.spool")) == []
    assert sandbox.received.errors == ()


def test_files_hold_no_credentials(settings: dict[str, Any], tmp_path: Path) -> None:
    """What waits is written with its ids and without key and secret."""
    exporter = MParticleLogExporter(**{**settings, "base_url": "http://127.0.0.1:9"})
    exporter.export([log("Signed up")])
    written = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
    exporter.shutdown(timeout_millis=0)

    assert b"Signed up" in written
    assert settings["api_key"].encode() not in written
    assert settings["api_secret"].encode() not in written
