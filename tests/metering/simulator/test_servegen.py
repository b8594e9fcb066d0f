"""ServeGen's clients as tenants, from a trace of a few lines in its format."""

import json
from pathlib import Path

import numpy as np
import pytest

from metering.simulator.fleet import Fleet
from metering.simulator.plan import Plan
from metering.simulator.pool import ARRIVED, INPUT, OUTPUT, REASONING, TENANT
from metering.simulator.servegen import ServeGenTraffic, servegen_tenants
from tests.metering.simulator.plans import START_MS, one_engine, tenant

HEADER = "client_id,window_start_s,rate_rps,cv,arrival_dist,param1,param2"
MODELS = {"llama-3.1-8b": 1.0}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Client 7 sends twice as much as client 3, client 5 next to nothing; the second window is client 3's alone."""
    path = tmp_path / "m_trace.csv"
    lines = ["7,0,1.0,1,Gamma,1,1", "3,0,0.5,2,Gamma,0.25,1", "5,0,0.01,1,Gamma,1,1", "3,600,0.5,1,Weibull,1,1"]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    lengths = [
        {
            "client_id": client,
            "window_start_s": 0,
            "input_tokens": "{100: 0.5, 900: 0.5}",
            "output_tokens": "{40: 1.0}",
            "reason_ratio": "{0.5: 1.0}",
        }
        for client in (3, 5, 7)
    ]
    (tmp_path / "m_dataset.jsonl").write_text("\n".join(map(json.dumps, lengths)) + "\n")
    return path


def plan_of(trace: Path, most: int = 2) -> Plan:
    tenants = servegen_tenants(trace, MODELS, most=most)
    return Plan(one_engine(tenant("unused", 1.0)).nodes, tenants, START_MS)


def test_the_busiest_clients_become_tenants(trace: Path) -> None:
    tenants = servegen_tenants(trace, MODELS, most=2)

    assert {each.key: each.rate_rps for each in tenants} == {"T-3": 0.5, "T-7": 0.5}


def test_their_requests_arrive_with_the_traces_times_and_lengths(trace: Path) -> None:
    plan = plan_of(trace)
    traffic = ServeGenTraffic(plan, trace)
    first, second = traffic.until(600), traffic.until(1200)

    names = [plan.tenants[int(index)].key for index in first[TENANT]]
    assert (names.count("T-7"), names.count("T-3")) == (600, 300)
    assert second.shape[1] == 300
    assert (np.diff(first[ARRIVED]) >= 0).all()
    assert set(first[INPUT]) == {100, 900}
    assert (set(first[OUTPUT]), set(first[REASONING])) == ({40}, {20})


def test_a_run_may_begin_later_and_keep_a_part(trace: Path) -> None:
    traffic = ServeGenTraffic(plan_of(trace), trace, from_s=600, keep=0.5)
    rows = traffic.until(600)

    assert 100 < rows.shape[1] < 200
    assert rows[ARRIVED].min() >= 0


def test_the_fleet_serves_them(trace: Path) -> None:
    plan = plan_of(trace)
    finished = Fleet(plan, ServeGenTraffic(plan, trace)).step(START_MS + 1_260_000)

    assert len(finished) == 1200
