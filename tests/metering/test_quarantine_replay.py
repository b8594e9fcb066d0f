"""Replay and discard: bytes of quarantine become events after all, once, or they do not and it is said why."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from metering import keys, ledger, meters
from metering.accounts import create_tenant
from metering.clickhouse import client
from metering.ingest import local
from metering.ingest.drain import drain
from metering.ingest.spool import Accepted, Spool, SpoolFull
from metering.models import QuarantineDecision
from metering.quarantine.bulk import discard_matching, replay_matching
from metering.quarantine.decisions import AlreadyDecided, discard, replay
from metering.quarantine.entries import QuarantineEntry, entries
from metering.quarantine.filters import EntryFilter
from metering.quarantine.preparing import ReplayRefused
from metering.usage import current_usage
from tests.metering.ingest.edge import CLOUDEVENT, CLOUDEVENTS, Edge, cloudevent, event
from tests.metering.quarantined import NOON, arrival_of, found, only_entry, put, stored
from tests.metering.rows import settled

pytestmark = [pytest.mark.usefixtures("ledger", "spool"), pytest.mark.django_db]


@pytest.fixture
def edge(tenant_key: str, db: None) -> Edge:
    create_tenant(tenant_key)
    return Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"]))


@pytest.fixture
def operator(tenant_key: str, db: None) -> Edge:
    """An operator's key; its tenant does not exist yet."""
    return Edge(tenant_key, keys.issue_key(None, ["ingest"]))


def body(**fields: Any) -> bytes:
    return json.dumps(event(**fields)).encode()


def test_what_named_an_unknown_tenant_is_taken_once_there_is_one(operator: Edge) -> None:
    operator.post([event(tenant=operator.tenant, time="2026-01-15T12:00:00Z")])
    entry = only_entry(operator.tenant)
    assert entry.reason == "unknown_tenant"
    create_tenant(operator.tenant)
    batch = replay(entry, None, "ann")
    assert stored(operator.tenant, "id, toString(batch), time") == [
        ("e1", batch, datetime(2026, 1, 15, 12, tzinfo=UTC))
    ]
    decision = found((entry.batch, entry.row, entry.reason)).decision
    assert decision is not None
    assert (decision.action, decision.decided_by, decision.edited, decision.replay_batch) == (
        "replayed",
        "ann",
        False,
        batch,
    )


def test_an_event_without_a_time_keeps_the_time_of_its_first_arrival(tenant_key: str) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": body()})
    entry = found(name)
    replay(entry, None, "ann")
    ((time, given, arrived),) = stored(tenant_key, "time, time_given, ingested_at")
    assert time == arrival_of(entry) == NOON
    assert given
    assert arrived > NOON + timedelta(days=30)


def test_an_event_with_a_time_keeps_it(tenant_key: str) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": body(time="2025-12-31T23:00:00Z")})
    replay(found(name), None, "ann")
    assert stored(tenant_key, "time") == [(datetime(2025, 12, 31, 23, tzinfo=UTC),)]


def test_what_is_still_bad_is_refused_with_field_and_reason_and_nothing_is_recorded(edge: Edge) -> None:
    edge.post([event(input_tokens=-1)])
    entry = only_entry(edge.tenant)
    for edited in (None, body(input_tokens="7"), b"{", b"[]", b"", b"\xff\xfe", b"[" * 2000):
        with pytest.raises(ReplayRefused) as refused:
            replay(entry, edited, "ann")
        assert refused.value.reason in {"out_of_range", "wrong_type", "malformed"}
        assert refused.value.message
    with pytest.raises(ReplayRefused) as refused:
        replay(entry, None, "ann")
    assert (refused.value.field, refused.value.reason) == ("input_tokens", "out_of_range")
    assert stored(edge.tenant) == []
    assert not QuarantineDecision.objects.exists()


def test_edited_bytes_may_stand_on_several_lines(edge: Edge) -> None:
    edge.post([{"id": "e1", "input_tokens": 3, "output_tokens": 4}])
    entry = only_entry(edge.tenant)
    fixed = json.dumps(event(input_tokens=3, output_tokens=4), indent=2).replace("\n", "\r\n").encode()
    replay(entry, fixed, "ann")
    assert stored(edge.tenant, "id, input_tokens, output_tokens") == [("e1", 3, 4)]
    decision = found((entry.batch, entry.row, entry.reason)).decision
    assert decision is not None
    assert decision.edited


