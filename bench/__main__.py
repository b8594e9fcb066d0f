"""`python -m bench [part ...]`: ingest, query, page. See bench/README.md."""

import subprocess
import sys

from bench import ingest, read, report
from bench.stack import ROOT, running, setup_django

PARTS = ("ingest", "query", "page")


def main(parts: list[str]) -> None:
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part {', '.join(sorted(unknown))}: one of {', '.join(PARTS)}")
    data_dir = report.OUT / "stack"
    with running(data_dir) as url:
        setup_django()
        _manage(data_dir, "create_tenant", "bench")
        key = _manage(data_dir, "create_api_key", "--tenant", "bench", "--scopes", "ingest,usage:read")
        figures = []
        if "ingest" in parts:
            figures += ingest.measure(url, key)
        if "query" in parts:
            figures += read.measure_usage(url, key)
        if "page" in parts:
            figures += read.measure_pages(url, str(data_dir))
    report.publish(figures)


def _manage(data_dir: object, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments, "--data-dir", str(data_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:] or list(PARTS))
