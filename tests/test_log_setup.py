"""A handler that sets up its exporters by name: dictConfig alone is enough, in processes of their own."""

from __future__ import annotations

import http.server
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from instrumentation import EventHandler, visitor
from otel_vendor_exporters.errors import ConfigurationError
from otel_vendor_exporters.log_setup import logger_provider

ROOT = Path(__file__).parent.parent


class Collector(http.server.ThreadingHTTPServer):
    """An OTLP collector on loopback; `status` is what it answers."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.records: list[Any] = []  # Any: protobuf's generated classes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/logs"

    def bodies(self) -> list[str]:
        return [record.body.string_value for record in self.records]


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            raise AssertionError("not expected")
        if self.server.status == 200:
            logs = ExportLogsServiceRequest.FromString(body).resource_logs
            self.server.records += [
                record for resource in logs for scope in resource.scope_logs for record in scope.log_records
            ]
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def run(tmp_path: Path, script: str, **environment: str) -> str:
    """Run a script in a process of its own; what it said on standard error, nothing if all went well."""
    path = tmp_path / "app.py"
    path.write_text(script)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


BY_NAME = """
import logging, logging.config
logging.config.dictConfig({
    "version": 1,
    "handlers": {"events": {"class": "instrumentation.EventHandler", "exporters": ["otlp_proto_http"]}},
    "root": {"level": "DEBUG", "handlers": ["events"]},
})
logging.getLogger("shop").info("placed", extra={"event": "Order Placed", "total": 7})
"""


def test_dict_config_alone_is_enough(collector: Collector, tmp_path: Path) -> None:
    """No other line of set-up and no shutdown: the event arrives before the process ends, and only it."""
    said = run(
        tmp_path,
        BY_NAME,
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=collector.url,
        OTEL_SERVICE_NAME="shop",
    )
    assert said == ""
    assert [(each.event_name, each.body.string_value) for each in collector.records] == [
        ("Order Placed", "placed")
    ]


CONFIGURED_AGAIN = """
import logging, logging.config, os, time
config = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "events": {
            "class": "instrumentation.EventHandler",
            "exporters": {"otlp_proto_http": {"endpoint": os.environ["URL"], "timeout": 2}},
        }
    },
    "root": {"level": "DEBUG", "handlers": ["events"]},
}
started = time.monotonic()
for number in range(3):
    logging.config.dictConfig(config)
    logging.getLogger("shop").info("message %d", number)
assert time.monotonic() - started < 5, time.monotonic() - started
"""


@pytest.mark.parametrize("status", [200, 400])
def test_dict_config_again_and_again(collector: Collector, tmp_path: Path, status: int) -> None:
    """A new configuration closes the old handler with what waits in it, and does not wait for ever."""
    collector.status = status
    run(tmp_path, CONFIGURED_AGAIN, URL=collector.url)
    assert sorted(collector.bodies()) == ([f"message {n}" for n in range(3)] if status == 200 else [])


THREADED = """
import logging, queue, sys, threading
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

class ThreadedExporter(LogRecordExporter):
    # Sends on a thread of its own, which logs, as ours do.
    def __init__(self):
        self.waiting, self.sent = queue.Queue(), []
        threading.Thread(target=self.send, daemon=True).start()

    def send(self):
        while True:
            logging.getLogger(f"sender.{len(self.sent)}").debug("sending")
            print(self.waiting.get(), flush=True)
            self.waiting.task_done()

    def export(self, batch):
        for each in batch:
            self.waiting.put(each.log_record.body)
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis=30000):
        self.waiting.join()
        return True

    def shutdown(self):
        self.waiting.join()
"""
CONFIGURED_THREADED = CONFIGURED_AGAIN.replace(
    '{"otlp_proto_http": {"endpoint": os.environ["URL"], "timeout": 2}}', '["threaded"]'
)


def test_dict_config_does_not_wait_for_a_thread_that_logs(tmp_path: Path) -> None:
    """Logging's lock is held while handlers are replaced, and a sender that logs would wait for it."""
    (tmp_path / "threaded.py").write_text(THREADED)
    distribution = tmp_path / "threaded-1.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: threaded\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text(
        "[opentelemetry_logs_exporter]\nthreaded = threaded:ThreadedExporter\n"
    )
    path = tmp_path / "app.py"
    path.write_text(CONFIGURED_THREADED)

    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    told = [line for line in done.stdout.splitlines() if line.startswith("message")]
    assert sorted(told) == [f"message {number}" for number in range(3)]