def test_a_cloudevent_of_a_batch_is_read_as_one(edge: Edge) -> None:
    bad = cloudevent("bad", data={"model": "m", "input_tokens": 100})
    edge.post([cloudevent("good"), bad], CLOUDEVENTS)
    entry = only_entry(edge.tenant)
    assert entry.decoder == "cloudevents"
    with pytest.raises(ReplayRefused) as refused:
        replay(entry, None, "ann")
    assert refused.value.field == "output_tokens"
    replay(entry, json.dumps(cloudevent("bad")).encode(), "ann")
    assert stored(edge.tenant, "id, source") == [("bad", "gw"), ("good", "gw")]


def test_a_body_that_could_not_be_read_may_become_several_events_or_none(edge: Edge) -> None:
    edge.post('[{"specversion": "1.0"', CLOUDEVENTS)
    entry = only_entry(edge.tenant)
    assert entry.reason == "malformed"
    half = json.dumps([cloudevent("a"), cloudevent("b", data={"model": "m"})]).encode()
    with pytest.raises(ReplayRefused) as refused:
        replay(entry, half, "ann")
    assert (refused.value.index, refused.value.field) == (1, "input_tokens")
    assert stored(edge.tenant) == []
    replay(entry, json.dumps([cloudevent("a"), cloudevent("b")]).encode(), "ann")
    assert stored(edge.tenant) == [("a",), ("b",)]


def test_what_no_meter_read_is_taken_once_one_does(edge: Edge) -> None:
    kind = f"gpu.{uuid.uuid4().hex[:12]}"
    sent = cloudevent("g1", type=kind, data={"hours": 2.5})
    edge.post(sent, CLOUDEVENT)
    entry = only_entry(edge.tenant)
    assert entry.reason == "unknown_type"
    meters.create(kind.replace(".", "_"), event_type=kind, aggregation="SUM", value_path="$.hours")
    replay(entry, None, "ann")
    drain(local.spool())
    sql = "SELECT id, type, time, data FROM meter_events WHERE tenant = %(tenant)s"
    ((identity, stored_type, time, data),) = client.statement("test", sql, {"tenant": edge.tenant})
    assert (identity, stored_type, json.loads(data)) == ("g1", kind, {"hours": 2.5})
    assert time == arrival_of(entry)


def test_what_an_observing_key_sent_is_observed_still(tenant_key: str) -> None:
    create_tenant(tenant_key)
    edge = Edge(tenant_key, keys.issue_key(tenant_key, ["ingest"], observing=True))
    edge.post([event(model=None)])
    replay(only_entry(tenant_key), body(), "ann")
    assert stored(tenant_key, "id, observed") == [("e1", True)]


def test_a_single_tenants_key_stays_in_its_tenant(edge: Edge) -> None:
    create_tenant(f"{edge.tenant}-x")
    edge.post([event(tenant=f"{edge.tenant}-x"), event("e2")])
    entry = only_entry(edge.tenant, text="may not write")
    assert entry.reason == "foreign_tenant"
    for edited in (None, body(tenant=f"{edge.tenant}-x")):
        with pytest.raises(ReplayRefused) as refused:
            replay(entry, edited, "ann")
        assert refused.value.reason == "foreign_tenant"
    replay(entry, body(), "ann")
    assert stored(edge.tenant) == [("e1",)]
    assert stored(f"{edge.tenant}-x") == []


def test_a_key_that_was_revoked_since_does_not_stand_in_the_way(edge: Edge) -> None:
    edge.post([event(model=None)])
    keys.revoke_key(edge.key)
    replay(only_entry(edge.tenant), body(), "ann")
    assert stored(edge.tenant) == [("e1",)]


def test_an_entry_without_key_and_tenant_cannot_be_replayed(db: None) -> None:
    word = uuid.uuid4().hex
    (name,) = put("", {"raw": body(), "message": word})
    with pytest.raises(ReplayRefused, match="neither"):
        replay(found(name), None, "ann")


def test_an_entry_that_nothing_here_decodes_can_only_be_discarded(tenant_key: str) -> None:
    (name,) = put(tenant_key, {"decoder": "carrier-pigeon"})
    with pytest.raises(ReplayRefused, match="discard it"):
        replay(found(name), None, "ann")
    discard(found(name), "ann", "no such thing")
    decision = found(name).decision
    assert decision is not None
    assert (decision.action, decision.note) == ("discarded", "no such thing")


def test_a_truncated_event_needs_whole_bytes(tenant_key: str) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": json.dumps(event(attributes={"a": "x" * 70_000})).encode()[:65536]})
    with pytest.raises(ReplayRefused) as refused:
        replay(found(name), None, "ann")
    assert refused.value.reason == "truncated"
    replay(found(name), body(), "ann")
    assert stored(tenant_key) == [("e1",)]


