"""A caller's own session on real sockets: whatever it raises is no answer, and where tells what was sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from otel_vendor_exporters.delivery.request import Failure, Reply
from otel_vendor_exporters.delivery.transport import Transport
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.mparticle_analytics import AnalyticsClient, AnalyticsEvent
from tests.delivery.exchanges import posted, raw, serve
from tests.delivery.loopback import RESET, Answer, Line, Loopback, http
from tests.delivery.test_kept_connections import hangs_up_on_the_second
from tests.delivery.test_transport import EARLY, says_in_advance


def sent_to(server: Loopback, session: requests.Session, *, scheme: str = "http") -> Reply:
    with server, session:
        return Transport(session=session).send(posted(f"{scheme}://{server.address}"), 2)


def test_a_port_that_speaks_no_tls_was_sent_nothing() -> None:
    """A proxy or server without TLS answers the handshake in plain words: nothing has left."""

    def handle(line: Line) -> None:
        line.connection.recv(100)
        line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    reply = sent_to(Loopback(handle), requests.Session(), scheme="https")

    assert reply == Reply(failure=Failure.NOT_SENT, words="SSLError: SSLError: wrong version number")


def reset(line: Line) -> None:
    line.connection.recv(100)
    line.reset()


def say_nothing(line: Line) -> None:
    line.hang()


@pytest.mark.parametrize("handle", [reset, say_nothing])
def test_a_handshake_that_breaks_off_was_sent_nothing(handle: Callable[[Line], None]) -> None:
    """TLS that ends or stalls before it begins has let nothing through."""
    with Loopback(handle) as server, requests.Session() as session:
        reply = Transport(session=session).send(posted(f"https://{server.address}"), 0.5)

    assert reply.failure is Failure.NOT_SENT


@pytest.mark.parametrize("answer", [b"HTTP/1.1 abc OK\r\n\r\n", b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_an_answer_that_is_none_is_ambiguous(answer: bytes) -> None:
    """The request has arrived, whatever was said to it: sending it again could count it twice."""
    reply = sent_to(raw(answer), requests.Session())

    assert reply.failure is Failure.NO_ANSWER


def test_a_certificate_file_that_is_not_there_lets_nothing_leave() -> None:
    """The session's adapter raises before it connects."""
    session = requests.Session()
    session.verify = "/nowhere/ca.pem"

    reply = sent_to(serve(Answer(204)), session, scheme="https")

    assert reply.failure is Failure.NOT_SENT


def test_what_is_said_in_advance_is_no_answer() -> None:
    """urllib3 takes it for one: the true one would be read as that to the next request."""
    with says_in_advance(EARLY) as server, requests.Session() as session:
        transport = Transport(session=session)
        replies = [transport.send(posted(server.url, body), 5) for body in (b"1", b"2")]

    words = "HTTP 103 in place of an answer"
    assert (replies, server.connections) == ([Reply(failure=Failure.NO_ANSWER, words=words)] * 2, 2)


# What is the caller's


class Ended(BaseException):
    """As gevent's Timeout: no Exception."""


