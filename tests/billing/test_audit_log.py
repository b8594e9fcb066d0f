"""The audit log: who changed what, when, from where, with the values before and after."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from billing import audit_log
from billing.models import AuditEntry, PriceBook, Unchangeable
from billing.rating.terms import AppliesTo, FlatFee

pytestmark = pytest.mark.django_db


@pytest.fixture
def book() -> PriceBook:
    return PriceBook.objects.create(name="acme", description="Acme's own")


def test_an_entry_says_who_did_what_to_which_object(book: PriceBook) -> None:
    entry = audit_log.record("ada", "add", book, None, audit_log.snapshot(book), address="2001:db8::1")
    assert entry is not None
    assert (entry.actor, entry.address, entry.action) == ("ada", "2001:db8::1", "add")
    assert (entry.object_type, entry.object_id, entry.object_name) == ("pricebook", str(book.pk), "acme")
    assert (entry.before, entry.after) == (None, {"id": book.pk, "name": "acme", "description": "Acme's own"})
    assert abs((datetime.now(UTC) - entry.at).total_seconds()) < 60


def test_of_a_change_only_what_differs_is_kept(book: PriceBook) -> None:
    before = audit_log.snapshot(book)
    book.description = "Theirs"
    entry = audit_log.record("ada", "change", book, before, audit_log.snapshot(book))
    assert entry is not None
    assert (entry.before, entry.after) == ({"description": "Acme's own"}, {"description": "Theirs"})


def test_a_field_that_came_or_went_is_on_one_side_alone(book: PriceBook) -> None:
    entry = audit_log.record("ada", "change", book, {"a": 1, "same": 0}, {"b": None, "same": 0})
    assert entry is not None
    assert (entry.before, entry.after) == ({"a": 1}, {"b": None})


def test_what_changed_nothing_is_not_recorded(book: PriceBook) -> None:
    assert audit_log.record("ada", "change", book, audit_log.snapshot(book), audit_log.snapshot(book)) is None
    assert not AuditEntry.objects.exists()


def test_an_action_without_values_is_recorded(book: PriceBook) -> None:
    assert audit_log.record("schedule", "publish", book) is not None


@dataclass(frozen=True)
class Nested:
    fee: FlatFee
    on: date


def test_values_become_json_without_losing_a_digit(book: PriceBook) -> None:
    nested = Nested(FlatFee("base", "Base", Decimal("0.000000000001")), date(2026, 1, 2))
    after = {
        "money": Decimal("1200.00"),
        "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "enum": AppliesTo.ALL,
        "nested": nested,
        "many": (nested.fee, {"x": Decimal("1E+3")}),
        "none": None,
        "true": True,
        "count": 7,
    }
    entry = audit_log.record("ada", "add", book, None, after)
    assert entry is not None
    entry.refresh_from_db()
    fee = {"code": "base", "description": "Base", "amount": "0.000000000001"}
    assert entry.after == {
        "money": "1200",
        "at": "2026-01-02T03:04:00+00:00",
        "enum": "all",
        "nested": {"fee": fee, "on": "2026-01-02"},
        "many": [fee, {"x": "1000"}],
        "none": None,
        "true": True,
        "count": 7,
    }


def test_an_entry_is_never_changed(book: PriceBook) -> None:
    entry = audit_log.record("ada", "add", book)
    assert entry is not None
    with pytest.raises(Unchangeable):
        entry.save()
    with pytest.raises(Unchangeable):
        entry.delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.update(actor="nobody")
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.all()._raw_delete(using="default")


def test_what_is_undone_leaves_no_entry(book: PriceBook) -> None:
    with transaction.atomic():
        audit_log.record("ada", "add", book)
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


def test_long_names_are_cut_to_what_the_columns_hold(book: PriceBook) -> None:
    book.name = "x" * 400
    entry = audit_log.record("a" * 200, "add", book)
    assert entry is not None
    assert (len(entry.actor), len(entry.object_name)) == (150, 300)
