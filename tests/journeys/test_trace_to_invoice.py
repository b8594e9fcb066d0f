"""From a trace on disk to an invoice that an audit agrees with, through HTTP, spool, worker, ClickHouse, ledger and rating."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.journeys import traces
from tests.journeys.stack import RunningStack

pytestmark = pytest.mark.journey


def replay(up: RunningStack, trace: Path, tenant: str, form: str = "azure-llm-2023") -> str:
    return up.manage(
        "replay", str(trace), "--format", form, "--tenant", tenant, "--model", f"model-of-{tenant}", "--speed", "max"
    )


def ledger_of(up: RunningStack, tenant: str) -> str:
    columns = "sum(requests), sum(input_tokens), sum(output_tokens), sum(cached_input_tokens)"
    return up.manage("clickhouse", "--query", f"SELECT {columns} FROM usage_ledger WHERE tenant = '{tenant}'")


def set_prices(up: RunningStack, tenant: str) -> None:
    for kind, price in (("input", "1.50"), ("cached_input", "0.30"), ("output", "6.00")):
        up.manage(
            "set_price", "--model", f"model-of-{tenant}", "--kind", kind, "--per-million", price, "--currency", "USD"
        )


def test_a_trace_that_is_replayed_twice_is_metered_and_billed_once(up: RunningStack, tmp_path: Path) -> None:
    trace, tenant = tmp_path / "code.csv", "twice"
    requests, tokens_in, tokens_out, _ = totals = traces.azure(trace, 5_300)

    said = replay(up, trace, tenant)
    assert said.endswith(
        f"requests={requests} input_tokens={tokens_in} output_tokens={tokens_out} cached_input_tokens=0 accepted={requests} rejected=0"
    )
    up.wait_for(lambda: up.usage(tenant) == totals, 10, "all of the trace is in the usage")
    set_prices(up, tenant)
    number = up.manage("close_period", "--tenant", tenant, "--period", "2023-11")

    replay(up, trace, tenant)
    up.seal()

    assert ledger_of(up, tenant).split() == [str(total) for total in totals]
    assert up.usage(tenant) == totals
    assert up.manage("close_period", "--tenant", tenant, "--period", "2023-11") == number
    invoice = next(row for row in up.get("/api/v1/invoices", tenant=tenant)["data"] if row["number"] == number)
    lines = up.get(f"/api/v1/invoices/{number}/lines")["data"]
    cents = Decimal("0.01")
    expected = [
        (Decimal(tokens_in) * Decimal("1.5") / 10**6).quantize(cents),
        (Decimal(tokens_out) * 6 / 10**6).quantize(cents),
    ]
    assert sorted(int(line["quantity"]) for line in lines) == sorted([tokens_in, tokens_out])
    assert Decimal(invoice["total"]) == sum(expected)
    assert "agrees to the cent" in up.manage("audit_invoice", number)


def test_an_audit_says_where_a_ledger_row_was_altered_by_hand(up: RunningStack, tmp_path: Path) -> None:
    trace, tenant = tmp_path / "code.csv", "altered"
    traces.azure(trace, 700)
    replay(up, trace, tenant)
    set_prices(up, tenant)
    number = up.manage("close_period", "--tenant", tenant, "--period", "2023-11")
    assert up.run("audit_invoice", number).returncode == 0

    up.manage(
        "clickhouse",
        "--query",
        f"ALTER TABLE usage_ledger UPDATE output_tokens = output_tokens + 1 WHERE tenant = '{tenant}' SETTINGS mutations_sync = 1",
    )

    audit = up.run("audit_invoice", number)
    assert audit.returncode != 0
    assert "2023-11-16" in audit.stdout
    assert "18:15" in audit.stdout
    assert "output_tokens" in audit.stdout


def test_repeated_blocks_of_a_mooncake_trace_are_billed_as_cached_tokens(up: RunningStack, tmp_path: Path) -> None:
    trace, tenant = tmp_path / "conversation.jsonl", "moon"
    trace.write_text(
        '{"timestamp": 0, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]}\n'
        '{"timestamp": 900, "input_length": 1300, "output_length": 60, "hash_ids": [0, 1, 7]}\n'
        '{"timestamp": 3000, "input_length": 700, "output_length": 70, "hash_ids": [0, 1]}\n'
    )
    totals = (3, 3_100, 180, 1_024 + 700)

    replay(up, trace, tenant, "mooncake")
    set_prices(up, tenant)
    number = up.manage("close_period", "--tenant", tenant, "--period", "2026-01")

    assert up.usage(tenant) == totals
    quantities = {line["kind"]: int(line["quantity"]) for line in up.get(f"/api/v1/invoices/{number}/lines")["data"]}
    assert quantities == {"input": 3_100 - 1_724, "cached_input": 1_724, "output": 180}


def test_the_clients_of_a_servegen_trace_become_tenants(up: RunningStack, tmp_path: Path) -> None:
    trace = tmp_path / "reason_trace.csv"
    trace.write_text(
        "client_id,window_start_s,rate_rps,cv,arrival_dist,param1,param2\n"
        "0,0,0.5,1.2,Gamma,0.7,2.8\n"
        "0,600,0,0,,0,0\n"
        "4,600,0.1,0.9,Weibull,1.1,9.6\n"
    )
    (tmp_path / "reason_dataset.jsonl").write_text(
        '{"client_id": 0, "window_start_s": 0, "input_tokens": "{100: 1.0}", "output_tokens": "{30: 1.0}", "reason_ratio": "{0.5: 1.0}"}\n'
        '{"client_id": 4, "window_start_s": 0, "input_tokens": "{7: 0.5, 9: 0.5}", "output_tokens": "{2: 1.0}", "reason_ratio": "{}"}\n'
    )

    replay(up, trace, "sg", "servegen")
    up.wait_for(lambda: up.usage("sg-4")[0] == 60, 10, "the second client's usage")
    replay(up, trace, "sg", "servegen")
    up.seal()

    assert up.usage("sg-0") == (300, 30_000, 9_000, 0)
    requests, tokens_in, tokens_out, _ = up.usage("sg-4")
    assert (requests, tokens_out) == (60, 120)
    assert 60 * 7 < tokens_in < 60 * 9
