"""Digests of requests, against a tree built here from the format alone, and proofs that one request is among them."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from metering import ledger, proofs
from metering.clickhouse import client
from metering.contracts import SealInfo
from metering.proofs import SeveralRequests, UsagePart, digests, request_proof
from tests.metering.rows import NOON, empty_tables, insert_requests, settled

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
START, END = NOON - 10 * DAY, NOON + 10 * DAY
TEXT = """tallywatt-request-1
tenant={tenant}
source={source}
time_ms={time_ms}
project={project}
api_key_id=
model={model}
operation=chat
tier=standard
region=
status=ok
input_tokens={input_tokens}
cached_input_tokens=0
cache_write_tokens=0
output_tokens=10
reasoning_tokens=0
id={id}"""


@pytest.fixture(autouse=True)
def nothing_before(ledger: object) -> None:
    empty_tables("requests", "usage_ledger")
    proofs._kept_buckets.cache_clear()


def seal(until: datetime) -> SealInfo:
    settled(until)
    found = ledger.seal_usage(now=True).seal
    assert found is not None
    return found


def put(tenant: str, *rows: dict[str, Any]) -> None:
    usual = {"cached_input_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0, "project": ""}
    insert_requests(tenant, *(usual | row for row in rows))


def text(tenant: str, **row: Any) -> str:
    at = row.pop("time", NOON)
    usual = {"source": "", "project": "", "model": "m", "input_tokens": 100}
    return TEXT.format(**(usual | row), tenant=tenant, time_ms=round(at.timestamp() * 1000))


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(of: str) -> bytes:
    return sha(b"\x00", of.encode())


def top_from(found: proofs.RequestProof) -> bytes:
    at = sha(b"\x02", *sorted([leaf(found.text), *found.siblings]))
    for left, beside in found.path:
        at = sha(b"\x01", beside, at) if left else sha(b"\x01", at, beside)
    return at


def part_of(seal: SealInfo, **other: Any) -> UsagePart:
    return UsagePart(**({"start": START, "end": END, "as_of": seal} | other))


def test_a_few_requests_are_one_bucket_of_their_sorted_leaves(tenant_key: str) -> None:
    put(tenant_key, {"id": "a"}, {"id": "b", "input_tokens": 7}, {"id": "a", "ingested_at": NOON + SECOND})
    part = part_of(seal(NOON + DAY))
    texts = [text(tenant_key, id="a"), text(tenant_key, id="b", input_tokens=7)]
    assert digests([tenant_key], part) == {tenant_key: proofs.Digest(sha(b"\x02", *sorted(map(leaf, texts))), 2)}


def test_many_requests_are_a_tree_over_ranges_of_their_identities(tenant_key: str) -> None:
    put(tenant_key, *({"id": f"r-{n}"} for n in range(1000)))
    part = part_of(seal(NOON + DAY))
    rows = client.statement("test", "SELECT id, identity FROM requests WHERE tenant = %(t)s", {"t": tenant_key})
    buckets: list[list[bytes]] = [[] for _ in range(8)]
    for key, identity in rows:
        buckets[identity >> 61].append(leaf(text(tenant_key, id=key)))
    level = [sha(b"\x02", *sorted(leaves)) for leaves in buckets]
    while len(level) > 1:
        level = [sha(b"\x01", level[n], level[n + 1]) for n in range(0, len(level), 2)]
    assert digests([tenant_key], part) == {tenant_key: proofs.Digest(level[0], 1000)}
    for key in ("r-0", "r-500", "r-999"):
        found = request_proof(tenant_key, part, key)
        assert found is not None
        assert found.text == text(tenant_key, id=key)
        assert (top_from(found), found.digest.leaves, len(found.path)) == (level[0], 1000, 3)


@pytest.mark.parametrize("limits", [{"MOST_LEAVES": 300}, {"MOST_TENANTS": 1}])
def test_how_many_statements_it_takes_changes_nothing(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    tenants = [f"{tenant_key}-{n}" for n in range(3)]
    for size, tenant in zip((1200, 5, 290), tenants, strict=True):
        put(tenant, *({"id": f"r-{n}"} for n in range(size)))
    part = part_of(seal(NOON + DAY))
    at_once = digests(tenants, part)
    for name, value in limits.items():
        monkeypatch.setattr(proofs, name, value)
    assert digests(tenants, part) == at_once
    assert [at_once[tenant].leaves for tenant in tenants] == [1200, 5, 290]
    assert {tenant: digests([tenant], part)[tenant] for tenant in tenants} == at_once


def test_texts_that_look_like_other_fields_do_not_pass_for_them(tenant_key: str) -> None:
    odd = {"id": "x\nstatus=ok\\", "project": "p\nmodel=free\\n", "source": "s\\", "model": "modèle"}
    put(tenant_key, odd)
    part = part_of(seal(NOON + DAY))
    found = request_proof(tenant_key, part, odd["id"], odd["source"])
    assert found is not None
    escaped = odd | {"project": "p\\nmodel=free\\\\n", "source": "s\\\\"}
    assert found.text == text(tenant_key, **escaped)
    assert top_from(found) == digests([tenant_key], part)[tenant_key].top


def test_what_is_not_billed_as_of_the_seal_has_no_proof(tenant_key: str) -> None:
    put(tenant_key, {"id": "a"}, {"id": "outside", "time": END}, {"id": "watched", "observed": True})
    first = seal(NOON + DAY)
    put(tenant_key, {"id": "late", "ingested_at": NOON + 2 * DAY})
    second = seal(NOON + 3 * DAY)
    part = part_of(first)
    for key in ("late", "outside", "watched", "never"):
        assert request_proof(tenant_key, part, key) is None, key
    assert request_proof(tenant_key, part, "a", "another source") is None
    assert request_proof("another-tenant", part, "a") is None
    late = request_proof(tenant_key, part_of(second, after=first), "late")
    assert late is not None
    assert (late.digest.leaves, late.siblings, late.path) == (1, (), ())


def test_an_id_that_was_used_again_after_a_day_is_two_requests(tenant_key: str) -> None:
    again = NOON + 3 * DAY
    put(tenant_key, {"id": "a"}, {"id": "a", "time": again, "ingested_at": again})
    part = part_of(seal(NOON + 5 * DAY))
    with pytest.raises(SeveralRequests) as several:
        request_proof(tenant_key, part, "a")
    assert several.value.times == (NOON, again)
    second = request_proof(tenant_key, part, "a", at=again)
    assert second is not None
    assert second.text == text(tenant_key, id="a", time=again)
    assert request_proof(tenant_key, part, "a", at=again + SECOND) is None


def test_the_digest_changes_with_any_count_and_stays_for_what_arrives_later(tenant_key: str) -> None:
    put(tenant_key, {"id": "a"}, {"id": "b"})
    other = f"t-{uuid4().hex[:12]}"
    part = part_of(seal(NOON + DAY))
    before = digests([tenant_key, other], part)
    put(tenant_key, {"id": "c", "ingested_at": NOON + 2 * DAY})
    seal(NOON + 3 * DAY)
    assert digests([tenant_key, other], part) == before
    assert other not in before
    sql = "ALTER TABLE requests UPDATE input_tokens = 99 WHERE tenant = %(t)s AND id = 'b'"
    client.statement("test", sql, {"t": tenant_key}, settings={"mutations_sync": 1})
    changed = digests([tenant_key], part)[tenant_key]
    assert changed.leaves == before[tenant_key].leaves
    assert changed.top != before[tenant_key].top
    assert replace(changed, top=before[tenant_key].top) == before[tenant_key]
