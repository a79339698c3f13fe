"""Reentry: a signal handler or a finalizer that comes in while its thread is inside us never hangs it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery import reentry
from otel_vendor_exporters.sandbox import Sandbox

ROOT = Path(__file__).parent.parent.parent


def test_what_comes_in_meanwhile_is_done_at_the_end_in_order() -> None:
    """Not before, and all of it inside."""
    done: list[str] = []

    def outer() -> tuple[bool, list[str]]:
        reentry.do_later(lambda: done.append("first"))
        reentry.do_later(lambda: done.append("second"))
        return reentry.is_inside(), list(done)

    assert reentry.within(outer) == (True, [])
    assert done == ["first", "second"]
    assert not reentry.is_inside()


def test_what_comes_in_while_the_end_is_made_is_done_too() -> None:
    """However deep."""
    done: list[str] = []

    reentry.within(lambda: reentry.do_later(lambda: reentry.do_later(lambda: done.append("nested"))))

    assert done == ["nested"]


def test_what_raises_is_outside_again() -> None:
    """And what came in meanwhile is done all the same."""
    done: list[str] = []

    def outer() -> None:
        reentry.do_later(lambda: done.append("later"))
        raise KeyError

    with pytest.raises(KeyError):
        reentry.within(outer)

    assert (done, reentry.is_inside()) == (["later"], False)


SETUP = """
    import gc, signal, sys, time
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from otel_vendor_exporters.mpulse import MPulseSpanExporter

    exporter = MPulseSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    sent = []  # appending is one step, whatever thread does it

    def send(*_):
        sent.append(1)
        tracer.start_span("Checkout").end()

    def loop(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            send()
"""
SIGNAL = """
    signal.signal(signal.SIGALRM, send)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    loop(1.0)
    signal.setitimer(signal.ITIMER_REAL, 0)
"""
FINALIZER = """
    class Ends:
        def __init__(self):
            self.itself = self
        def __del__(self):
            send()

    gc.set_threshold(40)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        Ends()
        send()
    gc.disable()
    time.sleep(0.3)  # for a collection that another thread has begun: `collect` would do nothing
    gc.collect()  # what ends later finds a provider that is shut down
"""
END = """
    provider.shutdown()
    counts = exporter.ledger()
    assert counts.balanced, counts
    assert counts.seen == len(sent), (counts, len(sent))
    assert counts.accepted == len(sent)
"""


@pytest.mark.parametrize("way", [SIGNAL, FINALIZER], ids=["signal handler", "finalizer"])
def test_spans_that_end_inside_an_export_hang_nothing(sandbox: Sandbox, way: str) -> None:
    """Every one of them is seen, and has its column in the ledger."""
    settings = sandbox.mpulse_settings.items()
    environment = {f"OTEL_EXPORTER_MPULSE_{name.upper()}": str(value) for name, value in settings}
    script = "".join(textwrap.dedent(part) for part in (SETUP, way, END))

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "OTEL_EXPORTER_MPULSE_TIMEOUT": "5"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
    )

    assert done.returncode == 0, done.stderr


CLIENTS = {
    "mpulse": """
        from otel_vendor_exporters.mpulse import MPulseClient
        client = MPulseClient()

        def call():
            client.send_timer("Checkout", 5, timeout_seconds=0.01)
    """,
    "mparticle": """
        from otel_vendor_exporters.mparticle import Batch, CustomEvent, EventsClient
        client = EventsClient(batches_per_second=0)
        event = CustomEvent(event_name="Paid", custom_event_type="other")
        batch = Batch(environment="development", mpid=7, events=[event])

        def call():
            client.upload(batch, timeout_seconds=0.01)
    """,
    "mparticle_analytics": """
        from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
        client = AnalyticsClient()
        event = AnalyticsEvent("Paid", "ann", {})

        def call():
            client.track(event, timeout_seconds=0.01)
    """,
}
CALLS = """
    import gc, signal, time
    sent = []

    def send(*_):
        sent.append(1)
        call()

    def loop(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            send()
            client.ledger()
"""
CALLED = """
    client.close(0.5)
    counts = client.ledger()
    assert counts.balanced, counts
    assert counts.accepted == len(sent), (counts, len(sent))
"""


@pytest.mark.parametrize("way", [SIGNAL, FINALIZER], ids=["signal handler", "finalizer"])
@pytest.mark.parametrize("vendor", CLIENTS)
def test_calls_of_a_client_inside_its_own_hang_nothing(sandbox: Sandbox, vendor: str, way: str) -> None:
    """Every one of them is kept, when the call that was under way ends."""
    settings = getattr(sandbox, f"{vendor}_settings").items()
    prefix = f"OTEL_EXPORTER_{vendor.upper()}_"
    script = "".join(textwrap.dedent(part) for part in (CLIENTS[vendor], CALLS, way, CALLED))

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **{f"{prefix}{name.upper()}": str(value) for name, value in settings},
            f"{prefix}CONNECTIONS": "1",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
    )

    assert done.returncode == 0, done.stderr


INTERRUPTED = """
    import random, signal, sys, time
    from pathlib import Path
    from otel_vendor_exporters.delivery import lifetime, reentry
    from otel_vendor_exporters.delivery.spool_files import spool_files
    from otel_vendor_exporters.mparticle_analytics.client import disk_for
    from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent

    class TimeLimit(Exception):
        pass

    def limit(*_):
        raise TimeLimit

    options = {"timeout": 1, "max_queue_items": 500, "spool_dir": sys.argv[1] or None}
    client = AnalyticsClient(api_key="k", base_url="http://127.0.0.1:9", **options)
    event = AnalyticsEvent("Paid", "ann", {})
    signal.signal(signal.SIGALRM, limit)
    limits, end = 0, time.monotonic() + 4
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00004, 0.0008))
            for _ in range(40):
                client.track(event, timeout_seconds=0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeLimit:
            limits += 1
            assert not reentry.is_inside()
    counts = client.ledger()
    assert limits > 100
    assert counts.balanced, counts
    accepted = counts.accepted
    client.track(event, timeout_seconds=0)
    counts = client.ledger()
    assert counts.accepted == accepted + 1
    assert counts.waiting + counts.in_flight <= 500, counts
    assert not lifetime.no_fork._inside

    def on_disk():
        files = spool_files(Path(sys.argv[1]), disk_for(client._destination.settings).label)
        return sum(one.waiting + one.in_flight for one in files)

    if sys.argv[1]:
        end = time.monotonic() + 10
        while on_disk() != counts.waiting + counts.in_flight and time.monotonic() < end:
            time.sleep(0.01)
        assert on_disk() == counts.waiting + counts.in_flight, (on_disk(), counts)
        assert len(list(Path(sys.argv[1]).iterdir())) < 10
"""


@pytest.mark.parametrize("has_disk", [False, True], ids=["memory", "disk"])
def test_exceptions_of_signal_handlers_stop_nothing(tmp_path: Path, has_disk: bool) -> None:
    """
    A time limit that strikes inside a call, often: what follows is kept, and the ledger is right.

    With a disk all that waits stands there a moment later, and nothing else.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(tmp_path) if has_disk else ""],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )

    assert done.returncode == 0, done.stderr


