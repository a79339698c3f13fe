"""
Bad weather on the way to a vendor: what was accepted meanwhile arrives once it is over.

A relay stands between the exporters and the sandbox, on real sockets. Each request waits as long as it would;
only the pauses in between are shortened.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import trustme
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan

from otel_vendor_exporters.mparticle import MParticleLogExporter
from otel_vendor_exporters.mparticle_analytics import MParticleAnalyticsLogExporter
from otel_vendor_exporters.mpulse import MPulseSpanExporter
from otel_vendor_exporters.sandbox import MPulseApp, Sandbox
from tests.delivery.fakes import FastClock
from tests.delivery.loopback import GUARD_SECONDS, Answer, Line, Loopback, Received

TIMEOUT_SECONDS = 0.3
GUST = 8  # requests that meet the weather before it is over
BEFORE, DURING, AFTER = range(60), range(60, 300), range(300, 360)
WEATHERS = ("slow", "half open", "reset", "storm", "no name", "silent name server", "no trust")
NOT_CONNECTED = ("no name", "silent name server", "no trust")


class Relay:
    """Passes requests on to a sandbox, as the weather is."""

    def __init__(self, sandbox: Sandbox, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._sandbox = sandbox
        self._statuses = cycle((500, 503, 429))
        self._weather = "fair"
        self._met = self._connected = 0
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self._known, self._unknown = _server_side(authority), _server_side(trustme.CA())
        self.server = Loopback(self._serve, tls=self._known)
        self._address = f"localhost:{self.server.address.rpartition(':')[2]}"
        self._look_up = socket.getaddrinfo
        patch.setattr(socket, "getaddrinfo", self._found)

    def become(self, weather: str) -> None:
        """Change the weather, for kept connections too."""
        self._weather, self._met, self._connected = weather, 0, self.server.connections
        self.server.tls = self._unknown if weather == "no trust" else self._known

    def wait_for_gust(self) -> None:
        """Until enough requests or connections have met the weather."""

        def met() -> int:
            is_refused = self._weather == "no trust"  # before a request is made
            return self.server.connections - self._connected if is_refused else self._met

        wait_until(lambda: met() >= GUST)

    def beside(self, settings: Mapping[str, object]) -> dict[str, Any]:
        """A sandbox's settings, leading here instead."""
        known = self._sandbox.url
        moved = {
            name: str(value).replace(known, f"https://{self._address}") for name, value in settings.items()
        }
        return {**moved, "ca_file": self.ca_file, "timeout": TIMEOUT_SECONDS, "duplicates": "allow"}

    def _found(self, host: Any, *more: Any, **others: Any) -> Any:  # Any: as the socket module has it
        is_to_be_asked_for = host == "localhost" and not others["flags"]
        self._met += host == "localhost" and not is_to_be_asked_for  # each request looks whether it is
        if self._weather == "no name" and is_to_be_asked_for:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        while self._weather == "silent name server" and is_to_be_asked_for:
            time.sleep(0.01)
        return self._look_up(host, *more, **others)

    def _serve(self, line: Line) -> None:
        while (request := line.request()) is not None:
            weather = self._weather
            if weather in NOT_CONNECTED:
                return  # no longer connected, and not to be connected again
            if weather == "fair":
                line.answer(self._passed_on(request))
                continue
            self._met += 1
            if weather == "half open":
                line.hang()
                return
            if weather == "storm":
                line.answer(Answer(next(self._statuses)))
                continue
            answer = self._passed_on(request)
            if weather == "reset":
                line.send(b"HTTP/1.1 20")
                line.reset()
                return
            time.sleep(2 * TIMEOUT_SECONDS)
            line.answer(answer)

    def _passed_on(self, request: Received) -> Answer:
        inner = self._sandbox.url.removeprefix("http://")
        connection = http.client.HTTPConnection(inner, timeout=GUARD_SECONDS)
        headers = {
            name: value for name, value in request.headers.items() if name not in ("host", "connection")
        }
        connection.request(request.method, request.target, request.body, headers)
        answer = connection.getresponse()
        body = answer.read().replace(inner.encode(), self._address.encode())
        connection.close()
        kind = {name: value for name, value in answer.getheaders() if name.lower() == "content-type"}
        return Answer(answer.status, kind, body)


def _server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class MPulse:
    """Numbers as the milliseconds of spans."""

    clock = ("otel_vendor_exporters.mpulse.client._CLOCK", FastClock())

    def __init__(self, relay: Relay, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.exporter = MPulseSpanExporter(**relay.beside(sandbox.mpulse_settings), max_age=86_400)

    def tell(self, numbers: range) -> None:
        end = time.time_ns()
        self.exporter.export(
            [ReadableSpan("Checkout", start_time=end - n * 1_000_000, end_time=end) for n in numbers]
        )

    def arrived(self) -> Counter[int]:
        return Counter(milliseconds for _, milliseconds in self._sandbox.received.timers)


class Logs:
    """Numbers as an attribute of events, of ten users."""

    def __init__(self, exporter: MParticleLogExporter | MParticleAnalyticsLogExporter) -> None:
        self.exporter = exporter
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        self._logger = provider.get_logger("test")

    def tell(self, numbers: range) -> None:
        for n in numbers:
            self._logger.emit(LogRecord(event_name="Checkout", attributes={"user.id": f"u{n % 10}", "n": n}))


class MParticle(Logs):
    clock = ("otel_vendor_exporters.mparticle.client._CLOCK", FastClock())

    def __init__(self, relay: Relay, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        super().__init__(MParticleLogExporter(**relay.beside(sandbox.mparticle_settings)))

    def arrived(self) -> Counter[int]:
        return Counter(int(str(event.attributes["n"])) for event in self._sandbox.received.mparticle.events)


class Analytics(Logs):
    clock = ("otel_vendor_exporters.mparticle_analytics.client._CLOCK", FastClock())

    def __init__(self, relay: Relay, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        super().__init__(MParticleAnalyticsLogExporter(**relay.beside(sandbox.mparticle_analytics_settings)))

    def arrived(self) -> Counter[int]:
        users = self._sandbox.received.mparticle_analytics.users
        return Counter(int(str(event.properties["n"])) for user in users for event in user.events)


@pytest.mark.flaky(reruns=2)  # an answer that a stalled machine gives too late is sent again
@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("vendor", [MPulse, MParticle, Analytics])
def test_what_is_accepted_in_bad_weather_arrives_after_it(
    vendor: type[MPulse | MParticle | Analytics],
    weather: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers too late, none, half of one, of faults alone, or nobody there: nothing is lost."""
    monkeypatch.setattr(*vendor.clock)
    with Sandbox(mpulse=MPulseApp(timers=("Checkout",))) as sandbox:
        relay = Relay(sandbox, tmp_path, monkeypatch)
        with relay.server:
            told = vendor(relay, sandbox)
            told.tell(BEFORE)
            wait_until(told.exporter.force_flush)
            relay.become(weather)
            told.tell(DURING)
            relay.wait_for_gust()
            relay.become("fair")
            told.tell(AFTER)
            wait_until(told.exporter.force_flush)
            counts = told.exporter.ledger()
            told.exporter.shutdown()
        arrived = told.arrived()

    assert set(arrived) == {*BEFORE, *DURING, *AFTER}
    assert (counts.delivered, counts.lost, counts.balanced) == (counts.accepted, 0, True)
    assert is_twice_allowed(weather) or max(arrived.values()) == 1


def is_twice_allowed(weather: str) -> bool:
    """Whether the vendor may have taken what it did not answer for."""
    return weather in ("slow", "reset")
