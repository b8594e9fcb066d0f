"""`python -m tallywatt outbox PATH`: what waits in an outbox, and sending it by hand."""

import argparse
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from tallywatt import lanes, segments
from tallywatt.checks import rfc3339
from tallywatt.deadletters import FILE, DeadLetters
from tallywatt.delivery import Delivery, Trouble
from tallywatt.errors import TallywattError
from tallywatt.options import Options
from tallywatt.outbox import Outbox
from tallywatt.sending import Sending
from tallywatt.stats import Counters
from tallywatt.threads import send_all
from tallywatt.wire import Encoder


def main(words: list[str] | None = None) -> int:
    given = _parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        if not given.path.is_dir():
            raise ValueError(f"there is no folder {given.path}")
        return _flush(given) if given.flush else _inspect(given.path)
    except (TallywattError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tallywatt")
    outbox = parser.add_subparsers(required=True).add_parser(
        "outbox", help="show what waits in an outbox; with --flush send it (exit 1 if something is left)"
    )
    outbox.add_argument("path", type=Path)
    outbox.add_argument("--flush", action="store_true", help="send what dead processes left behind")
    outbox.add_argument("--url", help="the server, for --flush")
    outbox.add_argument("--key-file", type=argparse.FileType(), help="a file with the API key, or - for standard input")
    outbox.add_argument("--any-key", action="store_true", help="send what was recorded under other API keys too")
    outbox.add_argument("--timeout-s", type=float, default=60.0)
    return parser


def _inspect(root: Path) -> int:
    """One line per lane, tab-separated, and one for the dead letters."""
    sys.stdout.write("lane\tprocess\tbatches\tevents\ttorn\tbytes\toldest\n")
    for lane in lanes.survey(root):
        events = torn = size = 0
        for segment in lane.segments:
            data = _read(segment)
            whole, cut = segments.parse(data)
            events, torn, size = events + len(whole), torn + cut, size + len(data)
        oldest = _time_of(lane.segments[0]) if lane.segments else "-"
        process = "alive" if lane.alive else "dead"
        sys.stdout.write(f"{lane.path.name}\t{process}\t{len(lane.segments)}\t{events}\t{torn}\t{size}\t{oldest}\n")
    sys.stdout.write(f"{FILE}\t-\t-\t{_read(root / FILE).count(10)}\t-\t-\t-\n")
    return 0


def _flush(given: argparse.Namespace) -> int:
    if given.url is None or given.key_file is None:
        raise ValueError("--flush needs --url and --key-file")
    options = Options(url=given.url, key=given.key_file.read().strip(), outbox=given.path.absolute())
    counters = Counters()
    outbox = Outbox(given.path.absolute(), options.key, options.limits, counters, any_key=given.any_key)
    trouble = Trouble()
    delivery = Delivery(Encoder(options.format, compress=options.gzip), options.backoff, counters, trouble)
    emptied = send_all(Sending(outbox, delivery, DeadLetters(given.path, None), counters), options, given.timeout_s)
    stats = counters.stats(pending=outbox.pending, outbox_bytes=outbox.size_bytes)
    outbox.close()
    sys.stdout.write(f"sent={stats.sent} rejected={stats.rejected} torn={stats.torn} pending={stats.pending}\n")
    if trouble.now:
        sys.stderr.write(f"{trouble.now}\n")
    return 0 if emptied else 1


def _read(path: Path) -> bytes:
    """Nothing if it has been sent meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _time_of(segment: Path) -> str:
    return rfc3339(datetime.fromtimestamp(int(segment.name.partition("-")[0]) / 1e9, UTC))


if __name__ == "__main__":
    raise SystemExit(main())
