"""`tallywatt-agent --check`: everything that has to be right before the agent can do its work, each with what it found."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from metering.agent.aside import Aside
from metering.agent.clock import Clock
from metering.agent.config import Config, ReceiverConfig
from metering.agent.folder import FolderError, held
from metering.agent.looking import ask, look
from metering.agent.tables import ConfigError
from tallywatt import lanes


@dataclass(frozen=True, slots=True)
class Finding:
    """`ok` None: worth knowing, and nothing wrong."""

    ok: bool | None
    what: str

    def __str__(self) -> str:
        mark = "-" if self.ok is None else "ok" if self.ok else "PROBLEM"
        return f"{mark:8}{self.what}"


def check(config: Config, clock: Clock) -> Iterator[Finding]:
    """In the order in which a person would mend it."""
    try:
        config.sendable()
    except ConfigError as error:
        yield Finding(False, str(error))
    else:
        yield from _server(config)
    yield from _folder(config)
    if config.receiver is not None:
        yield from _receiver(config, config.receiver)
    yield from _sources(config, clock)


def _server(config: Config) -> Iterator[Finding]:
    server = ask(config)
    yield Finding(server.problem is None, f"{config.url}: {server.problem or 'takes samples with this key'}")
    if server.clock.problem:
        yield Finding(False, server.clock.problem)
    elif server.clock.off_s is None:
        yield Finding(None, "the server tells no time, so the clocks cannot be compared")
    else:
        yield Finding(True, "this machine's clock agrees with the server's")


def _folder(config: Config) -> Iterator[Finding]:
    try:
        with held(config.data):
            yield Finding(True, f"{config.data} can be used")
    except FolderError as error:
        yield Finding("another agent" in str(error), str(error))
        if "another agent" not in str(error):
            return
    for name in ("telemetry", "traces", "events"):
        size = sum(path.stat().st_size for lane in lanes.survey(config.data / name) for path in lane.segments)
        if size:
            yield Finding(None, f"{config.data / name}: {size:,} bytes wait for the server")
    if aside := Aside(config.data / "set-aside", 0).count():
        yield Finding(False, f"{config.data / 'set-aside'}: {aside} requests that the server refused for good")


def _receiver(config: Config, receiver: ReceiverConfig) -> Iterator[Finding]:
    address = f"{receiver.host}:{receiver.port}"
    family = socket.AF_INET6 if ":" in receiver.host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((receiver.host, receiver.port))
        except OSError as error:
            yield Finding(_is_held(config), f"{address} cannot be had, perhaps by the running agent: {error.strerror}")
        else:
            yield Finding(True, f"{address} is free to listen on")


def _is_held(config: Config) -> bool:
    try:
        with held(config.data):
            return False
    except FolderError:
        return True


def _sources(config: Config, clock: Clock) -> Iterator[Finding]:
    seen = look(config, clock)
    for label in seen.silent:
        yield Finding(False, f"{label}: nothing can be read")
    for problem in seen.problems:
        yield Finding(None, problem)
    yield Finding(True if seen.samples else None, f"{len(seen.samples)} samples in a reading")
