"""`python -m tests.chaos`: prove that nothing is lost and nothing counted twice. Exit code 1 on any difference."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.bodies import FORMATS
from tests.chaos.run import Options, Report, run

SHOWN = 40


def options_of(arguments: list[str]) -> tuple[Options, Path | None]:
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument(
        "--events", type=int, default=default.events, help="identities; each is sent one to three times"
    )
    parser.add_argument("--kills", type=int, default=default.kills)
    parser.add_argument("--timeout", type=float, default=default.timeout_s, help="seconds; then the run fails")
    parser.add_argument("--formats", default=",".join(FORMATS), help="comma-separated, of: %(default)s")
    parser.add_argument("--at", type=int, default=default.at_ms, help="epoch ms around which the events lie (now)")
    parser.add_argument("--keep", type=Path, help="run in this empty folder, and keep it")
    found = parser.parse_args(arguments)
    formats = tuple(found.formats.split(","))
    return Options(found.events, found.kills, found.seed, found.timeout, formats, found.at), found.keep


def main(arguments: list[str]) -> int:
    options, keep = options_of(arguments)
    folder = keep or Path(tempfile.mkdtemp(prefix="tallywatt-chaos-"))
    try:
        report = run(options, folder / "var", _say)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    _print(report)
    return 1 if report.wrong else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def _print(report: Report) -> None:
    for name, value in report.counts.items():
        sys.stdout.write(f"{name:<40} {value}\n")
    sys.stdout.write(f"{'differences':<40} {len(report.wrong)}\n")
    for line in report.wrong[:SHOWN]:
        sys.stdout.write(f"  {line}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
