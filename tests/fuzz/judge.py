"""What must hold after every request, whatever it was: the answer tells the truth about what is on disk, and that is canonical."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.http import HttpResponse

from metering.ingest.schema import KINDS
from tests.fuzz.case import Case

MOST_TOKENS = 2**40
LONGEST_LATENCY_MS = 7 * 86_400_000
LATENCIES = ("queue_ms", "ttft_ms", "tpot_ms", "e2e_ms")
TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
SHORT = ("source", "project", "api_key_id", "model", "region", "cluster", "node", "engine")
TAKEN = ("events", "meters", "points", "gpus", "engines")
MOST_READING = {
    "_active": 1.002,
    "_utilization": 1.002,
    "_occupancy": 1.002,
    "_usage": 1.002,
    "_w": 10_000,
    "temperature_c": 200,
}
MOST_LISTED = 1_000
LOOKED_AT = 2_000  # rows of a batch that are judged one by one


@dataclass
class Spooled:
    """The files that a request left behind, and what is in them by kind."""

    files: list[Path] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, int]:
        return {kind: table.num_rows for kind, table in self.tables.items()}

    @property
    def taken(self) -> int:
        return sum(self.rows.get(kind, 0) for kind in TAKEN)


def spooled(root: Path) -> Spooled:
    found = Spooled()
    for path in sorted((root / "incoming").glob("*")):
        found.problems.append(f"{path.name} is left in incoming/")
        found.files.append(path)
    for path in sorted((root / "ready").glob("*")):
        found.files.append(path)
        _, count, *_, kind, _ = path.name.split("-", 1)[1].split(".")
        try:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                table = stream.read_all()
                table.validate(full=True)
        except pa.ArrowException as error:
            found.problems.append(f"{path.name} cannot be read: {error}")
            continue
        found.tables[kind] = table
        if table.num_rows != int(count):
            found.problems.append(f"{path.name} has {table.num_rows} rows")
        if not table.schema.equals(KINDS[kind]):
            found.problems.append(f"{path.name} has another schema: {table.schema}")
    return found


def problems_of(case: Case, response: HttpResponse | None, found: Spooled, tenant: str) -> list[str]:
    problems = list(found.problems)
    if response is not None:
        problems += _receipt_problems(case, response, found)
    for kind in ("gpus", "engines"):
        if table := found.tables.get(kind):
            rows = table.slice(0, LOOKED_AT).to_pylist()
            problems += [f"{kind}, row {row['row']}: {text}" for row in rows for text in _sample_faults(row)]
            if case.key != "operator":
                problems.append(f"{kind} were taken from another key than an operator's")
    if table := found.tables.get("events"):
        own = None if case.key == "operator" else tenant
        problems += [
            f"row {row['row']}: {text}" for row in table.slice(0, LOOKED_AT).to_pylist() for text in _faults(row, own)
        ]
        if set(table["observed"].unique().to_pylist()) - {case.key == "observing"}:
            problems.append("observed is not what the key says")
    return problems


def _receipt_problems(case: Case, response: HttpResponse, found: Spooled) -> Iterator[str]:
    if response.status_code >= 500:
        yield f"answer {response.status_code}: {response.content[:500]!r}"
    body = _json(response)
    if response.status_code >= 400 and not _told_of_taken(case, response, body) and found.taken:
        yield f"answer {response.status_code} without a receipt, and {found.taken} rows were taken"
    if isinstance(body.get("accepted"), int):
        if body["accepted"] != found.taken:
            yield f"the receipt says {body['accepted']}, {found.taken} rows are on disk"
        rejects = found.rows.get("rejects", 0)
        if len(body.get("rejected", [])) != min(rejects, MOST_LISTED):
            yield f"the receipt lists {len(body.get('rejected', []))} rejects, {rejects} are on disk"
    if response.status_code == 204 and (not found.taken or found.rows.get("rejects")):
        yield f"204, and on disk are {found.rows}"
    if response.status_code in {401, 413, 415, 429} and found.files:
        yield f"answer {response.status_code} must keep nothing: {found.rows}"


def _told_of_taken(case: Case, response: HttpResponse, body: dict[str, Any]) -> bool:
    """400 of CloudEvents with a receipt, and 422 of Lago, say that the other events were taken."""
    return "accepted" in body or (case.path.startswith("/lago") and response.status_code == 422)


def _json(response: HttpResponse) -> dict[str, Any]:
    if "json" not in response.headers.get("Content-Type", ""):
        return {}
    found = json.loads(response.content)
    return found if isinstance(found, dict) else {}


def _sample_faults(row: dict[str, Any]) -> Iterator[str]:
    """The rules of docs/telemetry.md, written down a second time."""
    for name, value in row.items():
        if isinstance(value, str) and len(value) > 128:
            yield f"{name} has {len(value)} characters"
        if isinstance(value, int | float):
            least = -50 if name.endswith("temperature_c") else 0
            most = next((most for ends, most in MOST_READING.items() if name.endswith(ends)), 2**63)
            if not least <= value <= most:  # true for NaN too
                yield f"{name} is {value}"
    age = row["ingested_at"] - row["time"]
    if not -11 * 60 <= age.total_seconds() <= 14 * 86_400 + 60:
        yield f"time is {row['time']}"
    if row.get("mig") and (row["power_w"], row["power_limit_w"], row["energy_j"]) != (None, None, None):
        yield "a MIG instance has power"
    cached, prompt = row.get("cached_prompt_tokens"), row.get("prompt_tokens")
    if cached is not None and prompt is not None and cached > prompt:
        yield "cached tokens exceed the prompt"
    if set(row.get("throttle", ())) - {"sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "power_brake"}:
        yield f"throttle is {row['throttle']}"
    if len(set(row.get("gpus", ()))) < len(row.get("gpus", ())) or len(row.get("gpus", ())) > 32:
        yield f"gpus are {row['gpus']}"


def _faults(row: dict[str, Any], tenant: str | None) -> Iterator[str]:
    """Rules of DESIGN section 3, written down a second time. `tenant` None: any."""
    if tenant is not None and row["tenant"] != tenant:
        yield f"tenant {row['tenant']!r}"
    if not 1 <= len(row["id"]) <= 128 or not row["model"] or not row["operation"]:
        yield f"id {row['id'][:200]!r}, model {row['model'][:200]!r}, operation {row['operation'][:100]!r}"
    yield from (f"{name} has {len(row[name])} characters" for name in SHORT if len(row[name]) > 128)
    yield from (f"{name} is {row[name]}" for name in TOKENS if not 0 <= row[name] <= MOST_TOKENS)
    if row["cached_input_tokens"] + row["cache_write_tokens"] > row["input_tokens"]:
        yield "cached tokens exceed the input"
    if row["reasoning_tokens"] > row["output_tokens"]:
        yield "reasoning exceeds the output"
    for name in LATENCIES:
        if row[name] is not None and not (math.isfinite(row[name]) and 0 <= row[name] <= LONGEST_LATENCY_MS):
            yield f"{name} is {row[name]}"
    if row["status"] not in {"ok", "error", "cancelled"} or row["tier"] not in {
        "standard",
        "batch",
        "priority",
        "flex",
    }:
        yield f"status {row['status']!r}, tier {row['tier']!r}"
    if len(row["gpus"]) > 1_024 or len(row["attributes"]) > 32:
        yield f"{len(row['gpus'])} gpus, {len(row['attributes'])} attributes"
    names = Counter(name for name, _ in row["attributes"])
    if names and max(names.values()) > 1:
        yield f"an attribute is there twice: {names.most_common(1)}"
    if not row["time_given"] and abs((row["time"] - row["ingested_at"]).total_seconds()) > 0.001:
        yield f"no time was given, and it is {row['time']}"
