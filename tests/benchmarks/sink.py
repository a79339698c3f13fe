"""
A sink in a process of its own: takes any request, answers at once, counts.

It answers configuration requests as mPulse does, beacons with 204, traces for Datadog's agent as
that does, and everything else with an empty 200.
Run as `python sink.py`; prints its port. Loopback only; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

TIMERS = 64


def config(port: int) -> bytes:
    body = {
        "h.key": "K",
        "h.d": "www.example.com",
        "h.t": int(time.time() * 1000),
        "h.cr": "ad73390de5ba3bdff928806651a4f528dfa98983",
        "session_id": "6ad5f44a-466f-4373-b3c7-b5cfdd22118d",
        "beacon_url": f"//127.0.0.1:{port}/b/",
        "PageParams": {
            "customTimers": [{"name": f"Timer {n}", "label": f"custom{n}"} for n in range(TIMERS)],
            "customMetrics": [{"name": "Revenue", "label": "cmet.Revenue", "dataType": "Currency"}],
            "customDimensions": [{"name": "Country", "label": "cdim.Country"}],
        },
    }
    return json.dumps(body).encode()


class Sink(asyncio.Protocol):
    requests = 0
    port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.answer(self.buffer[: self.buffer.find(b" HTTP/")])
            self.buffer = self.buffer[end + 4 + length :]

    def answer(self, line: bytes) -> None:
        if b" /b/" in line:
            Sink.requests += 1
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        body = b""
        if b"config.json" in line:
            body = config(Sink.port)
        elif b" /count" in line:
            body = str(Sink.requests).encode()
        elif b"/traces" in line:  # Datadog's agent answers with sampling rates
            body = b'{"rate_by_service": {}}'
        else:
            Sink.requests += 1
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    Sink.port = server.sockets[0].getsockname()[1]
    print(Sink.port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
