"""Answers: a Reply of what has come back, read up to a bound and a deadline."""

from __future__ import annotations

from http.client import SWITCHING_PROTOCOLS
from time import monotonic

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from otel_vendor_exporters.delivery.request import Failure, Reply

MAX_BODY_BYTES = 1024 * 1024
_CHUNK_BYTES = 16 * 1024
_NO_CONTENT = Reply(status=204)


def reply_of(response: BaseHTTPResponse, deadline: float) -> Reply:
    """The answer, whose head has come; the body is read here."""
    if response.status == 204:  # what mPulse says to every beacon: nothing of it is ever read
        if not response.closed:
            response.drain_conn()
        response.release_conn()
        return _NO_CONTENT
    if response.status < 200:
        return _without_end(response)
    headers = {name.lower(): value for name, value in response.headers.items()}
    body, whole = _body(response, deadline)
    return Reply(status=response.status, headers=headers, body=body, truncated=not whole)


def _without_end(response: BaseHTTPResponse) -> Reply:
    """What is said in advance is no answer; the answer is not to be taken for that to the next request."""
    response.close()
    if response.status == SWITCHING_PROTOCOLS:  # an end of HTTP, which nobody asked for
        return Reply(status=response.status)
    return Reply(failure=Failure.NO_ANSWER, words=f"HTTP {response.status} in place of an answer")


def _body(response: BaseHTTPResponse, deadline: float) -> tuple[bytes, bool]:
    """The body up to the bound and the deadline, and whether that was all. A break in it is an end."""
    body = bytearray()
    read = getattr(response, "read1", response.read)  # what is there, not what would fill a chunk
    try:
        while chunk := read(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY_BYTES or monotonic() > deadline:
                response.close()
                return bytes(body[:MAX_BODY_BYTES]), False
    except (HTTPError, OSError):
        response.close()
        return bytes(body), False
    response.release_conn()
    return bytes(body), True
