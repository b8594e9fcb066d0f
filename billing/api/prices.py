"""`GET /api/v1/prices`: a tenant's own prices, or for an operator's key any book; never another's contract book."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing import pricebook, rating
from billing.api import parameters
from billing.api.access import tenant_asked
from billing.api.shapes import Money
from billing.api.views import CURSOR, LIMIT, TENANT, FinanceView
from billing.price_explanation import NotExplained, PriceExplained, Question, explain_price, explain_request
from billing.pricebook import PriceInfo
from billing.tenant_prices import prices_of
from metering.contracts import Credential, Scope
from metering.public import instant
from metering.public_api import InvalidParameter, credential_of

COLUMNS = (
    "book",
    "version",
    "model",
    "kind",
    "tier",
    "operation",
    "region",
    "context_over",
    "currency",
    "charge_model",
    "amount",
    "per",
    "tiers",
    "rate",
    "fixed",
    "effective_from",
    "effective_to",
)
EVENT = ("model", "kind", "tier", "operation", "region", "input_tokens", "at")


class TierShape(serializers.Serializer[Any]):
    up_to = serializers.IntegerField(allow_null=True, help_text="inclusive; null: no end")
    amount = Money()
    flat = Money(help_text="once, if this tier is reached")


class PriceShape(serializers.Serializer[Any]):
    """Matchers that are empty, 0 or `*` take any. The most specific price wins; a contract's book comes before the list."""

    book = serializers.CharField()
    version = serializers.IntegerField(help_text="of the book: the one that added this price")
    model = serializers.CharField(help_text="*: any")
    kind = serializers.CharField(help_text="of token; or `request`, or `meter:` and the meter's slug")
    tier = serializers.CharField(allow_blank=True)
    operation = serializers.CharField(allow_blank=True)
    region = serializers.CharField(allow_blank=True)
    context_over = serializers.IntegerField(help_text="for requests with more input tokens than this; 0: any")
    currency = serializers.CharField()
    charge_model = serializers.ChoiceField([model.value for model in rating.ChargeModel])
    amount = Money(allow_null=True, help_text="for `per` units")
    per = serializers.IntegerField()
    tiers = TierShape(many=True, allow_null=True)
    rate = Money(allow_null=True, help_text="of a percentage: a fraction")
    fixed = Money(allow_null=True, help_text="of a percentage: for each event")
    effective_from = serializers.DateTimeField(allow_null=True, help_text="null: from the beginning of time")
    effective_to = serializers.DateTimeField(
        allow_null=True, help_text="exclusive; null: until another takes its place"
    )


class PricesShape(serializers.Serializer[Any]):
    data = PriceShape(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True, help_text="pass it as cursor for the next page")


