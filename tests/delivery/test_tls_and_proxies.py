"""The transport on real sockets: whatever a certificate or a proxy does comes back as a Reply."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest

from otel_vendor_exporters.delivery.request import Failure, Reply
from otel_vendor_exporters.delivery.transport import Network, Transport
from tests.delivery.exchanges import SECRET, drips, posted, serve
from tests.delivery.loopback import Answer, Line, Loopback, Received, http

# TLS


def test_a_certificate_nobody_knows_is_refused(transport: Transport, tls: ssl.SSLContext) -> None:
    """A self-signed certificate is not trusted, and the request not sent."""
    requests_seen = []

    def answer(request: Received) -> Answer:
        requests_seen.append(request)
        return Answer(204)

    with Loopback(http(answer), tls=tls) as server:
        reply = transport.send(posted(server.url), 5)

    assert (reply.failure, requests_seen) == (Failure.NOT_SENT, [])
    assert "SSLCertVerificationError" in reply.words


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_certificate_authority_of_ones_own(
    how: str, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA file given as a setting or in the environment is trusted."""
    ca_file = str(certificate) if how == "setting" else None
    if how == "environment":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    transport = Transport(Network(ca_file=ca_file))

    with Loopback(http(lambda request: Answer(204)), tls=tls) as server:
        statuses = [transport.send(posted(server.url), 5).status for _ in range(2)]
        transport.close()

    assert (statuses, server.connections) == ([204, 204], 1)


def test_a_certificate_for_another_host_is_refused(tls: ssl.SSLContext, certificate: Path) -> None:
    """Trusted, but not for this name: nothing is sent."""
    transport = Transport(Network(ca_file=str(certificate)))

    with Loopback(http(lambda request: Answer(204)), tls=tls) as server:
        reply = transport.send(posted(server.url.replace("127.0.0.1", "localhost")), 5)
        transport.close()

    assert reply.failure is Failure.NOT_SENT


@pytest.mark.parametrize("given", [True, False], ids=["with", "without"])
def test_client_certificates(given: bool, tls: ssl.SSLContext, certificate: Path) -> None:
    """A server that asks for one gets it, and answers nobody who has none."""
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    client = str(certificate) if given else None
    transport = Transport(Network(ca_file=str(certificate), client_certificate=client))

    with Loopback(http(lambda request: Answer(204)), tls=tls) as server:
        reply = transport.send(posted(server.url), 5)
        transport.close()

    if given:
        assert reply == Reply(status=204)
    else:  # whether the server's alert still arrives, or only the end of the connection, is chance
        assert reply.failure is not None


@pytest.mark.parametrize(
    "network", [Network(ca_file="/no/such.pem"), Network(client_certificate="/no/such.pem")]
)
def test_a_missing_certificate_file_is_a_failure(network: Network) -> None:
    """What waits is kept until the file is there."""
    assert Transport(network).send(posted("https://127.0.0.1:9"), 1).failure is Failure.NOT_SENT


def test_plain_http_where_tls_is_expected(transport: Transport) -> None:
    """A server that speaks no TLS got nothing."""
    with serve(Answer(204)) as server:
        reply = transport.send(posted(server.url.replace("http:", "https:")), 0.2)

    assert reply.failure is Failure.NOT_SENT


def test_tls_that_breaks_after_sending_is_ambiguous(tls: ssl.SSLContext, certificate: Path) -> None:
    """An end of the connection without an answer is the same under TLS."""
    transport = Transport(Network(ca_file=str(certificate)))

    def handle(line: Line) -> None:
        line.request()

    with Loopback(handle, tls=tls) as server:
        reply = transport.send(posted(server.url), 2)
        transport.close()

    assert reply.failure is Failure.NO_ANSWER


# Proxies


def test_a_plain_proxy_gets_the_whole_address() -> None:
    """With http the proxy is asked for the vendor's URL, with its own credentials in the header."""
    seen: list[Received] = []

    def answer(request: Received) -> Answer:
        seen.append(request)
        return Answer(204)

    with Loopback(http(answer)) as proxy:
        transport = Transport(Network(proxy=proxy.url.replace("//", "//user:word@")))
        reply = transport.send(posted("http://vendor.invalid"), 5)
        transport.close()

    assert (reply.status, seen[0].target) == (204, f"http://vendor.invalid/path?{SECRET}")
    assert seen[0].headers["proxy-authorization"].startswith("Basic ")
    assert not [name for name in seen[0].headers if name.startswith(":")]


def tunnels(server: Loopback, status: int = 200) -> Loopback:
    """An HTTP proxy that answers CONNECT and passes bytes on."""

    def handle(line: Line) -> None:
        request = line.request()
        assert request is not None
        assert request.method == "CONNECT"
        line.send(b"HTTP/1.1 %d Words\r\n\r\n" % status)
        if status == 200:
            host, port = server.address.split(":")
            with socket.create_connection((host, int(port)), 5) as onward:
                _pass_on(line.connection, onward)

    return Loopback(handle)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    one.settimeout(0.01)
    other.settimeout(0.01)
    for _ in range(500):
        for source, target in ((one, other), (other, one)):
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return
            target.sendall(data)


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_proxy_tunnels_tls(
    how: str, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With https the proxy sees a tunnel, and the certificate is the vendor's."""
    with Loopback(http(lambda request: Answer(204)), tls=tls) as server, tunnels(server) as proxy:
        if how == "environment":
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        transport = Transport(
            Network(ca_file=str(certificate), proxy=proxy.url if how == "setting" else None)
        )
        reply = transport.send(posted(server.url), 5)
        transport.close()

    assert (reply.status, proxy.connections) == (204, 1)


def test_a_proxy_that_refuses_the_tunnel_sent_nothing(tls: ssl.SSLContext) -> None:
    """The proxy wants a password: the vendor has seen nothing."""
    with Loopback(http(lambda request: Answer(204)), tls=tls) as server, tunnels(server, 407) as proxy:
        transport = Transport(Network(proxy=proxy.url))
        reply = transport.send(posted(server.url), 5)
        transport.close()

    assert reply == Reply(failure=Failure.NOT_SENT, words="ProxyError: OSError: answered 407")
    assert server.connections == 0


@pytest.mark.flaky(reruns=2)
def test_a_proxy_that_drips_its_answer_has_one_deadline() -> None:
    """However slowly it drips, the answer to CONNECT is waited for once; the vendor has seen nothing."""
    with drips(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x") as proxy:
        transport = Transport(Network(proxy=proxy.url))
        began = time.monotonic()
        reply = transport.send(posted("https://vendor.invalid"), 0.3)
        transport.close()

    assert reply.failure is Failure.NOT_SENT
    assert time.monotonic() - began < 2


def test_a_proxy_that_is_not_there_sent_nothing() -> None:
    """Nobody listens at the proxy's address."""
    with serve(Answer(204)) as server:
        url = server.url
    transport = Transport(Network(proxy=url))

    assert transport.send(posted("https://vendor.invalid"), 2).failure is Failure.NOT_SENT
