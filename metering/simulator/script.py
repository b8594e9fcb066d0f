"""What is to happen during a run: a list of timed changes, as values or as JSON.

A change holds from `start_s` to `end_s` (seconds from the start of the run) and is undone at its end. JSON is a list of objects such as
`{"kind": "power_cap", "target": "sim-01", "value": 350, "start_s": 3600, "end_s": 7200}`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# What a change is about, and what its value means.
KINDS: Mapping[str, tuple[frozenset[str], str]] = {
    "power_cap": (frozenset({"node"}), "watts per GPU"),
    "cooling": (frozenset({"node"}), "factor on the degrees per watt: 2 is a broken fan"),
    "node_lost": (frozenset({"node"}), "no value: the node is off and says nothing"),
    "engine_restart": (frozenset({"engine"}), "no value: it is down until end_s and then counts from 0"),
    "tenant_rate": (frozenset({"tenant"}), "factor on the tenant's requests per second"),
    "model_slowed": (frozenset({"model"}), "factor on the time of an iteration: what a bad deploy does"),
    "kv_capacity": (frozenset({"model", "engine", "node"}), "factor on the KV cache's tokens"),
    "max_sequences": (frozenset({"model", "engine", "node"}), "sequences in a batch"),
    "aborted": (frozenset({"all"}), "share of the requests that end without an event"),
}
_WITHOUT_VALUE = frozenset({"node_lost", "engine_restart"})
_TARGET_OF_ALL = "*"


class ScriptError(ValueError):
    """The script is not what it has to be. The message names the change."""


@dataclass(frozen=True)
class Change:
    kind: str
    target: str  # a node, model or tenant; an engine as node/engine; "*" for all
    start_s: float
    end_s: float
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ScriptError(f"kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        if not 0 <= self.start_s < self.end_s:
            raise ScriptError(f"{self.kind} {self.target}: expected 0 <= start_s < end_s")
        least_exclusive = self.kind not in _WITHOUT_VALUE and self.kind != "aborted"
        if self.value < 0 or (least_exclusive and self.value == 0 and self.kind != "tenant_rate"):
            raise ScriptError(f"{self.kind} {self.target}: value is {self.value}: {KINDS[self.kind][1]}")
        if self.kind == "aborted" and self.value > 0.5:
            raise ScriptError(f"aborted: value is {self.value}, expected a share of at most 0.5")

    def check_target(self, targets: Mapping[str, frozenset[str]]) -> None:
        """Raises ScriptError if there is nothing of that name."""
        if not self.has_target(targets):
            raise ScriptError(f"{self.kind}: there is no {' or '.join(sorted(KINDS[self.kind][0]))} {self.target!r}")

    def has_target(self, targets: Mapping[str, frozenset[str]]) -> bool:
        named = any(self.target in targets.get(what, frozenset()) for what in KINDS[self.kind][0])
        return named or self.target == _TARGET_OF_ALL

    def holds(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s

    def is_about(self, *names: str) -> bool:
        return self.target == _TARGET_OF_ALL or self.target in names


def read_script(path: Path) -> tuple[Change, ...]:
    """Raises ScriptError."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScriptError(f"{path}: {error}") from error
    return parse_script(written)


def parse_script(written: object) -> tuple[Change, ...]:
    """Raises ScriptError."""
    if not isinstance(written, Sequence) or isinstance(written, str):
        raise ScriptError("a script is a list of changes")
    return tuple(_change(number, each) for number, each in enumerate(written, start=1))


def _change(number: int, written: object) -> Change:
    if not isinstance(written, Mapping):
        raise ScriptError(f"change {number}: expected an object")
    try:
        times = [float(written[name]) for name in ("start_s", "end_s")]
        known = {"kind", "target", "start_s", "end_s", "value"}
        if unknown := set(written) - known:
            raise ScriptError(f"unknown field {sorted(unknown)[0]!r}, expected {', '.join(sorted(known))}")
        return Change(
            str(written["kind"]), str(written.get("target", "*")), times[0], times[1], float(written.get("value", 0))
        )
    except KeyError as error:
        raise ScriptError(f"change {number}: {error.args[0]} is missing") from error
    except (TypeError, ValueError) as error:
        raise ScriptError(f"change {number}: {error}") from error