class Faulty(HTTPAdapter):
    """Raises the first time."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.errors = [error]

    def send(self, *args: object, **options: object) -> requests.Response:
        if self.errors:
            raise self.errors.pop()
        return super().send(*args, **options)  # type: ignore[arg-type]  # as they came


def session_with(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("http://", adapter)
    return session


FOREIGN = [KeyError("s3cret"), MemoryError(), Ended(), SystemExit(1), KeyboardInterrupt()]


@pytest.mark.parametrize("error", FOREIGN[:4], ids=lambda error: type(error).__name__)
def test_what_an_adapter_raises_is_no_answer(error: BaseException) -> None:
    """Nobody knows what it had done by then; its type is told, its words are not."""
    reply = sent_to(serve(Answer(204)), session_with(Faulty(error)))

    words = f"http_session raised {type(error).__name__}"
    assert reply == Reply(failure=Failure.NO_ANSWER, words=words)


def test_an_interrupt_from_the_terminal_goes_through() -> None:
    """It is the user's, who wants the program to end."""
    with pytest.raises(KeyboardInterrupt):
        sent_to(serve(Answer(204)), session_with(Faulty(KeyboardInterrupt())))


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_the_sender_goes_on_after_an_adapters_fault(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """What was under way is decided by `duplicates`, what follows is sent, and the fault is said once."""
    with serve(Answer(200, body=b"{}")) as server, session_with(Faulty(error)) as session:
        settings = {"api_key": "k", "base_url": server.url, "duplicates": "avoid"}
        with AnalyticsClient(**settings, http_session=session) as client:
            receipts = [client.track(AnalyticsEvent("Bought", user), timeout_seconds=5) for user in "ab"]

    assert [(one.delivered, dict(one.dropped)) for one in receipts] == [(0, {"ambiguous": 1}), (1, {})]
    assert caplog.text.count(f"not delivering (http_session raised {type(error).__name__})") == 1


def test_a_request_that_the_session_cannot_prepare_was_not_sent() -> None:
    """Its own way to sign requests comes before anything leaves."""

    def refuse(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        raise LookupError

    session = requests.Session()
    session.auth = refuse

    assert sent_to(serve(Answer(204)), session).failure is Failure.NOT_SENT


def test_an_error_of_the_application_is_not_the_sessions() -> None:
    """A call in the middle of handling an error is judged by its own alone."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()[1]

    try:
        requests.get(f"http://127.0.0.1:{address}", timeout=1)
    except requests.ConnectionError:
        reply = sent_to(serve(Answer(204)), session_with(Faulty(KeyError())))

    assert reply.failure is Failure.NO_ANSWER


RETRIES: list[tuple[Retry | int, bool]] = [
    (0, False),
    (3, True),
    (Retry(total=3), True),
    (Retry(total=None, status=1), True),
    (Retry(total=3, read=0, status=0, other=0), False),
    (Retry(total=3, read=False, status=0, other=0), False),
    (Retry(total=False), False),
]


@pytest.mark.parametrize(("retries", "is_refused"), RETRIES, ids=str)
def test_a_session_that_would_send_again_is_refused(retries: Retry | int, is_refused: bool) -> None:
    """Its retries would count one thing several times, wait as long as told, and log whole addresses."""
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=retries))

    with ExitStack() as stack:
        if is_refused:
            stack.enter_context(pytest.raises(ConfigurationError, match="expected max_retries=0, as in"))
        AnalyticsClient(api_key="k", base_url="http://127.0.0.1:9", http_session=session).close(0)


def test_an_adapter_of_one_host_that_would_send_again_sends_nothing() -> None:
    """It is seen when it is used; what waits is kept, and the reason is told."""
    session = requests.Session()
    session.mount("http://127.0.0.1", HTTPAdapter(max_retries=3))

    with Loopback(http(lambda request: Answer(204))) as server:
        reply = sent_to(server, session)

    words = "an adapter of http_session sends again by itself, expected max_retries=0"
    assert (reply, server.connections) == (Reply(failure=Failure.NOT_SENT, words=words), 0)


class Insists(HTTPAdapter):
    """Has urllib3 try again whatever it was set to."""

    def send(self, *args: Any, **options: Any) -> requests.Response:
        self.max_retries = Retry(total=1, allowed_methods=None, status_forcelist=[503], backoff_factor=0)
        return super().send(*args, **options)


@pytest.mark.parametrize(
    ("first", "failure"),
    [(RESET, Failure.NO_ANSWER), (Answer(503), Failure.NO_ANSWER), (None, Failure.NOT_SENT)],
    ids=["reset", "answered", "refused"],
)
def test_a_session_that_tries_again_is_judged_by_all_its_attempts(
    first: Answer | None, failure: Failure
) -> None:
    """A last attempt that was refused does not undo a first one that arrived."""
    adapter = Insists()

    with serve(Answer(204)) as server:
        url = server.url
    if first is None:
        reply = Transport(session=session_with(adapter)).send(posted(url), 2)
    else:
        reply = sent_to(once(first), session_with(adapter))

    assert reply.failure is failure


def once(answer: Answer) -> Loopback:
    """Answers one request; by then nobody listens any more."""

    def handle(line: Line) -> None:
        line.request()
        server.stop_listening()
        if answer.reset:
            line.reset()
        else:
            line.answer(Answer(answer.status, {"Connection": "close"}))

    server = Loopback(handle)
    return server


# Certificates


@pytest.mark.parametrize(("trust_env", "failure"), [(True, Failure.NOT_SENT), (False, None)])
def test_the_environments_certificates_go_before_a_sessions_own(
    trust_env: bool,
    failure: Failure | None,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That is the rule of requests, unless the session does without the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.utils.DEFAULT_CA_BUNDLE_PATH)
    session = requests.Session()
    session.verify, session.trust_env = str(certificate), trust_env

    reply = sent_to(Loopback(http(lambda request: Answer(204)), tls=tls), session, scheme="https")

    assert reply.failure is failure


# Connections that are kept


def test_a_server_that_hangs_up_costs_a_session_one_request() -> None:
    """Once it has closed a kept connection under a request, each has one of its own, as without a session."""
    with hangs_up_on_the_second([], lambda line: None) as server, requests.Session() as session:
        transport = Transport(session=session)
        statuses = [transport.send(posted(server.url, b"%d" % number), 5).status for number in range(8)]

    assert (statuses, server.connections) == ([200, 0, 200, 200, 200, 200, 200, 200], 7)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_not_kept_gives_its_whole_answer(
    scheme: str, tls: ssl.SSLContext, certificate: Path
) -> None:
    """Its last answer is read to the end, however long, and nothing stays open."""
    body = b"x" * 300_000
    answers = iter([Answer(200), RESET, *[Answer(200, body=body)] * 2, Answer(204), Answer(200)])

    with (
        Loopback(http(lambda request: next(answers)), tls=tls if scheme == "https" else None) as server,
        requests.Session() as session,
    ):
        session.verify, session.trust_env = str(certificate), False
        transport = Transport(session=session)
        replies = [transport.send(posted(server.url), 5) for _ in range(6)]

    assert [reply.status for reply in replies] == [200, 0, 200, 200, 204, 200]
    assert [reply.body for reply in replies[2:4]] == [body, body]
    assert server.connections == 5


def test_a_first_request_that_is_reset_is_no_reason_to_keep_none() -> None:
    """Only a connection that was open before can have been closed as idle."""
    answers = iter([RESET, Answer(200), Answer(200), Answer(200)])

    with Loopback(http(lambda request: next(answers))) as server, requests.Session() as session:
        transport = Transport(session=session)
        statuses = [transport.send(posted(server.url), 5).status for _ in range(4)]

    assert (statuses, server.connections) == ([0, 200, 200, 200], 2)
