"""Quarantine as it is read: filters, states, pages, counts, bytes, and both sides of a conflict."""

import base64
import json
import uuid
from datetime import timedelta

import pytest

from metering.clickhouse import client
from metering.clickhouse.queries.quarantine import Counts, Entries, Key, Keys, Subset
from metering.quarantine.conflicts import conflict
from metering.quarantine.counting import counts
from metering.quarantine.decisions import discard, discard_all
from metering.quarantine.entries import EntryPage, entries, entry, fetch
from metering.quarantine.filters import EntryFilter, UnknownFilter, cursor, position
from metering.quarantine.rendering import indented, rendered
from metering.quarantine.scanning import scan
from tests.metering.quarantined import NOON, found, ids, put
from tests.metering.rows import insert_requests

BATCH = "5b7e2f0e-1a0c-4a53-9d3c-6f2f2a9b8f00"
pytestmark = [pytest.mark.usefixtures("ledger"), pytest.mark.django_db]


def all_pages(asked: EntryFilter, limit: int) -> list[Key]:
    keys: list[Key] = []
    after = None
    for _ in range(100):
        page: EntryPage = entries(asked, limit=limit, after=after)
        keys += [one.key for one in page.entries]
        if page.next is None:
            return keys
        after = position(cursor(page.next))
    raise AssertionError("the pages do not end")


def test_the_newest_arrival_comes_first(tenant_key: str) -> None:
    put(tenant_key, {}, {}, {})
    assert ids(tenant_key) == ["e2", "e1", "e0"]


