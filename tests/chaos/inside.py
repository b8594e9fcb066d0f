"""What must run in the stack's own surroundings (its settings and its databases): `python -m tests.chaos.inside COMMAND`.

`accounts` creates the tenants and a key for each; `found` tells what the stack holds in the end. Both print JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from metering import accounts, keys, ledger, rollup_correction, usage  # noqa: E402 - Django must be set up first
from metering.clickhouse import client  # noqa: E402
from metering.ingest import local  # noqa: E402
from metering.models import Seal  # noqa: E402
from tests.chaos.events import TENANTS  # noqa: E402

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
CORRECTED_WITHIN_S = 120
MEASURES = ("requests", "input_tokens", "output_tokens", "cached_input_tokens")


def create_accounts() -> dict[str, str]:
    """Tenant -> its own key; '' -> an operator's."""
    for tenant in TENANTS:
        accounts.create_tenant(tenant)
    issued = {tenant: keys.issue_key(tenant, ["ingest"]) for tenant in TENANTS}
    return issued | {"": keys.issue_key(None, ["ingest"])}


def found() -> dict[str, Any]:
    return {
        "ledger": _usage("ledger"),
        "raw": _usage("raw"),
        "current": _usage("current"),
        "differences": _differences(),
        "stored": _stored(),
        "quarantine": _quarantine(),
        "conflicts": _conflicts(),
        "seals": _seals(),
        "rollup": _rolled_up(),
        "spool": _spool(),
    }


def _usage(which: str) -> list[list[Any]]:
    """Per tenant and model: requests, input, output and cached tokens."""
    seal = ledger.latest_seal()
    if seal is None:
        return []
    ask: dict[str, Any] = {"tenant": None, "group_by": ("model",), "window": "total"}
    readers: dict[str, Callable[[], list[Any]]] = {
        "ledger": lambda: usage.sealed_usage(START, END, as_of=seal, **ask),
        "raw": lambda: usage.raw_usage(START, END, as_of=seal, **ask),
        "current": lambda: usage.current_usage(START, END, **ask),
    }
    return [[row.tenant, row.model, *(getattr(row, name) for name in MEASURES)] for row in readers[which]()]


def _rolled_up() -> list[list[Any]]:
    """As `_usage`, from the live rollup, once the duplicates of every seal are taken out of it again."""
    deadline = time.monotonic() + CORRECTED_WITHIN_S
    while rollup_correction.correct() or Seal.objects.filter(state=Seal.State.COMPLETED, corrected_at=None).exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the live rollups are not corrected")
        time.sleep(0.2)
    sums = ", ".join(f"sum({name})" for name in MEASURES)
    return _rows(f"SELECT tenant, model, {sums} FROM requests_minute GROUP BY tenant, model HAVING sum(requests) > 0")


def _differences() -> list[str]:
    seal = ledger.latest_seal()
    return [] if seal is None else [str(each) for each in usage.ledger_differences(START, END, tenant=None, as_of=seal)]


def _rows(sql: str) -> list[list[Any]]:
    return [list(row) for row in client.statement("chaos", sql, timeout_s=120)]


def _stored() -> list[list[Any]]:
    """Per tenant: rows, distinct identities, and the sum of the numbers in their ids."""
    return _rows(
        "SELECT tenant, sum(copies), count(), sum(toUInt64(substring(id, 3))) FROM"
        " (SELECT tenant, source, id, count() AS copies FROM requests GROUP BY tenant, source, id) GROUP BY tenant"
    )


def _quarantine() -> list[list[Any]]:
    """(id, reason, listed how often) of what was refused at the door; the id is '' where it cannot be found."""
    return _rows(
        "SELECT extract(raw, 'bad-[0-9]+') AS id, reason, count() FROM quarantine WHERE reason != 'conflict'"
        " GROUP BY id, reason"
    )


def _conflicts() -> list[list[Any]]:
    return _rows(
        "SELECT tenant, JSONExtractString(raw, 'source'), JSONExtractString(raw, 'id'), JSONExtractString(raw, 'model'),"
        " toInt64(replaceAll(JSONExtractRaw(raw, 'output_tokens'), '\"', '')), count() FROM quarantine"
        " WHERE reason = 'conflict' GROUP BY ALL"
    )


def _seals() -> dict[str, int]:
    done = list(Seal.objects.filter(state=Seal.State.COMPLETED))
    counted = {name: sum(getattr(seal, name) for seal in done) for name in ("events", "duplicates", "conflicts")}
    return counted | {"completed": len(done), "abandoned": Seal.objects.count() - len(done)}


def _spool() -> dict[str, int]:
    root = local.spool().root
    return {
        name: sum(1 for path in (root / name).glob("*") if path.suffix in {".arrow", ".json", ".writing"})
        for name in ("incoming", "ready", "groups", "done")
    }


if __name__ == "__main__":
    commands: dict[str, Callable[[], Any]] = {"accounts": create_accounts, "found": found}
    sys.stdout.write(json.dumps(commands[sys.argv[1]]()))
