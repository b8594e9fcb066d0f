"""The process under test: takes cases from its standard input, calls the view as the server does, and judges what is on disk then.

A process of its own, so that a crash in native code is seen, and the input that did it is known to the parent.
"""

import json
import logging
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - Django must be set up first
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.template.response import SimpleTemplateResponse  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.urls import resolve  # noqa: E402

from metering import accounts, keys, meters  # noqa: E402
from metering.ingest import local  # noqa: E402
from tests.fuzz import case as cases  # noqa: E402
from tests.fuzz.case import Case  # noqa: E402
from tests.fuzz.judge import Spooled, problems_of, spooled  # noqa: E402

TENANT = "fuzz"
MOST_ADDRESS_SPACE = 6 * 2**30  # beyond what the process has when it starts
STATUS = Path("/proc/self/status")


def prepare() -> dict[str, str]:
    """Tables, a tenant, a meter, and an API key of each kind: its name -> the Authorization header."""
    call_command("migrate", verbosity=0, interactive=False)
    accounts.create_tenant(TENANT)
    meters.create("gpu_hours", event_type="gpu.hours", aggregation="SUM", value_path="$.hours")
    issued = {
        "tenant": keys.issue_key(TENANT, ["ingest"]),
        "operator": keys.issue_key(None, ["ingest", "meters:write"]),
        "observing": keys.issue_key(TENANT, ["ingest"], observing=True),
    }
    return {name: f"Bearer {key}" for name, key in issued.items()} | {"none": ""}


def status_kib(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def request_of(case: Case, authorization: str) -> HttpRequest:
    headers = dict(case.headers)
    if authorization:
        headers["Authorization"] = authorization
    if case.encoding:
        headers["Content-Encoding"] = case.encoding
    return RequestFactory().generic("POST", case.path, case.body, content_type=case.content_type, headers=headers)


def answered(case: Case, authorization: str) -> tuple[HttpResponse | None, str]:
    """What the view answers; None and the traceback if it raises, which the server would make a 500."""
    request = request_of(case, authorization)
    view: Callable[..., Any] = resolve(case.path).func
    try:
        response = view(request)
        return (response.render() if isinstance(response, SimpleTemplateResponse) else response), ""
    except Exception:
        return None, traceback.format_exc()


def tried(case: Case, keys_by_name: dict[str, str]) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    before_kib = status_kib("VmRSS")
    wall, cpu = time.monotonic(), time.process_time()
    response, trace = answered(case, keys_by_name[case.key])
    report: dict[str, Any] = {
        "status": response.status_code if response is not None else 500,
        "wall_s": time.monotonic() - wall,
        "cpu_s": time.process_time() - cpu,
        "grown_kib": status_kib("VmHWM") - before_kib,
        "trace": trace,
    }
    report |= {"kept_rss_kib": status_kib("VmRSS"), "kept_space_kib": status_kib("VmSize")}
    found: Spooled = spooled(local.spool().root)
    report["problems"] = problems_of(case, response, found, TENANT)
    report["rows"] = {kind: rows for kind, rows in found.rows.items() if rows}
    for path in found.files:
        path.unlink()
    return report


def main() -> None:
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    keys_by_name = prepare()
    limit = status_kib("VmSize") * 1024 + MOST_ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers.write("ready\n")
    answers.flush()
    while (case := cases.read(sys.stdin.buffer)) is not None:
        answers.write(json.dumps(tried(case, keys_by_name)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