@pytest.fixture
def conflicting(edge: Edge) -> QuarantineEntry:
    """The event e1 with 100 tokens is billed; e1 with 999 lost."""
    now = datetime.now(UTC).isoformat()
    edge.post([event(time=now, attributes={"a": "b"})])
    edge.post([event(time=now, input_tokens=999)])
    drain(local.spool())
    settled(datetime.now(UTC) + timedelta(seconds=1))
    ledger.seal_usage(now=True)
    return only_entry(edge.tenant)


def test_a_conflict_is_replayed_only_under_another_id(edge: Edge, conflicting: QuarantineEntry) -> None:
    assert (conflicting.decoder, conflicting.reason) == ("seal", "conflict")
    raw = json.loads(conflicting.raw or b"")
    for edited in (None, json.dumps(raw | {"input_tokens": 1}).encode()):
        with pytest.raises(ReplayRefused, match="billed already") as refused:
            replay(conflicting, edited, "ann")
        assert (refused.value.reason, refused.value.field) == ("conflict", "id")
    replay(conflicting, json.dumps(raw | {"id": "e1-again"}).encode(), "ann")
    assert stored(edge.tenant, "id, input_tokens", "id, input_tokens") == [("e1", 100), ("e1", 999), ("e1-again", 999)]
    times = {time for (time,) in stored(edge.tenant, "time", "time")}
    assert len(times) == 1


def test_a_refusal_of_the_store_is_replayed_as_it_was_sent(tenant_key: str) -> None:
    create_tenant(tenant_key)
    whole = event(
        tenant=tenant_key,
        time="2026-01-15 11:00:00+00:00",
        time_given=True,
        observed=True,
        attributes=[["a", "b"]],
        gpus=["g"],
        ttft_ms=None,
    )
    (name,) = put(tenant_key, {"decoder": "sink", "reason": "refused_by_store", "raw": json.dumps(whole).encode()})
    replay(found(name), None, "ann")
    columns = "id, observed, time, attributes, gpus, ttft_ms"
    assert stored(tenant_key, columns) == [("e1", True, datetime(2026, 1, 15, 11, tzinfo=UTC), {"a": "b"}, ["g"], None)]


def test_a_second_replay_is_told_who_was_first(tenant_key: str) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": body()})
    stale = found(name)
    replay(stale, None, "ann")
    for entry in (stale, found(name)):  # a page that was open meanwhile, and one that is fresh
        with pytest.raises(AlreadyDecided, match="replayed by ann"):
            replay(entry, body(id="e2"), "bob")
        with pytest.raises(AlreadyDecided, match="replayed by ann"):
            discard(entry, "bob")
    assert stored(tenant_key) == [("e1",)]


def test_a_discarded_entry_stays_discarded(tenant_key: str) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": body()})
    discard(found(name), "ann", "test traffic")
    with pytest.raises(AlreadyDecided, match="discarded by ann"):
        replay(found(name), None, "bob")
    assert stored(tenant_key) == []


@contextmanager
def power_cut_after_the_spool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = Spool.accept_all

    def accept_and_fail(self: Spool, *given: Any, **named: Any) -> Accepted:
        real(self, *given, **named)
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "accept_all", accept_and_fail)
        yield


