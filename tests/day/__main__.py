"""`python -m tests.day`: a simulated day through the whole stack, held against what really happened. Exit code 1 on any difference."""

import argparse
import sys
import time

from tests.day.run import Options, Report, run

SHOWN = 60


def main(arguments: list[str]) -> int:
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.day", description=__doc__)
    parser.add_argument("--hours", type=int, default=default.hours, help="at least 8 (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--scale", type=float, default=default.scale, help="on the requests (default: %(default)s)")
    found = parser.parse_args(arguments)
    if found.hours < 8:
        parser.error("three limits are to bind one after the other, and clear up in between: at least 8 hours")
    report = run(Options(found.hours, found.seed, found.scale), _say)
    _print(report)
    return 1 if report.wrong else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def _print(report: Report) -> None:
    for name, value in report.counts.items():
        sys.stdout.write(f"{name:<52} {value}\n")
    sys.stdout.write(f"{'wrong':<52} {len(report.wrong)}\n")
    for line in report.wrong[:SHOWN]:
        sys.stdout.write(f"  {line}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
