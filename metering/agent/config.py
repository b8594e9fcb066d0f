"""What the agent is told: a TOML file (deploy/agent.toml is one with every key), and the API key from a file or the environment.

Every error is a ConfigError that names the key and what was expected. docs/agent.md says what each means.
"""

import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from config import environment
from metering.agent.engines.spec import EngineSpec
from metering.agent.samples import ENGINE_KINDS
from metering.agent.sources import Place
from metering.agent.tables import ConfigError, Table

GPU_CHOICES = ("auto", "nvml", "dcgm", "nvidia_smi", "triton", "none")  # as gpu/choice.py has them
STAMPS = ("tenant", "model", "project", "tier")  # what may be said of requests whose spans do not say it themselves
TIERS = ("standard", "batch", "priority", "flex")
LONGEST_NAME = 128  # of texts in the server's fields
MIB = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")  # an engine's name stands in a URL
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+):(?P<port>\d{1,5})")
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine to read, and what its spans are stamped with (STAMPS; what is not said is not there)."""

    spec: EngineSpec
    stamps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuConfig:
    """`source`: one of GPU_CHOICES. `url`: of a dcgm-exporter's text, or of Triton's; '' where there is none."""

    source: str = "auto"
    url: str = ""


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Of samples: how much may wait, and how many batches go in a second while more wait."""

    max_bytes: int = 1024 * MIB
    catch_up_per_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """Where engines on this node send spans and events, and how they are sent on."""

    host: str
    port: int
    token: str = field(default="", repr=False)  # what senders must show; '' asks for nothing
    max_body_bytes: int = 16 * MIB
    max_bytes: int = 4096 * MIB  # of each of the two relays
    set_aside_max_bytes: int = 256 * MIB
    catch_up_mib_per_s: float = 8.0  # while more waits
    gzip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`url` and `key` may be missing for a look at what the agent sees; `sendable()` is for everything else."""

    place: Place
    url: str = ""
    key: str = field(default="", repr=False)
    interval_s: float = 5.0
    data: Path = Path("/var/lib/tallywatt-agent")
    gpu: GpuConfig = GpuConfig()
    engines: tuple[Engine, ...] = ()
    stamps: Mapping[str, str] = field(default_factory=dict)
    outbox: OutboxConfig = OutboxConfig()
    receiver: ReceiverConfig | None = None

    def sendable(self) -> "Config":
        """Itself. Raises ConfigError if it does not say where to send, or with which key."""
        if not self.url:
            raise ConfigError("url is missing, expected the server's address, such as https://tallywatt.example.com")
        if not self.key:
            raise ConfigError(
                "key_file is missing, expected a file with an operator's API key (or the variable TALLYWATT_KEY)"
            )
        return self


def without_file() -> Config:
    """For a first look: this machine, whatever GPUs it has, no engine, and nowhere to send."""
    return Config(place=Place(socket.gethostname()))


def load(path: Path) -> Config:
    """Raises ConfigError."""
    try:
        given = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return parse(given)


def parse(given: Mapping[str, Any]) -> Config:
    """A TOML document as a configuration. Raises ConfigError."""
    root = Table(given)
    place = Place(
        root.text("node", socket.gethostname(), longest=LONGEST_NAME) or socket.gethostname(),
        root.text("region", "", longest=LONGEST_NAME),
        root.text("cluster", "", longest=LONGEST_NAME),
    )
    stamps = root.table("stamp")
    config = Config(
        place=place,
        url=_url(root, "url", ""),
        key=_key(root),
        interval_s=root.number("interval_s", 5.0, least=1, most=10),
        data=_folder(root, "data", "/var/lib/tallywatt-agent"),
        gpu=_gpu(root.table("gpu")),
        engines=_engines(root.tables("engine")),
        stamps=_stamps(stamps),
        outbox=_outbox(root.table("outbox")),
        receiver=_receiver(root.table("receiver")) if "receiver" in root else None,
    )
    stamps.finish()
    root.finish()
    return config


def _key(root: Table) -> str:
    """The environment goes first: it is what a container or a unit sets."""
    named = root.text("key_file", "")
    key = environment.text("TALLYWATT_KEY") or (_secret(root, "key_file") if named else "")
    if key and (not key.isascii() or not key.isprintable() or " " in key):
        raise ConfigError("key_file (or TALLYWATT_KEY) holds something that is no API key: it looks like tw_...")
    return key


def _secret(table: Table, name: str) -> str:
    path = _folder(table, name, "")
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{table.key(name)} is {str(path)!r}, which cannot be read: {error}") from None


def _folder(table: Table, name: str, default: str) -> Path:
    path = Path(table.text(name, default)).expanduser()
    if not path.is_absolute():
        raise table.error(name, "an absolute path")
    return path


def _url(table: Table, name: str, default: str | None) -> str:
    value = table.text(name, default)
    if not value:
        return value
    try:
        parsed = httpx.URL(value)
    except httpx.InvalidURL:
        raise table.error(name, "a URL") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise table.error(name, "a URL that begins with http:// or https://")
    return value


def _gpu(table: Table) -> GpuConfig:
    found = GpuConfig(table.choice("source", GPU_CHOICES, GpuConfig().source), _url(table, "url", ""))
    if found.source in {"dcgm", "triton"} and not found.url:
        raise table.error("url", "the address of its metrics, such as http://127.0.0.1:9400/metrics")
    table.finish()
    return found


def _engines(tables: list[Table]) -> tuple[Engine, ...]:
    found = tuple(map(_engine, tables))
    names = [engine.spec.name for engine in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"engine: two are named {twice!r}, expected a name of its own for each")
    return found


def _engine(table: Table) -> Engine:
    name = table.text("name", longest=LONGEST_NAME)
    if not _NAME.fullmatch(name):
        raise table.error("name", "letters, digits and . _ : - only")
    kind, url = table.choice("kind", ENGINE_KINDS), _url(table, "url", None)
    gpus = table.words("gpus", valid=_names_gpu, expected="an array of indexes such as 0, or UUIDs such as GPU-1c2d...")
    stamps = _stamps(table)
    table.finish()
    return Engine(EngineSpec(name, kind, url, stamps.get("model", ""), gpus), stamps)


def _names_gpu(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("GPU-") or value.isdigit()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _stamps(table: Table) -> Mapping[str, str]:
    found = {name: table.text(name, "", longest=64 if name == "tenant" else LONGEST_NAME) for name in STAMPS}
    if found["tier"] and found["tier"] not in TIERS:
        raise table.error("tier", f"one of {', '.join(TIERS)}")
    return {name: value for name, value in found.items() if value}


def _outbox(table: Table) -> OutboxConfig:
    default = OutboxConfig()
    found = OutboxConfig(
        table.whole("max_bytes", default.max_bytes, least=MIB, most=2**50),
        table.number("catch_up_per_s", default.catch_up_per_s, least=0.01, most=1000),
    )
    table.finish()
    return found


def _receiver(table: Table) -> ReceiverConfig:
    address = _ADDRESS.fullmatch(table.text("listen", "127.0.0.1:4318"))
    if address is None or not int(address["port"]) <= 65535:
        raise table.error("listen", "an address and a port, such as 127.0.0.1:4318")
    default = ReceiverConfig(host="", port=0)
    token = _secret(table, "token_file") if table.text("token_file", "") else ""
    if address["host"] not in LOOPBACK and not token:
        raise table.error(
            "listen", "an address of this machine alone (127.0.0.1), or a token_file that senders must know"
        )
    found = ReceiverConfig(
        host=address["host"].strip("[]"),
        port=int(address["port"]),
        token=token,
        max_body_bytes=table.whole("max_body_bytes", default.max_body_bytes, least=1024, most=31 * MIB),
        max_bytes=table.whole("max_bytes", default.max_bytes, least=MIB, most=2**50),
        set_aside_max_bytes=table.whole("set_aside_max_bytes", default.set_aside_max_bytes, least=MIB, most=2**50),
        catch_up_mib_per_s=table.number("catch_up_mib_per_s", default.catch_up_mib_per_s, least=0.01, most=10_000),
        gzip=table.flag("gzip", default.gzip),
    )
    table.finish()
    return found
