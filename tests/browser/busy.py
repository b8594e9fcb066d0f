"""An hour of a busy provider, put into the tables directly: what the operator's pages show on a usual day."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from metering.clickhouse import client
from metering.public import create_tenant
from tests.billing.energy import attributed, energy_costs_from_now_on, nobodys, settle
from tests.metering.quarantined import put
from tests.metering.rows import insert_requests, settled
from tests.metering.telemetry.reconciliation.windows import hour_of, insert
from tests.metering.telemetry.sample_rows import MINUTE, SECOND, every, insert_engines, insert_gpus, work_up

MODELS = ("llama-3.3-70b", "qwen3-32b", "mistral-small")
REGIONS = {"eu-west": "eu-west-a", "us-east": "us-east-b"}


def busy(tenant: str) -> None:
    """Requests of an hour in two regions, a fleet that binds, energy, leakage and something in quarantine."""
    now = datetime.now(UTC)
    other = f"{tenant}-two"
    create_tenant(other, "Globex <Research>")
    for number, name in enumerate((tenant, other)):
        requests(name, number, now)
    _fleet(now)
    _energy(tenant, now)
    put(tenant, {}, {"reason": "too_old"})
    settled(now, "host-1")


def requests(tenant: str, number: int = 0, now: datetime | None = None) -> None:
    """An hour of them, up to this second."""
    until = now or datetime.now(UTC)
    insert_requests(tenant, *(_request(tenant, number, n, until) for n in range(900)))


def _request(tenant: str, number: int, n: int, now: datetime) -> dict[str, Any]:
    at = now - timedelta(seconds=2 + n * 4)
    wave = 1 + math.sin(n / 40 + number)
    region = list(REGIONS)[n % 2]
    return {
        "id": f"{tenant}-{n}",
        "time": at,
        "ingested_at": at + SECOND,
        "model": MODELS[n % 3],
        "tier": "batch" if n % 7 == 0 else "standard",
        "status": "error" if n % 61 == 0 else "cancelled" if n % 43 == 0 else "ok",
        "input_tokens": int(800 + 600 * wave),
        "output_tokens": int(120 + 200 * wave),
        "queue_ms": 20.0 * wave,
        "ttft_ms": 120 + 240 * wave,
        "tpot_ms": 14 + 6 * wave,
        "e2e_ms": 2000 + 4000 * wave,
        "region": region,
        "cluster": REGIONS[region],
        "node": f"node-{n % 2}",
        "engine": f"engine-{n % 2}",
    }


def _fleet(now: datetime) -> None:
    for number, (region, cluster) in enumerate(REGIONS.items()):
        node, place = f"node-{number}", {"region": region, "cluster": cluster}
        full = {"running": 40.0, "waiting": 9.0 * number, "kv_cache_usage": 0.6 + 0.39 * number}
        engine = place | full | {"engine": f"engine-{number}", "model": MODELS[number], "gpus": [f"GPU-{number}-0"]}
        insert_engines(node, *({"time": at} | engine for at in every(5 * SECOND, now - 3 * MINUTE, now)))
        for gpu in range(8):
            one = place | {"gpu": f"GPU-{number}-{gpu}", "index": gpu, "name": "NVIDIA H100", "power_limit_w": 700.0}
            moving = [
                one | {"time": at, "power_w": 500.0 + 20 * gpu + step, "gpu_utilization": 0.8, "temperature_c": 61.0}
                for step, at in enumerate(every(10 * SECOND, now - 3 * MINUTE, now))
            ]
            insert_gpus(node, *moving)
    minute = now.replace(second=0, microsecond=0)
    row = {"gpus": 1.0, "constraint": "kv_cache", "bound": True, "version": 1, "score": 1.0}
    rows = [
        row | {"node": f"node-{n}", "engine": f"engine-{n}", "model": MODELS[n], "minute": minute - back * MINUTE}
        for n in range(2)
        for back in range(1, 55)
    ]
    names = sorted(rows[0])
    client.insert("test_rows", "saturation_minute", names, [[one[name] for one in rows] for name in names])
    work_up(now)


def _energy(tenant: str, now: datetime) -> None:
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    sides = {"prefill_tokens": 600_000.0, "decode_tokens": 400_000.0}
    made = {f"engine_{name}": value for name, value in sides.items()}
    reported = {f"event_{name}": value * 0.97 for name, value in sides.items()}
    insert(hour_of("node-0", hour, **made, **reported), hour_of("node-1", hour, minutes=20, **made, engine="engine-1"))
    attributed(hour, tenant, kwh="6", gpu_hours="4", decode_tokens=4_320_000.0)
    nobodys(hour, idle_nkwh="1.5", aborted_nkwh="0.5", idle_gpu_nh="2")
    energy_costs_from_now_on()
    settle(hour + timedelta(hours=1))
