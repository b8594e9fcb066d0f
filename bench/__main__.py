"""`python -m bench [part ...]`: ingest, query, billing, agent, streams; and, only if named, growth (ten minutes) and page (an hour, to
fill a month the first time). See bench/README.md."""

import os
import shutil
import sys
from pathlib import Path

from bench import agent, billing, growth, ingest, pages, read, report, streams
from bench.bodies import TENANTS
from bench.stack import create_tenant, manage, running, setup_django

DEFAULT = ("ingest", "query", "billing", "agent", "streams")
PARTS = (*DEFAULT, "growth", "page")


def main(parts: list[str]) -> None:
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part {', '.join(sorted(unknown))}: one of {', '.join(PARTS)}")
    figures = _of_the_stack(parts) if set(parts) - {"agent", "page", "streams"} else []
    if "agent" in parts:  # alone on the machine, as on its node
        figures += agent.measure()
    if "page" in parts:
        figures += _of_the_month()
    if "streams" in parts:
        figures += streams.measure(report.OUT / "streams")
    report.publish(figures)


def _of_the_stack(parts: list[str]) -> list[report.Figure]:
    data_dir = report.OUT / "stack"
    with running(data_dir) as (url, pid):
        setup_django()
        for tenant in TENANTS:
            create_tenant(tenant)
        key = manage(data_dir, "create_api_key", "--operator", "--scopes", "ingest,usage:read")
        tenant_key = manage(data_dir, "create_api_key", "--tenant", TENANTS[0], "--scopes", "ingest,usage:read")
        figures = []
        if "ingest" in parts:
            figures += ingest.Bench(url, key, pid).measure()
        if "query" in parts:
            figures += read.measure_usage(url, tenant_key)
        if "billing" in parts:
            figures += billing.measure(url, key, data_dir)
        if "growth" in parts:
            figures += growth.measure(ingest.Bench(url, key, pid))
    return figures


def _of_the_month() -> list[report.Figure]:
    """Tables that take an hour to fill: BENCH_MONTH_DIR keeps them for the next time."""
    kept = os.environ.get("BENCH_MONTH_DIR")
    data_dir = Path(kept) if kept else report.OUT / "month"
    try:
        return pages.measure(data_dir)
    finally:
        if not kept:
            shutil.rmtree(data_dir, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(DEFAULT))