FORKED = """
import logging, os, sys
from instrumentation import EventHandler
handler = EventHandler(exporters={"otlp_proto_http": {"endpoint": os.environ["URL"]}})
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel("INFO")
logging.info("before")
child = os.fork()
logging.info("child" if child == 0 else "parent")
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_sends_each_record_once(collector: Collector, tmp_path: Path) -> None:
    """Parent and child both go on logging, and what was logged before is sent by one of them only."""
    run(tmp_path, FORKED, URL=collector.url, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert sorted(collector.bodies()) == ["before", "child", "parent"]


def in_a_worker(url: str) -> None:
    """What a worker process does; the handler is made there, as dictConfig in it would."""
    handler = EventHandler(exporters={"otlp_proto_http": {"endpoint": url}}, visitor_attributes="all")
    logger = logging.getLogger("worker")
    logger.addHandler(handler)
    with visitor(user_id=os.getpid()):
        logger.warning("worker")
    handler.close()


def test_spawned_processes(collector: Collector) -> None:
    """Each worker process has a handler of its own."""
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=in_a_worker, args=(collector.url,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    users = {attribute.value.string_value for record in collector.records for attribute in record.attributes}
    assert {str(worker.pid) for worker in workers} <= users


def test_flush_and_close(collector: Collector) -> None:
    """flush() has everything sent; a closed handler tells nothing more, and may be closed again."""
    handler = EventHandler(exporters={"otlp_proto_http": {"endpoint": collector.url}})
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    logger.info("one")
    handler.flush()
    assert collector.bodies() == ["one"]
    logger.info("two")
    handler.close()
    logger.info("three")
    handler.close()
    handler.flush()
    assert collector.bodies() == ["one", "two"]


@pytest.mark.flaky(reruns=2)
def test_an_exporter_that_hangs_holds_up_no_log_call(collector: Collector) -> None:
    """Log calls return at once while the exporter waits for an answer that does not come."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/logs"
        handler = EventHandler(exporters={"otlp_proto_http": {"endpoint": endpoint, "timeout": 1}})
        logger = logging.Logger("shop")
        logger.addHandler(handler)
        started = time.monotonic()
        for _ in range(1000):
            logger.info("x")
        seconds = time.monotonic() - started
        handler.close()
    assert seconds < 1


def test_an_unknown_exporter_names_the_nearest() -> None:
    """A handler that could send nothing is not made, and the message says what would be right."""
    with pytest.raises(ConfigurationError, match="no logs exporter 'consol': did you mean console"):
        EventHandler(exporters="consol")
    with pytest.raises(ConfigurationError, match=r"installed are .*console"):
        logger_provider({"nothing like it": {}})


def test_wrong_settings_are_the_exporters_to_tell() -> None:
    """An exporter's own error passes; nothing is left running of those made before it."""
    before = threading.active_count()
    with pytest.raises(TypeError, match="no_such_setting"):
        EventHandler(exporters={"console": {}, "otlp_proto_http": {"no_such_setting": 1}})
    assert threading.active_count() == before


def test_a_handler_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    """Logging finds nothing of it at its end; exporters made for a handler with a wrong level end at once."""
    script = tmp_path / "app.py"
    script.write_text(_UNMADE, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "api_key is missing: pass api_key= or set OTEL_EXPORTER_MPARTICLE_API_KEY\n1 1\n"


_UNMADE = """
import logging, logging.config, threading
from instrumentation import EventHandler

handler = {"class": "instrumentation.EventHandler", "exporters": ["mparticle"]}
try:
    logging.config.dictConfig({"version": 1, "handlers": {"m": handler}, "root": {"handlers": ["m"]}})
except ValueError as wrong:
    kept = wrong  # as a debugger or an error reporter does
    print(wrong.__cause__)
before = threading.active_count()
try:
    EventHandler("LOUD", exporters=["console"])
except ValueError:
    print(before, threading.active_count())
"""
