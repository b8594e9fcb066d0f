"""`python -m bench [part ...]`: ingest, query, page, billing, agent; and growth: ten minutes, and only if named. See bench/README.md."""

import sys

from bench import agent, billing, growth, ingest, read, report
from bench.bodies import TENANTS
from bench.stack import create_tenant, manage, running, setup_django

DEFAULT = ("ingest", "query", "page", "billing", "agent")
PARTS = (*DEFAULT, "growth")


def main(parts: list[str]) -> None:
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part {', '.join(sorted(unknown))}: one of {', '.join(PARTS)}")
    figures = _of_the_stack(parts) if set(parts) - {"agent"} else []
    if "agent" in parts:  # alone on the machine, as on its node
        figures += agent.measure()
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
        if "page" in parts:
            figures += read.measure_pages(url, data_dir)
        if "billing" in parts:
            figures += billing.measure(url, key, data_dir)
        if "growth" in parts:
            figures += growth.measure(ingest.Bench(url, key, pid))
    return figures


if __name__ == "__main__":
    main(sys.argv[1:] or list(DEFAULT))
