"""A sandbox starts, serves many at once, stops, leaves nothing behind, and never looks beyond loopback."""

from __future__ import annotations

import ast
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from otel_vendor_exporters.sandbox.exchange import Answer, Request
from otel_vendor_exporters.sandbox.listener import Listener, _Handler
from otel_vendor_exporters.sandbox.mpulse import app, config
from tests.sandbox.wire import Wire, encoded, eventually, read

SOURCES = sorted((Path(__file__).parents[2] / "otel_vendor_exporters" / "sandbox").rglob("*.py"))
TIMER = {"t_other": "custom0|10"}
CLIENTS = 8
BEACONS_EACH = 100


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Every test of this file ends with the threads it began with."""
    before = set(threading.enumerate())
    yield
    assert eventually(lambda: set(threading.enumerate()) <= before), threading.enumerate()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "192.168.1.7", "example.com", "8.8.8.8", "*", "::ffff:8.8.8.8"]
)
def test_only_loopback_is_listened_on(host: str) -> None:
    """Any other address is refused before a socket is opened, with what would be right."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole text is compared below
        Sandbox(host=host)

    assert str(raised.value) == (
        f"host={host!r}: the sandbox only listens on this machine; use 127.0.0.1, ::1 or localhost"
    )


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_loopback_has_several_names(host: str, name: str) -> None:
    """All of them serve, and the collector's address is the one that was asked for."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with Sandbox(host=host) as sandbox:
        wire = Wire(sandbox)
        port = urlsplit(sandbox.url).port
        assert sandbox.url == f"http://{name}:{port}"
        assert wire.learn()["beacon_url"] == f"//{name}:{port}/17de4c15/"
        assert wire.beacon(TIMER).findings == ()


def test_the_sandbox_calls_nobody() -> None:
    """No file of it holds an HTTP client; the one connection it opens is to its own port, to wake itself."""
    clients = {"requests", "urllib3", "http.client", "urllib.request", "asyncio", "smtplib", "ftplib"}
    opening = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not clients & set(names), path
            if isinstance(node, ast.Attribute) and node.attr in ("create_connection", "connect", "sendto"):
                opening.append((path.name, node.attr))

    assert opening == [("listener.py", "create_connection")]


@pytest.mark.flaky(reruns=2)
def test_starting_and_stopping_is_fast() -> None:
    """Twenty sandboxes come and go in a second; each has a free port."""
    begun = time.monotonic()
    for _ in range(20):
        with Sandbox() as sandbox:
            assert Wire(sandbox).config().status == 200

    assert time.monotonic() - begun < 1


def test_one_sandbox_starts_twice(sandbox: Sandbox, wire: Wire) -> None:
    """Stopped and started again it goes on with what it knows; the crumb of before is good."""
    wire.learn()
    sandbox.stop()
    sandbox.stop()
    sandbox.start()

    assert wire.beacon(TIMER).findings == ()
    assert [record.kind for record in sandbox.received.records] == ["config", "beacon"]


def test_what_is_asked_at_the_wrong_time_is_told(sandbox: Sandbox) -> None:
    """No second start; no address before the first or after stop."""
    with pytest.raises(RuntimeError, match="the sandbox is already started"):
        sandbox.start()
    sandbox.stop()
    for address in ("url", "config_url", "signed_config_url", "mpulse_settings"):
        with pytest.raises(RuntimeError, match=r"the sandbox has no address before start\(\)"):
            getattr(sandbox, address)


def test_a_stopped_sandbox_is_gone(wire: Wire, sandbox: Sandbox) -> None:
    """Its port refuses, and open connections end."""
    with wire.connect() as idle:
        address = wire.address
        assert wire.config().status == 200
        sandbox.stop()
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=1)


def test_a_port_is_taken_by_one(sandbox: Sandbox, wire: Wire) -> None:
    """A second sandbox on the port fails; after stop the port is free at once."""
    port = wire.address[1]
    assert wire.config().status == 200
    second = Sandbox(port=port)
    with pytest.raises(OSError, match="in use"):
        second.start()
    second.stop()
    sandbox.stop()
    with Sandbox(port=port) as third:
        assert Wire(third).config().status == 200


def test_two_sandboxes_do_not_mix() -> None:
    """What one receives the other does not."""
    with Sandbox() as one, Sandbox() as two:
        Wire(one).beacon(TIMER)

        assert len(one.received.timers) == 1
        assert two.received.records == ()


def test_the_settings_point_here(sandbox: Sandbox) -> None:
    """Keywords for an exporter, and both addresses."""
    assert sandbox.mpulse_settings == {
        "api_key": "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
        "domain": "www.example.com",
        "config_url": f"{sandbox.url}/api/config.json",
    }
    assert sandbox.signed_config_url == f"{sandbox.url}/api/v2/config.json"
    assert sandbox.mpulse.rest_secret == "V5PD3-63D9W-TP9FP-F7V9T-5VP72"


def test_eight_clients_are_counted_exactly(sandbox: Sandbox) -> None:
    """Each beacon of each client counts once, while they look at what arrived and refresh their crumbs."""
    sandbox.mpulse.define(timers=[f"T{i}" for i in range(CLIENTS)], metrics=("M",))
    wires = [Wire(sandbox) for _ in range(CLIENTS)]

    def run(index: int) -> None:
        wires[index].learn()
        for number in range(BEACONS_EACH):
            pairs = {**wires[index].always(), "t_other": f"custom{index}|{number}", "cmet.M": "0.1"}
            assert wires[index].ask("GET", f"{wires[index].beacon_path}?{encoded(pairs)}").status == 204
            if number % 25 == 0:
                assert sandbox.received.metrics.get("M", 0) >= 0
                assert wires[index].config({"r": ""}).status == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(run, range(CLIENTS)))

    received = sandbox.received
    assert received.findings == ()
    assert Counter(received.timers) == Counter(
        (f"T{index}", number) for index in range(CLIENTS) for number in range(BEACONS_EACH)
    )
    assert received.metrics == {"M": pytest.approx(0.1 * CLIENTS * BEACONS_EACH)}
    assert sandbox.inbox.counts.requests == (
        ("mpulse", "config", CLIENTS * 5),
        ("mpulse", "beacon", CLIENTS * BEACONS_EACH),
    )


def test_eight_clients_share_the_faults_exactly(sandbox: Sandbox) -> None:
    """Of 400 requests exactly the ordered 100 get a 503, and exactly the others count."""
    sandbox.answer_next(503, times=100, on="beacon")
    wires = [Wire(sandbox) for _ in range(CLIENTS)]

    def run(wire: Wire) -> list[int]:
        target = f"{wire.beacon_path}?{encoded({**wire.always(), **TIMER})}"
        return [wire.ask("GET", target).status for _ in range(50)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = Counter(status for statuses in pool.map(run, wires) for status in statuses)

    assert statuses == {503: 100, 204: 300}
    assert len(sandbox.received.timers) == 300


def test_undefined_labels_are_counted_exactly(sandbox: Sandbox) -> None:
    """Eight clients, one list of labels, one count of findings."""
    wires = [Wire(sandbox) for _ in range(CLIENTS)]

    def run(wire: Wire) -> None:
        for number in range(20):
            wire.ask("GET", f"{wire.beacon_path}?{encoded({**wire.always(), 't_other': f'nope{number}|1'})}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(run, wires))

    counts = {finding.code: count for finding, count in sandbox.inbox.counts.findings}
    assert counts == {f"unknown_timer:nope{number}": CLIENTS for number in range(20)}
    assert sorted(sandbox.mpulse.undefined) == sorted(f"nope{number}" for number in range(20))


@pytest.mark.flaky(reruns=2)
def test_stopping_under_load_is_clean() -> None:
    """Clients in the middle of requests see a closed connection, not a hang; nothing is left."""
    sandbox = Sandbox(mpulse=MPulseApp()).start()
    wire = Wire(sandbox)
    target = f"{wire.beacon_path}?{encoded({**wire.always(), **TIMER})}"
    address = wire.address
    answers: list[bytes] = []

    def run() -> None:
        with suppress(OSError):
            while True:
                with socket.create_connection(address, timeout=5) as connection:
                    connection.sendall(
                        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
                    )
                    answers.append(connection.recv(1000))

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    assert sandbox.received.wait_for(lambda received: len(received.records) > 50)
    begun = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - begun < 1
    for thread in threads:
        thread.join(5)

    assert not any(thread.is_alive() for thread in threads)
    assert len([answer for answer in answers if answer.startswith(b"HTTP/1.1 204 ")]) >= 42


def test_a_stalled_client_is_hung_up_on(
    sandbox: Sandbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a head, half a body or nothing at all for longer than the idle time: the connection ends."""
    assert _Handler.timeout == 60
    monkeypatch.setattr(_Handler, "timeout", 0.05)
    for half in (b"", b"GET /config HTTP/1.1\r\nHost:", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"):
        with wire.connect() as connection:
            connection.sendall(half)
            assert connection.recv(1000) == b""

    assert sandbox.received.records == ()


def test_a_defect_of_the_sandbox_is_an_answer_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a vendor's code raises, the client gets 500 with the reason, and the next one is served."""

    def respond(request: Request) -> Answer:
        if request.path == "/broken":
            raise LookupError("a defect")
        return Answer(200)

    listener = Listener(respond, "127.0.0.1", 0)
    listener.start()
    host, _, port = listener.authority.rpartition(":")
    statuses = []
    for path in ("/broken", "/whole"):
        with closing(HTTPConnection(host, int(port), timeout=5)) as connection:
            connection.request("GET", path)
            statuses.append(read(connection.getresponse()).status)
    listener.stop()

    assert statuses == [500, 200]
    assert [record.getMessage() for record in caplog.records] == ["the sandbox failed on GET /broken"]


def test_what_an_app_remembers_is_bounded(
    sandbox: Sandbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of crumbs and collectors the oldest go, of undefined labels the first stay."""
    monkeypatch.setattr(config, "MAX_CRUMBS", 2)
    monkeypatch.setattr(app, "MAX_BEACON_URLS", 2)
    monkeypatch.setattr(app, "MAX_UNDEFINED", 2)
    first = wire.learn()
    wire.beacon({"t_other": "a|1,b|1,c|1,a|1"})
    for _ in range(2):
        wire.config()
        sandbox.mpulse.change_beacon_url()

    assert sandbox.mpulse.undefined == ("a", "b")
    assert wire.beacon(TIMER).codes == ("unknown_crumb", "unknown_beacon_url")
    wire.learn()
    assert wire.beacon(TIMER).findings == ()
    assert wire.config({"r": "", "bcn": first["beacon_url"]}).status == 200
    assert wire.last.codes == ("unknown_bcn",)


def has_ipv6() -> bool:
    """Whether ::1 can be listened on here."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
