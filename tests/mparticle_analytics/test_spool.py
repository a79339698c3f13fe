"""With a spool folder what waits outlives the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from tests.delivery.loopback import Answer
from tests.mparticle_analytics.service import Service

ROOT = Path(__file__).parent.parent.parent

# Tells of three users while Analytics is down, deletes one of them, and dies.
SCRIPT = """
import os, sys
sys.path.insert(0, {root!r})
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
client = AnalyticsClient(**{settings!r})
client.track_many([AnalyticsEvent("seen", user) for user in "abca"], timeout_seconds=0)
client.identify("b", {{"plan": "pro"}}, timeout_seconds=0)
client.alias("anon", "b", timeout_seconds=0)
client.flush(1)  # returns when the pause is known: nothing is under way
client.delete("c", timeout_seconds=0)
client.flush(1)
os._exit(9)
"""


def test_what_a_killed_process_left_is_sent_by_the_next(service: Service, tmp_path: Path) -> None:
    """Events and calls arrive once, in their order, and nothing of the user who was deleted meanwhile."""
    settings = {**service.settings, "spool_dir": str(tmp_path / "spool")}
    service.fails = lambda: Answer(503, headers={"Retry-After": "300"})
    script = SCRIPT.format(root=str(ROOT), settings=settings)
    died = subprocess.run([sys.executable, "-W", "error", "-c", script], check=False, timeout=30)
    assert died.returncode == 9
    written = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir())
    assert b"seen" in written
    assert b"apiKey" not in written

    service.fails = lambda: None
    with AnalyticsClient(**settings) as client:
        client.track(AnalyticsEvent("new", "d"))
        assert client.flush(10)
        counts = client.ledger()

    assert counts.balanced
    assert (counts.recovered, counts.delivered, counts.lost) == (6, 7, 0)
    assert sorted(service.events) == [("a", "seen"), ("a", "seen"), ("b", "seen"), ("d", "new")]
    assert sorted(kind for kind in service.kinds if "event" not in kind) == ["alias", "delete", "identify"]
    assert list((tmp_path / "spool").glob("*.spool")) == []


LOGIN = """
import sys
sys.path.insert(0, {root!r})
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from otel_vendor_exporters.mparticle_analytics import MParticleAnalyticsLogExporter
exporter = MParticleAnalyticsLogExporter(**{settings!r})
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
for attributes in ({{"session.id": "s1"}}, {{"session.id": "s1", "user.id": {user!r}}}):
    provider.get_logger("shop").emit(event_name="seen", attributes=attributes)
provider.shutdown()
"""


def test_A11_an_anonymous_id_is_merged_into_one_user_by_all_processes(
    service: Service, tmp_path: Path
) -> None:
    """After a restart neither the same user's alias is repeated nor another user merged into the first."""
    settings = {**service.settings, "spool_dir": str(tmp_path)}
    for user in ("u1", "u1", "u2"):
        script = LOGIN.format(root=str(ROOT), settings=settings, user=user)
        subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=30)

    aliases = [
        (call.body["previousId"], call.body["newId"]) for call in service.accepted if call.kind == "alias"
    ]
    assert aliases == [("s1", "u1")]
    with AnalyticsClient(**settings) as client:
        client.alias("s1", "u1").raise_for_losses()
        assert client.ledger().lost == 0
    with AnalyticsClient(**settings) as client:
        assert client.alias("s1", "u3").dropped == {"merged_elsewhere": 1}
        assert client.ledger().lost == 0
    assert service.kinds.count("alias") == 1
    assert not [path for path in tmp_path.iterdir() if b"s1" in path.read_bytes()]