OPENINGS = """
    import atexit, gc, os, signal, sys, threading, time
    from otel_vendor_exporters.mparticle_analytics import AnalyticsClient
    from otel_vendor_exporters.mparticle_analytics.client import _destinations

    def opened(key):
        url = "http://127.0.0.1:9/service"
        return AnalyticsClient(api_key=key * 36, base_url=url, spool_dir=sys.argv[1], timeout=2)

    start = threading.Thread.start

    def interrupted(self):  # a client with a spool folder starts a thread while it is made
        threading.Thread.start = start
        os.kill(os.getpid(), signal.SIGTERM)
        start(self)
"""
CLOSES = """
    other = opened("x")
    signal.signal(signal.SIGTERM, lambda *_: (other.close(), sys.exit(7)))
    threading.Thread.start = interrupted
    opened("k")
"""
CLOSES_AND_GOES_ON = """
    other = opened("x")
    signal.signal(signal.SIGTERM, lambda *_: other.close())
    threading.Thread.start = interrupted
    opened("k").close()
    assert _destinations._uses == {}, _destinations._uses
    sys.exit(7)
"""
OPENS = """
    meanwhile = []
    signal.signal(signal.SIGTERM, lambda *_: meanwhile.extend([opened("k"), opened("x")]))
    threading.Thread.start = interrupted
    client = opened("k")
    same, other = meanwhile
    assert client._destination is same._destination
    assert client._destination is not other._destination
    for one in (client, same, other):
        one.close()
    assert _destinations._uses == {}, _destinations._uses
    assert threading.active_count() == 1, threading.enumerate()
    sys.exit(7)
"""


@pytest.mark.parametrize("way", [CLOSES, CLOSES_AND_GOES_ON, OPENS], ids=["ends", "closes", "opens"])
def test_a_handler_that_comes_in_while_a_client_is_made_hangs_nothing(tmp_path: Path, way: str) -> None:
    """What it closes is closed a moment later; what it opens is there, one for each account."""
    script = "".join(textwrap.dedent(part) for part in (OPENINGS, way))

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=40
    )

    assert done.returncode == 7, done.stderr


STORM = """
    def one_more(*_):
        opened("k").close()
        opened("x").close()
"""
STORM_OF_SIGNALS = """
    end = time.monotonic() + 1.5

    def come_again(*_):  # one after the other: on a slow machine handlers inside handlers would pile up
        one_more()
        if time.monotonic() < end:
            signal.setitimer(signal.ITIMER_REAL, 0.003)

    signal.signal(signal.SIGALRM, come_again)
    signal.setitimer(signal.ITIMER_REAL, 0.003)
    while time.monotonic() < end:
        opened("k").close()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
"""
STORM_OF_FINALIZERS = """
    class Holder:
        def __init__(self):
            self.client, self.itself = opened("k"), self
        def __del__(self):
            self.client.close()
            one_more()

    gc.set_threshold(7, 1, 1)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        Holder()
    gc.set_threshold(0)
    time.sleep(0.3)  # for a collection that another thread has begun
    gc.collect()
"""
STILL = """
    end = time.monotonic() + 10
    while (_destinations._uses or threading.active_count() > 1) and time.monotonic() < end:
        time.sleep(0.01)
    assert _destinations._uses == {}, _destinations._uses
    assert threading.active_count() == 1, threading.enumerate()
"""


@pytest.mark.parametrize("way", [STORM_OF_SIGNALS, STORM_OF_FINALIZERS], ids=["signal handler", "finalizer"])
def test_a_storm_of_openings_inside_openings_leaves_nothing(tmp_path: Path, way: str) -> None:
    """No call hangs, and when all are closed there is no destination and no thread left."""
    script = "".join(textwrap.dedent(part) for part in (OPENINGS, STORM, way, STILL))

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
