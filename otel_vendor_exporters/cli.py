"""
The command line: `python -m otel_vendor_exporters sandbox`, `doctor` and `send`.

One function for each subcommand, which imports what it needs when it runs. The only place that prints.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn, TypedDict

if TYPE_CHECKING:
    from otel_vendor_exporters.sandbox import MPulseApp, Record, Sandbox


class _Names(TypedDict):
    timers: tuple[str, ...]
    metrics: dict[str, str]
    dimensions: tuple[str, ...]


DEFAULT_PORT = 8700
MAX_PORT = 65_535
# A signal may be taken by another thread; the main one notices when it looks up.
LOOK_SECONDS = 0.2
# Without --definitions the app has what README's first steps send.
EXAMPLE_APP: _Names = {
    "timers": ("Checkout", "Search"),
    "metrics": {"Orders": "Number"},
    "dimensions": ("Country",),
}
FAILURE = 1
MISUSE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status is its result."""
    options = command_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def command_parser() -> argparse.ArgumentParser:
    """What reads the command line: every subcommand with its arguments and options."""
    parser = argparse.ArgumentParser(prog="python -m otel_vendor_exporters", description=_DESCRIPTION)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in _SUBCOMMANDS:
        add(subparsers)
    return parser


def _add_sandbox(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("sandbox", help="stand in for the vendors on this machine")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="default %(default)s; 0 takes a free one"
    )
    parser.add_argument(
        "--definitions",
        metavar="FILE",
        help='JSON: {"timers": ["Checkout"], "metrics": {"Revenue": "Currency"}, "dimensions": ["Country"]}, '
        "or a configuration answer saved from mPulse",
    )
    for kind, form in (("timer", "NAME"), ("metric", "NAME[:TYPE]"), ("dimension", "NAME")):
        parser.add_argument(
            f"--{kind}",
            action="append",
            default=[],
            type=_metric if kind == "metric" else str,
            metavar=form,
            help=f"define one more custom {kind}; may be repeated",
        )
    parser.add_argument(
        "--learn", action="store_true", help="accept labels that are not defined, and list them"
    )
    parser.add_argument(
        "--mparticle-mode",
        choices=("strict", "live"),
        default="strict",
        help="refuse what mParticle's schema refuses, or take what its server takes; default %(default)s",
    )
    parser.set_defaults(run=_run_sandbox)