def test_a_crash_between_spool_and_record_leaves_it_open_and_a_second_replay_counts_once(
    tenant_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": body()})
    with power_cut_after_the_spool(monkeypatch), pytest.raises(RuntimeError, match="power cut"):
        replay(found(name), None, "ann")
    assert found(name).state == "open"
    replay(found(name), None, "ann")
    assert stored(tenant_key) == [("e1",), ("e1",)]
    (usage,) = current_usage(
        NOON - timedelta(days=1), NOON + timedelta(days=1), tenant=tenant_key, group_by=(), window="total"
    )
    assert (usage.requests, usage.input_tokens) == (1, 100)
    settled(datetime.now(UTC) + timedelta(seconds=1))
    ledger.seal_usage(now=True)
    assert entries(EntryFilter(tenant=tenant_key)).entries == []  # a duplicate, no conflict


def test_a_full_spool_leaves_everything_open(tenant_key: str, settings: Settings) -> None:
    create_tenant(tenant_key)
    first, second = put(tenant_key, {"raw": body(id="a")}, {"raw": body(id="b")})
    replay(found(first), None, "ann")
    settings.SPOOL_MAX_BYTES = 1
    with pytest.raises(SpoolFull):
        replay(found(second), None, "ann")
    assert found(second).state == "open"
    outcome = replay_matching(EntryFilter(tenant=tenant_key), "ann")
    assert (outcome.done, outcome.next) == (0, None)
    assert "spool" in outcome.stopped
    assert not QuarantineDecision.objects.filter(row=second[1], batch=second[0]).exists()


def test_all_that_match_are_replayed_and_what_is_still_bad_is_counted_by_reason(operator: Edge, spool: Path) -> None:
    tenant = operator.tenant
    good = [event(f"e{n}", tenant=tenant) for n in range(40)]
    bad = [event("b1", tenant=tenant), event("b2", tenant=tenant)]
    operator.post(good)
    drain(local.spool())
    put(tenant, *({"raw": json.dumps(one | {"model": None}).encode(), "reason": "unknown_tenant"} for one in bad))
    create_tenant(tenant)
    outcome = replay_matching(EntryFilter(tenant=tenant, reason="unknown_tenant"), "ann")
    assert (outcome.done, outcome.failures, outcome.lost, outcome.next) == (40, {"missing_field": 2}, 0, None)
    assert len(stored(tenant)) == 40
    again = replay_matching(EntryFilter(tenant=tenant), "ann")
    assert (again.done, again.failures) == (0, {"missing_field": 2})
    assert len(stored(tenant)) == 40


def test_a_bounded_step_goes_on_past_what_it_could_not_take(tenant_key: str) -> None:
    create_tenant(tenant_key)
    put(tenant_key, *({"raw": b"{}" if n < 3 else body(id=f"e{n}")} for n in range(7)))
    done, failures, after = 0, 0, None
    for _ in range(4):
        outcome = replay_matching(EntryFilter(tenant=tenant_key), "ann", after=after, limit=2)
        done, failures, after = done + outcome.done, failures + sum(outcome.failures.values()), outcome.next
        if after is None:
            break
    assert (done, failures, after) == (4, 3, None)


def test_of_two_events_with_one_id_the_earlier_is_billed(tenant_key: str) -> None:
    create_tenant(tenant_key)
    put(tenant_key, {"raw": body(input_tokens=1)}, {"raw": body(input_tokens=2)})
    replay_matching(EntryFilter(tenant=tenant_key), "ann")
    drain(local.spool())
    (usage,) = current_usage(
        NOON - timedelta(days=1), NOON + timedelta(days=1), tenant=tenant_key, group_by=(), window="total"
    )
    assert (usage.requests, usage.input_tokens) == (1, 1)


def test_all_that_match_are_discarded_and_no_other(tenant_key: str) -> None:
    names = put(tenant_key, {"reason": "too_old"}, {"reason": "too_old"}, {})
    outcome = discard_matching(EntryFilter(tenant=tenant_key, reason="too_old"), "ann", "old test data")
    assert (outcome.done, outcome.failures, outcome.next) == (2, {}, None)
    assert [found(name).state for name in names] == ["discarded", "discarded", "open"]


def test_a_tenant_name_that_postgresql_cannot_hold_is_no_obstacle(db: None) -> None:
    word = uuid.uuid4().hex
    (name,) = put(f"a\x00{word[:8]}", {"message": word})
    discard(found(name), "ann")
    assert found(name).state == "discarded"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first_fails", [False, True])
def test_of_two_operators_at_once_one_wins_and_the_event_is_there_once(
    tenant_key: str, first_fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is held up inside the spool while the second tries with another id of its own."""
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {"raw": body()})
    entry, inside, go_on = found(name), threading.Event(), threading.Event()
    real = Spool.accept_all

    def slow(self: Spool, *given: Any, **named: Any) -> Accepted:
        if threading.current_thread().name != "ann":
            return real(self, *given, **named)
        inside.set()
        assert go_on.wait(20)
        if first_fails:
            raise OSError("no space left on device")
        return real(self, *given, **named)

    monkeypatch.setattr(Spool, "accept_all", slow)
    outcomes: dict[str, object] = {}

    def operator(by: str, edited: bytes | None) -> None:
        try:
            outcomes[by] = replay(entry, edited, by)
        except (AlreadyDecided, OSError) as error:
            outcomes[by] = error
        finally:
            connection.close()

    ann = threading.Thread(target=operator, args=("ann", None), name="ann")
    bob = threading.Thread(target=operator, args=("bob", body(id="e1-bob")), name="bob")
    ann.start()
    assert inside.wait(20)
    bob.start()
    bob.join(0.5)
    assert bob.is_alive(), outcomes  # waits for the claim of the first
    go_on.set()
    for thread in (ann, bob):
        thread.join(20)
    if first_fails:
        assert isinstance(outcomes["ann"], OSError)
        assert stored(tenant_key) == [("e1-bob",)]
    else:
        assert isinstance(outcomes["bob"], AlreadyDecided)
        assert "replayed by ann" in str(outcomes["bob"])
        assert stored(tenant_key) == [("e1",)]
    assert QuarantineDecision.objects.filter(batch=name[0]).count() == 1
    QuarantineDecision.objects.all().delete()
