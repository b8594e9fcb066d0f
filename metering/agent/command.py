"""`tallywatt-agent`: reads this node's GPUs and engines and sends what it sees. See docs/agent.md."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from metering.agent.agent import Agent
from metering.agent.building import sources_of
from metering.agent.checking import check
from metering.agent.clock import SystemClock
from metering.agent.config import Config, load, without_file
from metering.agent.folder import FolderError, held
from metering.agent.gpus_seen import GpusSeen
from metering.agent.looking import ask, look
from metering.agent.table import render
from metering.agent.tables import ConfigError
from metering.agent.telemetry import Telemetry, options_of
from tallywatt.errors import TallywattError

logger = logging.getLogger("tallywatt.agent")

ONCE_TIMEOUT_S = 30.0
UNUSABLE = 2  # exit code


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0: all well; 1: something is not; 2: it cannot run with this configuration."""
    given = _parser().parse_args(words)
    _log(logging.DEBUG if given.verbose else logging.INFO)
    try:
        config = load(given.config) if given.config else without_file()
        if given.check:
            return _check(config)
        if given.print:
            return _print(config)
        return _once(config.sendable()) if given.once else _run(config.sendable())
    except (ConfigError, FolderError, TallywattError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tallywatt-agent", description=__doc__)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file; without it only --once --print makes sense"
    )
    parser.add_argument("--once", action="store_true", help="take one reading, send it, and end")
    parser.add_argument(
        "--print", action="store_true", help="with --once: show the reading as a table, and send nothing"
    )
    parser.add_argument("--check", action="store_true", help="say whether the agent could do its work, and end")
    parser.add_argument("--verbose", action="store_true")
    return parser


def _log(level: int) -> None:
    """On stderr, without times: systemd and containers add their own."""
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _run(config: Config) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with held(config.data):
        Agent(config).run(stop)
    return 0


def _once(config: Config) -> int:
    """One reading through the outbox; what an earlier agent left goes along."""
    clock, gpus, sources = SystemClock(), GpusSeen([engine.spec for engine in config.engines]), sources_of(config)
    with held(config.data):
        telemetry = Telemetry(options_of(config))
        for source in sources.all:
            telemetry.take(gpus.complete(source.read(clock.now_ms())))
        sent = telemetry.send_all(ONCE_TIMEOUT_S)
        stats, trouble = telemetry.stats, telemetry.trouble
        telemetry.close(0)
        sources.close()
    sys.stdout.write(f"sent={stats.sent} rejected={stats.rejected} waiting={stats.pending}\n")
    if trouble:
        sys.stderr.write(f"{trouble}\n")
    return 0 if sent and not stats.rejected else 1


def _print(config: Config) -> int:
    seen = look(config, SystemClock())
    problems = list(seen.problems)
    if config.url and config.key:
        server = ask(config)
        problems += [said for said in (server.problem, server.clock.problem) if said]
    sys.stdout.write(render(seen.samples, problems))
    return 0 if seen.samples and not seen.silent else 1


def _check(config: Config) -> int:
    wrong = False
    for finding in check(config, SystemClock()):
        sys.stdout.write(f"{finding}\n")
        sys.stdout.flush()
        wrong |= finding.ok is False
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