def test_A11_a_waiting_alias_is_sent_by_who_inherits_it(service: Service, tmp_path: Path) -> None:
    """It was claimed by the process that died over it; that does not stand in its way."""
    settings = {**service.settings, "spool_dir": str(tmp_path)}
    service.fails = lambda: Answer(503, headers={"Retry-After": "300"})
    with AnalyticsClient(**{**settings, "timeout": 1.0}) as client:
        client.alias("s1", "u1")
    service.fails = lambda: None
    with AnalyticsClient(**settings) as client:
        client.track(AnalyticsEvent("new", "d"))
        assert client.flush(10)

    assert service.kinds.count("alias") == 1


def test_A12_a_user_deleted_by_one_process_is_not_told_of_by_another(
    service: Service, tmp_path: Path
) -> None:
    """What waits there is given up before it is sent; the next process knows, and no file names anybody."""
    settings = {**service.settings, "spool_dir": str(tmp_path)}
    code = "AnalyticsClient(**{0!r}).delete('user47')"
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    script += "from otel_vendor_exporters.mparticle_analytics import AnalyticsClient\n" + code.format(
        settings
    )

    with AnalyticsClient(**settings) as client:
        service.fails = lambda: Answer(
            503, headers={"Retry-After": "4"}
        )  # longer than the other process takes
        client.track_many([AnalyticsEvent("seen", user) for user in ("user47", "other")], timeout_seconds=0)
        service.until_called(1)
        service.fails = lambda: None
        subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=30)
        assert client.flush(10)
        assert client.ledger().dropped == {"suppressed": 1}
    with AnalyticsClient(**settings) as client:
        assert client.track(AnalyticsEvent("later", "user47")).dropped == {"suppressed": 1}

    assert service.events == [("other", "seen")]
    assert service.kinds.count("delete") == 1
    assert not [path for path in tmp_path.iterdir() if b"user47" in path.read_bytes()]


def test_A12_no_byte_of_a_deleted_user_is_left(service: Service, tmp_path: Path) -> None:
    """
    Of what was sent and what waited, once the call returns; of the call itself, once it is delivered.

    What others wait for stays as it was.
    """
    settings = {**service.settings, "spool_dir": str(tmp_path)}
    events = [AnalyticsEvent("seen", user, {"to": f"{user}@home"}) for user in ("user47", "u2") * 30]

    with AnalyticsClient(**settings) as client:
        client.track_many(events).raise_for_losses()
        service.fails = lambda: Answer(503, headers={"Retry-After": "2"})
        client.track_many(events, timeout_seconds=0)
        client.track(events[0], method="get", timeout_seconds=0)
        client.identify("user47", {"to": "user47@home"}, timeout_seconds=0)
        assert client.flush(1.0) is False
        assert b"user47@home" in _bytes_in(tmp_path)

        assert client.delete("user47", timeout_seconds=0).removed == 32
        assert b"user47@home" not in _bytes_in(tmp_path)
        assert b'{"uniqueId":"user47"}' in _bytes_in(tmp_path)

        service.fails = lambda: None
        assert client.flush(10)
        assert b"user47" not in _bytes_in(tmp_path)
        assert client.ledger().dropped == {"suppressed": 32}
    assert service.events.count(("u2", "seen")) == 60
    assert service.kinds.count("delete") == 1


def test_A12_what_another_process_keeps_of_a_deleted_user_is_gone_when_it_sends(
    service: Service, tmp_path: Path
) -> None:
    """Its own file is its own; what it drops leaves no byte either."""
    settings = {**service.settings, "spool_dir": str(tmp_path)}
    code = f"AnalyticsClient(**{settings!r}).suppress('user47')"
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    script += "from otel_vendor_exporters.mparticle_analytics import AnalyticsClient\n" + code

    with AnalyticsClient(**settings) as client:
        service.fails = lambda: Answer(
            503, headers={"Retry-After": "4"}
        )  # longer than the other process takes
        client.track_many([AnalyticsEvent("seen", user) for user in ("user47", "other")], timeout_seconds=0)
        service.until_called(1)
        service.fails = lambda: None
        subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=30)
        assert client.flush(10)
        assert b"user47" not in _bytes_in(tmp_path)


def _bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