class PricesView(FinanceView):
    """Prices in force and to come, in the order in which books are written."""

    required_scope = Scope.USAGE_READ

    @extend_schema(
        operation_id="prices",
        parameters=[
            TENANT,
            OpenApiParameter(
                "book", str, description="for an operator's key: all prices of this book; default: the list"
            ),
            LIMIT,
            CURSOR,
        ],
        responses=PricesShape,
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        parameters.refuse_unknown(query, ("tenant", "book", "limit", "cursor", "format"))
        everything = self.everything(request)
        rows = [price_row(one) for one in _prices(credential_of(request), query)]
        size = parameters.limit(query, everything=everything)
        start = _offset(parameters.cursor_text(query))
        page = rows[start:] if size is None else rows[start : start + size]
        following = parameters.encoded(str(start + len(page))) if start + len(page) < len(rows) else None
        return self.answer(request, COLUMNS, [_csv(row) for row in page] if everything else page, following)


def price_row(one: PriceInfo) -> dict[str, Any]:
    row = one.row
    return {
        "book": one.book,
        "version": one.version,
        "model": row.model,
        "kind": row.kind,
        "tier": row.tier,
        "operation": row.operation,
        "region": row.region,
        "context_over": row.context_over,
        "currency": row.currency,
        "charge_model": str(row.charge_model),
        "amount": _money(row.amount),
        "per": row.per,
        "tiers": None if row.tiers is None else [_tier(tier) for tier in row.tiers],
        "rate": _money(row.rate),
        "fixed": _money(row.fixed),
        "effective_from": None if one.starts == rating.BEGINNING else instant(one.starts),
        "effective_to": None if one.ends is None else instant(one.ends),
    }


def _csv(row: dict[str, Any]) -> dict[str, Any]:
    """A cell holds the tiers as JSON."""
    return row if row["tiers"] is None else row | {"tiers": json.dumps(row["tiers"], separators=(",", ":"))}


def _prices(credential: Credential, query: QueryDict) -> list[PriceInfo]:
    tenant = tenant_asked(credential, parameters.single(query, "tenant"))
    book = parameters.single(query, "book")
    if tenant is None:
        return _of_book(book or pricebook.LIST)
    if book is not None:
        if credential.tenant is not None:
            raise exceptions.PermissionDenied("this key reads one tenant's prices, and no book by its name")
        raise InvalidParameter("book", "name a tenant or a book, not both")
    return prices_of(tenant)


def _of_book(book: str) -> list[PriceInfo]:
    if book != pricebook.LIST and all(one.name != book for one in pricebook.all_books()):
        raise exceptions.NotFound(f"there is no price book {book!r}")
    return pricebook.in_force(book)


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise InvalidParameter("cursor", "not one that this endpoint gave")
    return int(cursor)


def _tier(tier: Mapping[str, Any]) -> dict[str, Any]:
    return {"up_to": tier["up_to"], "amount": tier["amount"], "flat": tier["flat"]}


def _money(amount: Decimal | int | str | None) -> str | None:
    return None if amount is None else rating.plain(Decimal(amount))


class CandidateShape(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField([outcome.value for outcome in rating.Outcome])
    reason = serializers.CharField()
    price = PriceShape()


class ExplanationShape(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    kind = serializers.CharField()
    currency = serializers.CharField()
    contract = serializers.CharField(allow_blank=True)
    book = serializers.CharField(allow_blank=True, help_text="of the contract")
    at = serializers.DateTimeField()
    quantity = serializers.IntegerField(allow_null=True, help_text="of the request's tokens of this kind")
    cost = Money(
        allow_null=True,
        help_text="of the quantity, unrounded; null where tiers or packages decide, over the whole period",
    )
    price = PriceShape(allow_null=True, help_text="the winner; null: no price applies")
    candidates = CandidateShape(many=True, help_text="the most specific first")


class ExplanationsShape(serializers.Serializer[Any]):
    data = ExplanationShape(many=True)  # type: ignore[assignment]
    billed = serializers.BooleanField(help_text="false: the request failed, and is metered and not charged")


class PriceExplainView(FinanceView):
    """Which price applies to an event or a metered request, and why the others do not."""

    required_scope = Scope.USAGE_READ

    def get_renderers(self) -> list[BaseRenderer]:
        """Reasons are no table: JSON alone."""
        return [JSONRenderer()]

    @extend_schema(
        operation_id="price_explain",
        parameters=[
            OpenApiParameter("tenant", str, description="for an operator's key, which must name one"),
            OpenApiParameter(
                "request_id", str, description="of a metered request; else `model` and what else is known"
            ),
            OpenApiParameter("source", str, description="of the request, if it has one"),
            OpenApiParameter("model", str),
            OpenApiParameter("kind", str, description="default: input"),
            OpenApiParameter("tier", str),
            OpenApiParameter("operation", str),
            OpenApiParameter("region", str),
            OpenApiParameter("input_tokens", int),
            OpenApiParameter("at", str, description="RFC 3339 with an offset; default: now"),
        ],
        responses=ExplanationsShape,
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        parameters.refuse_unknown(query, ("tenant", "request_id", "source", *EVENT, "format"))
        tenant = tenant_asked(credential_of(request), parameters.single(query, "tenant"))
        if tenant is None:
            raise InvalidParameter("tenant", "an operator's key names the tenant whose prices are meant")
        identity = parameters.single(query, "request_id")
        if identity is None:
            return Response({"data": [_explained(_event(tenant, query))], "billed": True})
        for name in EVENT:
            if name in query:
                raise InvalidParameter(name, "the request has its own")
        found = explain_request(tenant, identity, parameters.single(query, "source"))
        if found is None:  # another tenant's is not told apart from one that does not exist
            raise exceptions.NotFound(f"there is no request {identity!r}")
        return Response({"data": [_explained(one) for one in found.kinds], "billed": found.billed})


def _event(tenant: str, query: QueryDict) -> PriceExplained:
    question = Question(
        model=parameters.single(query, "model") or "",
        kind=parameters.single(query, "kind") or "input",
        tier=parameters.single(query, "tier") or "",
        operation=parameters.single(query, "operation") or "",
        region=parameters.single(query, "region") or "",
        input_tokens=_whole(query, "input_tokens"),
        at=parameters.moment_of(query, "at"),
    )
    try:
        return explain_price(tenant, question)
    except NotExplained as error:
        raise InvalidParameter("kind" if question.model else "model", str(error)) from error


def _whole(query: QueryDict, name: str) -> int:
    text = parameters.single(query, name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidParameter(name, f"{text!r} is not a whole number")
    return int(text)


def _explained(one: PriceExplained) -> dict[str, Any]:
    return {
        "tenant": one.tenant,
        "kind": one.question.kind,
        "currency": one.currency,
        "contract": one.contract,
        "book": one.book,
        "at": instant(one.at),
        "quantity": one.quantity,
        "cost": _money(one.cost),
        "price": price_row(one.winner.price) if one.winner else None,
        "candidates": [
            {"outcome": each.outcome, "reason": each.reason, "price": price_row(each.price)} for each in one.candidates
        ],
    }
