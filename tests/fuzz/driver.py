"""The parent: makes inputs, hands them to the target, watches it, and keeps every input that breaks a rule."""

import hashlib
import json
import math
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from metering.embedded.stack import EmbeddedStack
from tests.fuzz.case import Case
from tests.fuzz.generate import case as made_case

ROOT = Path(__file__).resolve().parents[2]
ANSWER_S = 20.0  # on a machine that others use too; what counts is the CPU time below
CPU_S = 5.0
READY_S = 90.0
MAX_BODY_BYTES = 4 * 2**20
MAX_INFLATED_BYTES = 8 * 2**20
# Python's objects for JSON take many times the text; a body that was inflated past its limit takes far more.
MOST_GROWN_KIB = 400 * 1024
# What the process may have more than after its first answers: allocators keep some, a leak keeps all.
MOST_KEPT_RSS_KIB = 500 * 1024
MOST_KEPT_SPACE_KIB = 4 * 2**20
FOREIGN = ("DATABASE_URL", "REDIS_URL", "CLICKHOUSE_URL", "TALLYWATT_", "DJANGO_", "PYTEST_")


@dataclass
class Findings:
    """What a run saw. `failures`: one line each, with the file that holds the input."""

    cases: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    by_road: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    most_grown_kib: int = 0
    longest_s: float = 0.0
    failures: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


class TargetEnded(Exception):
    """The process under test is gone: the last input killed it."""


class TargetHangs(Exception):
    """No answer in time."""


class Target:
    """The process under test."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._path = log
        self._first: dict[str, int] = {}
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.target"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._line(READY_S)
        except (TargetEnded, TargetHangs) as error:
            raise RuntimeError(f"the target did not start: {error}\n{log.read_text()[-3000:]}") from error

    def ask(self, case: Case) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            case.write(self._process.stdin)
        except BrokenPipeError:
            raise TargetEnded(f"exit code {self._process.wait(10)}") from None
        found: dict[str, Any] = json.loads(self._line(ANSWER_S))
        self._first = self._first or found
        return found

    def kept(self, report: dict[str, Any]) -> list[str]:
        """What the process has not given back since its first answer, if that is too much."""
        limits = {"kept_rss_kib": MOST_KEPT_RSS_KIB, "kept_space_kib": MOST_KEPT_SPACE_KIB}
        return [
            f"keeps {(report[name] - self._first[name]) // 1024} MiB ({name}) after the inputs so far"
            for name, most in limits.items()
            if report[name] - self._first[name] > most
        ]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def _line(self, within_s: float) -> bytes:
        try:
            line = self._lines.get(timeout=within_s)
        except queue.Empty:
            raise TargetHangs(f"no answer for {within_s:g} s") from None
        if not line:
            raise TargetEnded(f"exit code {self._process.wait(10)}: {self._path.read_text(errors='replace')[-600:]}")
        return line

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


@contextmanager
def surroundings() -> Iterator[tuple[Path, Callable[[], dict[str, str]]]]:
    """PostgreSQL and Redis, and a function that gives each target an environment with a database of its own."""
    folder = Path(tempfile.mkdtemp(prefix="tallywatt-fuzz-"))
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ["CLICKHOUSE_URL"] = "clickhouse://nobody:x@127.0.0.1:1/none"  # accepting needs none
    stack = EmbeddedStack(folder)
    urls = stack.build()
    try:
        for _ in stack.start():
            pass
        number = 0

        def environment() -> dict[str, str]:
            nonlocal number
            number += 1
            return os.environ | {
                "DATABASE_URL": _database(urls.database_url, f"fuzz_{number}"),
                "REDIS_URL": urls.redis_url,
                "TALLYWATT_SECRET_KEY": "fuzz",
                "TALLYWATT_DATA_DIR": str(folder),
                "TALLYWATT_SPOOL_DIR": str(folder / "spool" / str(number)),
                "TALLYWATT_INGEST_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
                "TALLYWATT_INGEST_MAX_INFLATED_BYTES": str(MAX_INFLATED_BYTES),
                "TALLYWATT_INGEST_MAX_EVENTS": "5000",
            }

        yield folder, environment
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _database(url: str, name: str) -> str:
    """A new, empty database on the server of `url`."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as link:
        link.execute(f'CREATE DATABASE "{name}"')
    return url.rsplit("/", 1)[0] + f"/{name}"


