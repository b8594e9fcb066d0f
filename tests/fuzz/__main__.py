"""`python -m tests.fuzz`: throw damaged bodies of every protocol at the ingest views. Exit code 1 if one breaks a rule."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import driver


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--keep", type=Path, help="where failing inputs are written (a new folder)")
    parser.add_argument("--replay", type=Path, nargs="+", help="only these inputs, kept by an earlier run")
    given = parser.parse_args(arguments)
    keep = given.keep or Path(tempfile.mkdtemp(prefix="tallywatt-fuzz-failures-"))
    if given.replay:
        findings = driver.replay(given.replay, keep, _say)
    else:
        seconds = given.seconds if given.seconds is not None else given.minutes * 60
        findings = driver.fuzz(seconds, given.seed, keep, _say)
    _print(findings, given.seed)
    return 1 if findings.failures else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def _print(findings: driver.Findings, seed: int) -> None:
    counts = {
        "seed": seed,
        "inputs": findings.cases,
        "answers": dict(sorted(findings.statuses.items())),
        "rows taken": dict(findings.rows),
        "most memory for one input, MiB": findings.most_grown_kib // 1024,
        "longest, s of CPU": round(findings.longest_s, 2),
        **{f"  {road}": count for road, count in sorted(findings.by_road.items())},
        "failures": len(findings.failures),
    }
    for name, value in counts.items():
        sys.stdout.write(f"{name:<60} {value}\n")
    for line in findings.failures:
        sys.stdout.write(f"  {line}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