def _add_doctor(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from otel_vendor_exporters.doctor import VENDORS

    parser = subparsers.add_parser(
        "doctor",
        help="find out why nothing arrives",
        description="Checks settings, network, clock, credentials, names and versions, as the exporters "
        "would find them. Exit status: 0 all well, 1 warnings, 2 errors.",
    )
    parser.add_argument("vendor", nargs="*", help=f"{', '.join(VENDORS)}; all unless named")
    parser.add_argument(
        "--code",
        metavar="PATH",
        action="append",
        default=[],
        help="file, folder or module: its @timed and @counted names are compared with the mPulse app",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_run_doctor, usage_error=parser.error)


def _run_doctor(options: argparse.Namespace) -> int:
    from otel_vendor_exporters.doctor import VENDORS, examined

    unknown = [name for name in options.vendor if name not in VENDORS]
    if unknown:
        options.usage_error(f"there is no vendor {unknown[0]!r}: choose from {', '.join(VENDORS)}")
    from otel_vendor_exporters.doctor.report import json_of, text_of

    report = examined(options.vendor, options.code)
    return _told([json_of(report)] if options.json else text_of(report), report.exit_status)


def _add_send(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from otel_vendor_exporters.send import KINDS

    parser = subparsers.add_parser(
        "send",
        help="send one thing to a vendor, and show what goes and what comes back",
        description="Sends once, with the settings that the exporters read; secrets are shown as stars. "
        "Exit status: 0 delivered, 1 not now, 2 never.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="what")
    for kind in KINDS:
        one = kinds.add_parser(kind.name, help=kind.sentence, description=f"Sends {kind.sentence}.")
        for argument in kind.arguments:
            one.add_argument(
                argument.name,
                help=argument.sentence,
                type=float if argument.number else str,
                nargs=None if argument.default is None else "?",
                default=argument.default,
            )
        for option in kind.options:
            name, sentence = f"--{option.name}", option.sentence
            if option.pairs:
                one.add_argument(
                    name, help=sentence, action="append", default=[], type=_pair, metavar="NAME=VALUE"
                )
            elif option.flag:
                one.add_argument(name, help=sentence, action="store_true", required=option.required)
            else:
                one.add_argument(name, help=sentence, required=option.required)
        one.add_argument("--json", action="store_true", help="for programs")
        one.set_defaults(run=_run_send, what=kind)


def _run_send(options: argparse.Namespace) -> int:
    from otel_vendor_exporters.errors import ConfigurationError, EncodingError
    from otel_vendor_exporters.send import sent
    from otel_vendor_exporters.send.passage import json_of, text_of

    try:
        result = sent(options.what, vars(options))
    except (ConfigurationError, EncodingError) as error:
        print(f"send: {error}", file=sys.stderr)
        return MISUSE
    return _told([json_of(result)] if options.json else text_of(result), result.exit_status)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not NAME=VALUE")
    return name, value


def _told(lines: Iterable[str], exit_status: int) -> int:
    """Print what a command has to tell, also to a reader that leaves or cannot show it."""
    _escape_what_cannot_be_shown()
    try:
        _say(lines)
    except BrokenPipeError:
        _leave_stdout()
    return exit_status


def _run_sandbox(options: argparse.Namespace) -> int:
    for end in (signal.SIGINT, signal.SIGTERM):  # a shell in the background lets its children ignore SIGINT
        signal.signal(end, _interrupt)
    try:
        _serve(options)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        _leave_stdout()
    except (OSError, ValueError) as error:
        print(f"sandbox: {_reason(error, options)}", file=sys.stderr)
    return FAILURE


def _serve(options: argparse.Namespace) -> NoReturn:
    from otel_vendor_exporters.sandbox import MParticleApp, Sandbox

    _escape_what_cannot_be_shown()
    mparticle = MParticleApp(mode=options.mparticle_mode)
    with Sandbox(_mpulse_app(options), port=options.port, mparticle=mparticle) as sandbox:
        _say(_greeting(sandbox))
        try:
            _tell_findings(sandbox)
        except KeyboardInterrupt:
            _say(_learned_lines(sandbox.mpulse))
            raise


def _reason(error: Exception, options: argparse.Namespace) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"port {options.port} of 127.0.0.1 is in use, perhaps by another sandbox: "
            "choose one with --port, or a free one with --port 0"
        )
    return str(error)


def _mpulse_app(options: argparse.Namespace) -> MPulseApp:
    from otel_vendor_exporters.sandbox import MPulseApp

    if options.definitions is None:
        app = MPulseApp(learn=options.learn)
        app.add(**EXAMPLE_APP)
    else:
        app = MPulseApp.from_file(options.definitions, learn=options.learn)
    app.add(options.timer, dict(options.metric), options.dimension)
    return app


def _greeting(sandbox: Sandbox) -> Iterable[str]:
    app = sandbox.mpulse
    analytics = sandbox.mparticle_analytics_settings
    return (
        f"The sandbox listens on {sandbox.url}",
        "Point the exporter at it:",
        f"  export OTEL_EXPORTER_MPULSE_API_KEY={shlex.quote(app.key)}",
        f"  export OTEL_EXPORTER_MPULSE_DOMAIN={shlex.quote(app.domain)}",
        f"  export OTEL_EXPORTER_MPULSE_CONFIG_URL={sandbox.config_url}",
        *(["  export OTEL_EXPORTER_MPULSE_UNDEFINED=send"] if app.learns else []),
        f"  export OTEL_EXPORTER_MPARTICLE_API_KEY={sandbox.mparticle.api_key}",
        f"  export OTEL_EXPORTER_MPARTICLE_API_SECRET={sandbox.mparticle.api_secret}",
        f"  export OTEL_EXPORTER_MPARTICLE_WEB_API_KEY={sandbox.mparticle.web_api_key}",
        f"  export OTEL_EXPORTER_MPARTICLE_BASE_URL={sandbox.url}",
        f"  export OTEL_EXPORTER_MPARTICLE_ANALYTICS_API_KEY={analytics['api_key']}",
        f"  export OTEL_EXPORTER_MPARTICLE_ANALYTICS_BASE_URL={analytics['base_url']}",
        f"See it live: {sandbox.url}/",
        f"What arrived: {sandbox.url}/sandbox/received.json. Ctrl-C ends it.",
    )


def _tell_findings(sandbox: Sandbox) -> NoReturn:
    position = 0
    while True:
        records, position = sandbox.inbox.after(position, LOOK_SECONDS)
        _say(line for record in records for line in _finding_lines(record))


def _finding_lines(record: Record) -> Iterable[str]:
    from otel_vendor_exporters.sandbox.remedies import remedy

    for finding in record.findings:
        said = f"{finding.severity}: {record.vendor} {record.kind}: {finding.code}: {finding.sentence}"
        yield f"{said} Change: {remedy(record.vendor, finding.code)}"


def _learned_lines(app: MPulseApp) -> Iterable[str]:
    """What a learning sandbox learned, to be typed into mPulse, or given to the next sandbox."""
    kinds = [(kind, names) for kind, names in app.learned._asdict().items() if names]
    if not app.learns or not kinds:
        return
    yield "Arrived without definition; define these in mPulse (Configure Web App), names exactly as here:"
    for kind, names in kinds:
        yield f"  custom {kind}:"
        yield from (f"    {name}" for name in names)
    options = (_definition_option(kind[:-1], name) for kind, names in kinds for name in names)
    yield f"or start the sandbox with {' '.join(options)}"


def _definition_option(kind: str, name: str) -> str:
    """What defines this name and no other, for a shell and for `_metric`."""
    from otel_vendor_exporters.sandbox.mpulse.definitions import METRIC_TYPES

    value = f"{name}:{METRIC_TYPES[0]}" if kind == "metric" and ":" in name else name
    return f"--{kind}{'=' if value.startswith('-') else ' '}{shlex.quote(value)}"


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _escape_what_cannot_be_shown() -> None:
    """Findings hold text from outside; a terminal of another encoding must not end the sandbox."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _leave_stdout() -> None:
    """The reader of our output has gone: what is still buffered must not fail at exit (Python's docs)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _metric(text: str) -> tuple[str, str]:
    """A metric's name and type, Number when none is said."""
    from otel_vendor_exporters.sandbox.mpulse.definitions import METRIC_TYPES

    name, colon, kind = text.rpartition(":")
    if not colon:
        return text, METRIC_TYPES[0]
    if not name or kind not in METRIC_TYPES:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write NAME or NAME:TYPE, TYPE of {', '.join(METRIC_TYPES)}"
        )
    return name, kind


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port: use 0 to {MAX_PORT}")
    return int(text)


def _interrupt(signal_number: int, frame: object) -> NoReturn:  # noqa: ARG001 - signal's
    raise KeyboardInterrupt


_DESCRIPTION = "OpenTelemetry data from Python into Akamai mPulse, mParticle and mParticle Analytics."
_SUBCOMMANDS = (_add_sandbox, _add_doctor, _add_send)