def fuzz(seconds: float, seed: int, keep: Path, say: Callable[[str], None]) -> Findings:
    """Inputs from `seed` on until time is up. Failing ones are written to `keep`."""
    findings = Findings()
    random = Random(seed)  # noqa: S311 - no secret comes from it
    with surroundings() as (folder, environment):
        target = Target(environment(), folder / "target.log")
        deadline, told = math.inf, time.monotonic()
        try:
            while time.monotonic() < deadline:
                if not tried(target, made_case(random), findings, keep, say):
                    target.stop()
                    target = Target(environment(), folder / "target.log")
                if findings.cases == 1:  # it imports everything: time counts from here
                    deadline = time.monotonic() + seconds
                if time.monotonic() > told + 30:
                    told = time.monotonic()
                    say(f"{findings.cases} inputs, {len(findings.failures)} failures, {dict(findings.statuses)}")
        finally:
            target.stop()
    return findings


def replay(files: list[Path], keep: Path, say: Callable[[str], None]) -> Findings:
    """Inputs that were kept earlier, once more."""
    findings = Findings()
    with surroundings() as (folder, environment):
        for path in files:
            target = Target(environment(), folder / "target.log")
            tried(target, load(path), findings, keep, say)
            target.stop()
    return findings


def tried(target: Target, case: Case, findings: Findings, keep: Path, say: Callable[[str], None]) -> bool:
    """Whether the target can take another: not after it has run out of memory, or has died."""
    findings.cases += 1
    findings.by_road[f"{case.path} {case.content_type}"] += 1
    try:
        report = target.ask(case)
    except (TargetEnded, TargetHangs) as error:
        failed(case, [f"{type(error).__name__}: {error}"], findings, keep, say)
        return False
    findings.statuses[str(report["status"])] += 1
    findings.rows.update(report["rows"])
    findings.most_grown_kib = max(findings.most_grown_kib, report["grown_kib"])
    findings.longest_s = max(findings.longest_s, report["cpu_s"])
    swollen = target.kept(report)
    if report["grown_kib"] > MOST_GROWN_KIB:
        swollen.append(f"grew by {report['grown_kib'] // 1024} MiB")
    problems = [*report["problems"], *([report["trace"]] if report["trace"] else []), *swollen]
    if report["cpu_s"] > CPU_S:
        problems.append(f"took {report['cpu_s']:.1f} s of CPU")
    if problems:
        failed(case, problems, findings, keep, say)
    return not swollen and "MemoryError" not in report["trace"]


def failed(case: Case, problems: list[str], findings: Findings, keep: Path, say: Callable[[str], None]) -> None:
    """Keep the input once per kind of failure."""
    lines = problems[0].strip().splitlines()
    places = [line.strip() for line in problems[0].splitlines() if 'File "' in line and "/metering/" in line]
    kind = f"{case.path}: {places[-1].split(', in ')[0] if places else ''} {lines[-1][:100]}"
    digits = "".join(letter for letter in kind if not letter.isdigit())
    if digits in findings.seen:
        return
    findings.seen.add(digits)
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / hashlib.sha256(case.body + case.path.encode()).hexdigest()[:16]
    path.with_suffix(".body").write_bytes(case.body)
    described = {name: value for name, value in vars(case).items() if name != "body"} | {"problems": problems[:5]}
    path.with_suffix(".json").write_text(json.dumps(described, indent=1))
    findings.failures.append(f"{path}.json: {case.note}: {lines[-1][:300]}")
    say(f"FAILED {findings.failures[-1]}")


def load(path: Path) -> Case:
    found = json.loads(path.with_suffix(".json").read_text())
    found.pop("problems")
    return Case(**found, body=path.with_suffix(".body").read_bytes())
