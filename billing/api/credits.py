"""`GET /api/v1/credits` and `/api/v1/credits/transactions`: what a tenant holds of prepaid and promotional credit, and what became of it.

Reading only. Credit is given and taken back in the back office and by commands: no key has a scope that writes money.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.http import QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import credit_reading
from billing.api import parameters
from billing.api.access import tenant_asked
from billing.api.shapes import Money
from billing.api.views import CURSOR, LIMIT, TENANT, FinanceView
from billing.contracts import (
    CREDIT_COLUMNS,
    CREDIT_ENTRY_COLUMNS,
    CreditBalance,
    CreditEntryInfo,
    CreditGrantInfo,
)
from metering.contracts import Scope
from metering.public import instant
from metering.public_api import InvalidParameter, credential_of

Row = TypeVar("Row")
LARGEST_ID = 2**63 - 1


class CreditBalanceShape(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    currency = serializers.CharField()
    available = Money(help_text="promotional + prepaid")
    promotional = Money(help_text="covers usage before tax")
    prepaid = Money(help_text="paid or carried over; pays totals after tax")
    pending = Money(help_text="of grants that cover no usage yet")
    expired = Money(help_text="of grants that have expired and wait for the invoice of their last period")


class CreditGrantShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    tenant = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(["promotional", "paid", "carried"])
    currency = serializers.CharField()
    amount = Money()
    left = Money()
    status = serializers.ChoiceField(["active", "pending", "expired", "used"])
    priority = serializers.IntegerField(help_text="the lowest burns first")
    models = serializers.ListField(child=serializers.CharField(), help_text="empty: any")
    effective_from = serializers.DateTimeField(allow_null=True, help_text="null: any usage that is not invoiced yet")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="exclusive; of usage")
    created_at = serializers.DateTimeField()


class CreditEntryShape(serializers.Serializer[Any]):
    transaction = serializers.IntegerField()
    at = serializers.DateTimeField()
    tenant = serializers.CharField()
    type = serializers.ChoiceField(["grant", "apply", "release", "expire", "refund", "revoke"])
    reference = serializers.CharField()
    grant = serializers.IntegerField()
    grant_name = serializers.CharField()
    kind = serializers.ChoiceField(["promotional", "paid", "carried"])
    amount = Money(help_text="below zero: used, or taken back")
    currency = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class CreditsShape(serializers.Serializer[Any]):
    data = CreditGrantShape(many=True)  # type: ignore[assignment]
    balances = CreditBalanceShape(many=True, help_text="of all grants, those of other pages too")
    as_of = serializers.DateTimeField(help_text="the moment of this answer")
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


class CreditEntriesShape(serializers.Serializer[Any]):
    data = CreditEntryShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


class CreditsView(FinanceView):
    """Grants, the newest first, and balances."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="credits", parameters=[TENANT, LIMIT, CURSOR], responses=CreditsShape)
    def get(self, request: Request) -> Response:
        tenant, size, before = _asked(request, everything=self.everything(request))
        now = timezone.now()
        rows = credit_reading.credit_grants(tenant, limit=_one_more(size), before=before, now=now)
        page, following = _page(rows, size, lambda row: row.id)
        if self.everything(request):
            return self.answer(request, CREDIT_COLUMNS, [_csv_grant(row) for row in page], following)
        balances = [_balance(row) for row in credit_reading.credit_balances(tenant, now)]
        return self.answer(
            request,
            CREDIT_COLUMNS,
            [_grant(row) for row in page],
            following,
            balances=balances,
            as_of=instant(now),
        )


class CreditTransactionsView(FinanceView):
    """What was done to grants, the newest first: one row for each grant that a transaction touched."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="credit_transactions", parameters=[TENANT, LIMIT, CURSOR], responses=CreditEntriesShape)
    def get(self, request: Request) -> Response:
        tenant, size, before = _asked(request, everything=self.everything(request))
        rows = credit_reading.credit_entries(tenant, limit=_one_more(size), before=before)
        page, following = _page(rows, size, lambda row: row.entry)
        return self.answer(request, CREDIT_ENTRY_COLUMNS, [_entry(row) for row in page], following)


def _asked(request: Request, *, everything: bool) -> tuple[str | None, int | None, int | None]:
    """Whose, how many, and after which."""
    query = request.query_params
    parameters.refuse_unknown(query, ("tenant", "limit", "cursor", "format"))
    tenant = tenant_asked(credential_of(request), parameters.single(query, "tenant"))
    return tenant, parameters.limit(query, everything=everything), _before(query)


def _before(query: QueryDict) -> int | None:
    text = parameters.cursor_text(query)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST_ID):
        raise InvalidParameter("cursor", "not one that this endpoint gave")
    return int(text)


def _one_more(size: int | None) -> int | None:
    return None if size is None else size + 1


def _page(rows: Sequence[Row], size: int | None, position: Callable[[Row], int]) -> tuple[Sequence[Row], str | None]:
    page = rows if size is None else rows[:size]
    return page, parameters.encoded(str(position(page[-1]))) if len(page) < len(rows) else None


def _balance(row: CreditBalance) -> dict[str, Any]:
    amounts = ("available", "promotional", "prepaid", "pending", "expired")
    return {
        "tenant": row.tenant,
        "currency": row.currency,
        **{name: format(getattr(row, name), "f") for name in amounts},
    }


def _grant(row: CreditGrantInfo) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in CREDIT_COLUMNS},
        "amount": format(row.amount, "f"),
        "left": format(row.left, "f"),
        "models": list(row.models),
        "effective_from": None if row.effective_from is None else instant(row.effective_from),
        "expires_at": None if row.expires_at is None else instant(row.expires_at),
        "created_at": instant(row.created_at),
    }


def _csv_grant(row: CreditGrantInfo) -> dict[str, Any]:
    return {**_grant(row), "models": " ".join(row.models)}


def _entry(row: CreditEntryInfo) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in CREDIT_ENTRY_COLUMNS},
        "at": instant(row.at),
        "amount": format(row.amount, "f"),
    }
