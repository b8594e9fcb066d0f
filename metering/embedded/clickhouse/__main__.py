"""`python -m metering.embedded.clickhouse --data-dir DIR --port PORT --spool DIR --credentials FILE`

Prints `ready 127.0.0.1:PORT` on stdout once it accepts connections. SIGTERM and SIGINT stop it within 5 s with exit code 0.
Exit code 1 with a message on stderr: it could not start. Exit code 2: wrong arguments.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

# Before any thread exists, so that every thread of the engine inherits it: the engine's own handlers crash a busy process.
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
os.environ["TZ"] = "UTC"  # the engine's own time zone; columns name theirs

from metering.embedded.clickhouse.conversation import Shared  # noqa: E402 - loads the engine's library
from metering.embedded.clickhouse.engine import Engine, EngineUnavailable  # noqa: E402
from metering.embedded.clickhouse.guard import Guard  # noqa: E402
from metering.embedded.clickhouse.node import HOST, Node  # noqa: E402
from metering.embedded.clickhouse.running import Watch  # noqa: E402
from metering.embedded.clickhouse.spool_paths import SpoolPaths  # noqa: E402

PATIENCE_S = 3.0
CLOSE_S = 1.0


# Inserts and merges use every core they can get. Whoever waits for an acknowledgement or a page comes first.
NICENESS = 5


class CannotStart(RuntimeError):
    """The message is for a person."""


def main() -> int:
    arguments = _arguments()
    os.nice(NICENESS)
    try:
        user, password = _credentials(arguments.credentials)
        engine = Engine(arguments.data_dir.resolve(), memory_bytes=arguments.memory_mb << 20)
        shared = _shared(arguments, engine, user, password)
        node = _listening(shared, arguments)
    except (CannotStart, EngineUnavailable) as error:
        sys.stderr.write(f"embedded ClickHouse: {error}\n")
        return 1
    node.start()
    sys.stdout.write(f"ready {HOST}:{node.port}\n")
    sys.stdout.flush()
    signal.sigwait(_STOP_SIGNALS)
    if node.stop(PATIENCE_S):
        _close(engine)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m metering.embedded.clickhouse", description="ClickHouse from a wheel"
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True, help="0 takes any free one")
    parser.add_argument("--spool", type=Path, required=True, help="the only folder that file() may read")
    parser.add_argument("--credentials", type=Path, required=True, help='JSON {"user", "password"}, mode 0600')
    parser.add_argument("--max-query-seconds", type=float, default=600.0, help="the node's own limit on any query")
    parser.add_argument("--max-clients", type=int, default=100)
    parser.add_argument(
        "--handshake-seconds", type=float, default=10.0, help="how long a new connection may stay silent"
    )
    parser.add_argument("--max-queries", type=int, default=32, help="at once")
    parser.add_argument(
        "--memory-mb", type=int, default=_half_of_memory_mb(), help="of the engine; half of it all by default"
    )
    return parser.parse_args()


def _half_of_memory_mb() -> int:
    return max(1024, (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20) // 2)


def _credentials(path: Path) -> tuple[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise CannotStart(f"{path} can be read by others: give it mode 0600")
        found = json.loads(path.read_text())
        user, password = str(found["user"]), str(found["password"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotStart(f"{path}: expected JSON with user and password: {error}") from error
    if not password:
        raise CannotStart(f"{path}: the password is empty")
    return user, password


def _shared(arguments: argparse.Namespace, engine: Engine, user: str, password: str) -> Shared:
    spool = arguments.spool.resolve()
    guard = Guard.against(engine.table_functions, engine.engines, SpoolPaths(spool))
    watch = Watch(engine.kill, limit_s=arguments.max_query_seconds, most=arguments.max_queries)
    return Shared(engine, guard, watch, user, password, engine.version(), arguments.handshake_seconds)


def _listening(shared: Shared, arguments: argparse.Namespace) -> Node:
    try:
        return Node(shared, port=arguments.port, most_clients=arguments.max_clients)
    except (OSError, OverflowError) as error:
        raise CannotStart(f"port {arguments.port} on {HOST}: {error}") from error


def _close(engine: Engine) -> None:
    """The engine finishes its merges' bookkeeping; what is not done in time is done at the next start."""
    closer = threading.Thread(target=engine.close, daemon=True)
    closer.start()
    closer.join(CLOSE_S)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the interpreter's own end would run the library's destructors beside its threads