def test_pages_hold_every_entry_once_even_where_arrivals_are_equal(tenant_key: str) -> None:
    names = put(tenant_key, *({"ingested_at": NOON + timedelta(seconds=n // 40)} for n in range(200)))
    keys = all_pages(EntryFilter(tenant=tenant_key), limit=7)
    assert len(keys) == 200
    assert {(key.batch, key.row, key.reason) for key in keys} == set(names)
    arrivals = [key.at_us for key in keys]
    assert arrivals == sorted(arrivals, reverse=True)


def test_decided_entries_are_paged_too(tenant_key: str) -> None:
    names = put(tenant_key, *({"ingested_at": NOON + timedelta(seconds=n // 5)} for n in range(30)))
    for name in names[::2]:
        discard(found(name), "ann")
    discarded = all_pages(EntryFilter(tenant=tenant_key, state="discarded"), limit=4)
    assert {(key.batch, key.row, key.reason) for key in discarded} == set(names[::2])
    opened = all_pages(EntryFilter(tenant=tenant_key), limit=4)
    assert {(key.batch, key.row, key.reason) for key in opened} == set(names[1::2])
    assert len(all_pages(EntryFilter(tenant=tenant_key, state="all"), limit=4)) == 30


def test_an_open_entry_is_found_behind_many_decided_ones(tenant_key: str) -> None:
    names = put(tenant_key, *({} for _ in range(1200)))
    newest = scan(EntryFilter(tenant=tenant_key), 1199)
    discard_all(fetch(newest.keys, with_raw=False), "ann")
    page = entries(EntryFilter(tenant=tenant_key), limit=10)
    assert [(one.batch, one.row, one.reason) for one in page.entries] == [names[0]]
    assert page.next is None


def test_an_entry_that_was_written_twice_is_one(tenant_key: str) -> None:
    twice = {"batch": str(uuid.uuid4()), "row": 3, "reason": "conflict", "decoder": "seal", "ingested_at": NOON}
    name, _ = put(tenant_key, twice, twice)
    assert len(entries(EntryFilter(tenant=tenant_key)).entries) == 1
    assert counts(EntryFilter(tenant=tenant_key)).total == 1
    discard(found(name), "ann")
    assert entries(EntryFilter(tenant=tenant_key)).entries == []
    assert counts(EntryFilter(tenant=tenant_key)).total == 0


def test_one_row_of_a_batch_may_be_a_reject_and_a_conflict(tenant_key: str) -> None:
    same = {"batch": str(uuid.uuid4()), "row": 0, "ingested_at": NOON}
    reject, lost = put(tenant_key, same, same | {"reason": "conflict", "decoder": "seal"})
    assert len(entries(EntryFilter(tenant=tenant_key)).entries) == 2
    discard(found(reject), "ann")
    assert [one.reason for one in entries(EntryFilter(tenant=tenant_key)).entries] == ["conflict"]
    assert found(lost).state == "open"


def test_filters_narrow_the_list(tenant_key: str) -> None:
    put(
        tenant_key,
        {"reason": "too_old"},
        {"decoder": "cloudevents"},
        {"api_key": "0123456789ab"},
        {"message": "status is 'Done', expected one of ok"},
        {"ingested_at": NOON + timedelta(days=1)},
    )
    assert ids(tenant_key, reason="too_old") == ["e0"]
    assert ids(tenant_key, decoder="cloudevents") == ["e1"]
    assert ids(tenant_key, api_key="0123456789ab") == ["e2"]
    assert ids(tenant_key, text="'done'") == ["e3"]
    assert ids(tenant_key, text='"id": "e3"') == ["e3"]
    assert ids(tenant_key, start=NOON + timedelta(hours=1)) == ["e4"]
    assert ids(tenant_key, end=NOON + timedelta(seconds=1)) == ["e0"]
    assert ids("nobody-at-all") == []


def test_a_search_holds_for_decided_entries_too(tenant_key: str) -> None:
    names = put(tenant_key, {"message": "first"}, {"message": "second"})
    for name in names:
        discard(found(name), "ann")
    assert ids(tenant_key, state="discarded", text="second") == ["e1"]
    assert counts(EntryFilter(tenant=tenant_key, state="discarded", text="second")).total == 1
    assert counts(EntryFilter(tenant=tenant_key, text="second")).total == 0


@pytest.mark.parametrize(
    "asked", [{"state": "closed"}, {"text": "a\x00b"}, {"tenant": "\ud800"}, {"reason": "x" * 257}]
)
def test_a_filter_that_cannot_be_meant_is_refused_by_name(asked: dict[str, str]) -> None:
    with pytest.raises(UnknownFilter, match=next(iter(asked))):
        EntryFilter(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "x", "!!!", "W10", "bnVsbA", base64.urlsafe_b64encode(b'[1,"x",2,"y"]').decode(), "\u20ac"]
)
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(UnknownFilter, match="cursor"):
        position(text)


def test_counts_are_of_what_is_open(tenant_key: str) -> None:
    names = put(tenant_key, {}, {}, {}, {"reason": "too_old", "decoder": "cloudevents"})
    before = counts(EntryFilter(tenant=tenant_key))
    assert (before.total, before.by_reason) == (4, {"missing_field": 3, "too_old": 1})
    assert before.by_decoder == {"ndjson": 3, "cloudevents": 1}
    assert before.by_tenant == {tenant_key: 4}
    discard(found(names[0]), "ann")
    discard(found(names[3]), "ann")
    after = counts(EntryFilter(tenant=tenant_key))
    assert (after.total, after.by_reason) == (2, {"missing_field": 2})
    assert counts(EntryFilter(tenant=tenant_key, state="discarded")).by_reason == {"missing_field": 1, "too_old": 1}
    assert counts(EntryFilter(tenant=tenant_key, state="all")).total == 4
    assert counts(EntryFilter(tenant=tenant_key, text="e2")).total == 1


def test_only_known_columns_are_counted_by() -> None:
    with pytest.raises(ValueError, match="unknown column"):
        Counts("raw", Subset()).sql()


def test_any_bytes_come_back_unchanged(tenant_key: str) -> None:
    raw = bytes(range(256)) * 3
    (name,) = put(tenant_key, {"raw": raw})
    one = found(name)
    assert one.raw == raw
    assert one.size_bytes == 768
    assert rendered(raw).kind == "hex"
    assert rendered(raw).text.splitlines()[1].startswith("00000010  10 11 12 13")


def test_an_entry_that_there_is_not_is_none(tenant_key: str) -> None:
    ((batch, row, reason),) = put(tenant_key, {})
    assert entry(batch, row + 1, reason) is None
    assert entry(str(uuid.uuid4()), row, reason) is None
    assert entry(batch, row, "conflict") is None
    assert entry(batch, 2**70, reason) is None


def test_only_a_cut_document_counts_as_truncated(tenant_key: str) -> None:
    whole = json.dumps({"id": "x" * 70_000}).encode()
    exact = json.dumps({"id": "x" * (65536 - 10)}).encode()
    assert len(exact) == 65536
    short, cut, fits, ours = put(
        tenant_key, {}, {"raw": whole[:65536]}, {"raw": exact}, {"raw": whole, "decoder": "sink"}
    )
    assert [found(name).truncated for name in (short, cut, fits, ours)] == [False, True, False, False]


def test_json_is_indented_without_touching_a_token() -> None:
    text = '{"a":1.10,"a":18446744073709551617,"s":"x, {y}: [\\"z\\"]","e":{},"l":[1,[]],"n":null}'
    shown = indented(text)
    assert shown.splitlines()[:3] == ["{", '  "a": 1.10,', '  "a": 18446744073709551617,']
    assert '"x, {y}: [\\"z\\"]"' in shown
    assert '"e": {},' in shown
    assert json.loads(shown) == json.loads(text)


def test_text_that_hides_its_own_characters_is_dumped() -> None:
    assert rendered(b"not json").kind == "text"
    assert rendered(b"a\x00b").kind == "hex"
    assert rendered("a\u202eb".encode()).kind == "hex"
    assert not rendered(b"\xff\xfe").editable


def lost(tenant: str, first: str, other: str) -> tuple[str, int, str]:
    """A conflict in quarantine, as the seal words it."""
    shown = {"id": "e1", "source": "gw", "time": "2026-01-15 12:00:00.000", "tenant": tenant, "input_tokens": 70}
    (name,) = put(
        tenant,
        {
            "batch": other,
            "row": 5,
            "decoder": "seal",
            "reason": "conflict",
            "field": "id",
            "message": f"same identity as row 2 of batch {first}, other content; the first one is billed",
            "raw": json.dumps(shown).encode(),
        },
    )
    return name


def test_a_conflict_shows_the_event_that_is_billed_beside_the_other(tenant_key: str) -> None:
    first, other = str(uuid.uuid4()), str(uuid.uuid4())
    same = {"id": "e1", "source": "gw"}
    insert_requests(
        tenant_key,
        same | {"batch": first, "row": 2, "input_tokens": 50, "ttft_ms": 12.5},
        same | {"batch": other, "row": 5, "input_tokens": 70, "ttft_ms": None, "time": NOON + timedelta(hours=3)},
    )
    one = conflict(found(lost(tenant_key, first, other)))
    assert one is not None
    assert (one.first_batch, one.first_row) == (first, 2)
    by_name = {field.name: field for field in one.fields}
    assert (by_name["input_tokens"].first, by_name["input_tokens"].other) == ("50", "70")
    assert by_name["time"].other == "2026-01-15T15:00:00.000Z"
    assert {field.name for field in one.fields if field.differs} == {"input_tokens", "time", "ttft_ms"}
    assert not by_name["ttft_ms"].billable
    assert by_name["input_tokens"].billable
    assert "queue_ms" not in by_name


def test_a_conflict_whose_arrivals_are_gone_has_no_comparison(tenant_key: str) -> None:
    assert conflict(found(lost(tenant_key, str(uuid.uuid4()), str(uuid.uuid4())))) is None
    (name,) = put(tenant_key, {"reason": "conflict", "decoder": "seal", "raw": b"[]"})
    assert conflict(found(name)) is None


def test_another_tenants_event_of_the_same_identity_is_never_compared(tenant_key: str) -> None:
    first, other = str(uuid.uuid4()), str(uuid.uuid4())
    insert_requests(f"{tenant_key}-x", {"id": "e1", "source": "gw", "batch": first, "row": 2})
    insert_requests(tenant_key, {"id": "e1", "source": "gw", "batch": other, "row": 5})
    assert conflict(found(lost(tenant_key, first, other))) is None


def test_no_value_is_ever_part_of_a_query() -> None:
    word = "it's"
    subset = Subset(word, word, word, word, word, start_us=1, end_us=2, senders=(word,))
    for query in (Counts("reason", subset), Keys(subset, 5), Entries([Key(1, BATCH, 0, word)], subset)):
        sql, parameters = query.sql()
        assert word not in sql
        assert [word] in parameters.values()
        assert client.run(query).rows == []
