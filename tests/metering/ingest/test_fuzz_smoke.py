"""Ten seconds of `make fuzz`, so that neither it nor the decoders rot. And the judge of the fuzzer can say no."""

import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.http import HttpResponse, JsonResponse

from metering.contracts import Credential
from metering.ingest.context import Context
from metering.ingest.decoders.telemetry import read_arrow
from metering.ingest.local import spool as local_spool
from metering.ingest.telemetry_checking import check
from tests.fuzz.case import Case
from tests.fuzz.driver import ROOT
from tests.fuzz.judge import problems_of, spooled
from tests.metering.ingest.batches import events
from tests.metering.ingest.samples import arrow, engine, gpu

SECONDS = 10
CASE = Case("/api/v1/events", "application/x-ndjson", b"")
SAMPLES = Case("/api/v1/telemetry", "application/x-ndjson", b"", key="operator")


@pytest.mark.journey
def test_ten_seconds_of_damaged_bodies_break_no_rule(tmp_path: Path) -> None:
    words = ["--seconds", str(SECONDS), "--seed", "7", "--keep", str(tmp_path / "failures")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    inputs = next(int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("inputs"))
    assert inputs > 50, done.stdout


def accepted(table: pa.Table) -> None:
    local_spool().accept(table, None)


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def found(response: HttpResponse, tenant: str = "t", case: Case = CASE) -> list[str]:
    return problems_of(case, response, spooled(local_spool().root), tenant)


def receipt(count: int) -> HttpResponse:
    return JsonResponse({"batch": "b", "accepted": count, "rejected": []}, status=202)


def test_a_true_receipt_for_canonical_rows_is_no_problem(spool: Path) -> None:
    accepted(events("t", {"id": "a"}, {"id": "b"}))
    assert found(receipt(2)) == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_receipt_that_counts_wrong_is_seen(spool: Path, count: int) -> None:
    accepted(events("t", {"id": "a"}, {"id": "b"}))
    assert found(receipt(count)) == [f"the receipt says {count}, 2 rows are on disk"]


def test_rows_behind_a_refusal_are_seen(spool: Path) -> None:
    accepted(events("t", {"id": "a"}))
    assert found(JsonResponse({"status": 400}, status=400)) == ["answer 400 without a receipt, and 1 rows were taken"]
    assert len(found(HttpResponse(status=413))) == 2


def test_a_server_error_is_seen(spool: Path) -> None:
    local_spool().create()
    assert found(HttpResponse("oh", status=503)) == ["answer 503: b'oh'"]


def test_the_row_of_another_tenant_and_a_broken_invariant_are_seen(spool: Path) -> None:
    table = events("other", {"id": "a", "cached_input_tokens": 1})
    accepted(with_column(table, "input_tokens", pa.array([0], pa.uint64())))
    assert found(receipt(1)) == ["row 0: tenant 'other'", "row 0: cached tokens exceed the input"]


def test_an_observed_row_from_a_metering_key_is_seen(spool: Path) -> None:
    accepted(with_column(events("t", {"id": "a"}), "observed", pa.array([True])))
    assert found(receipt(1)) == ["observed is not what the key says"]


@pytest.mark.parametrize(
    ("sample", "name", "value", "said"),
    [
        (gpu(power_w=1.0), "power_w", pa.array([-1.0], pa.float32()), "power_w is -1.0"),
        (gpu(sm_active=1.0), "sm_active", pa.array([math.nan], pa.float32()), "sm_active is nan"),
        (gpu(mig="1/0"), "energy_j", pa.array([5.0]), "a MIG instance has power"),
        (gpu(), "time", pa.array([0], pa.timestamp("ms", "UTC")), "time is 1970-01-01 00:00:00+00:00"),
        (gpu(), "throttle", pa.array([["idle"]]), "throttle is ['idle']"),
        (engine(gpus=["a"]), "gpus", pa.array([["a", "a"]]), "gpus are ['a', 'a']"),
        (
            engine(prompt_tokens=5),
            "cached_prompt_tokens",
            pa.array([6], pa.uint64()),
            "cached tokens exceed the prompt",
        ),
    ],
)
def test_a_sample_that_breaks_a_rule_is_seen(
    spool: Path, sample: dict[str, Any], name: str, value: pa.Array, said: str
) -> None:
    sender = Credential("0" * 12, None, frozenset(), False)
    context = Context(sender, datetime.now(UTC), timedelta(days=1), timedelta(minutes=1))
    tables = check(read_arrow(arrow(sample), 1), context).tables()
    assert found_in(tables) == []
    (kind,) = (kind for kind, table in tables.items() if table is not None)
    assert found_in({kind: with_column(tables[kind], name, value)}) == [f"{kind}, row 0: {said}"]


def found_in(tables: dict[str, pa.Table]) -> list[str]:
    for path in local_spool().ready.glob("*"):
        path.unlink()
    local_spool().accept_all(tables)
    return found(receipt(1), case=SAMPLES)
