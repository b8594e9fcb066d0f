"""Which price applies to an event, and why: for staff of any customer, for a customer of its own prices."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.public import METER, NotExplained, Question, explain_price, explain_request, tenant_price_list
from dashboard import trouble
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, only
from dashboard.finance import price_explain_shown as shown
from dashboard.finance import prices_shown

MOST_TOKENS = 10**15


@dataclass(frozen=True)
class Asked:
    """The form as it was filled in, text as it is."""

    tenant: str
    request_id: str
    source: str
    model: str
    kind: str
    tier: str
    operation: str
    region: str
    input_tokens: str
    at: str

    @classmethod
    def read(cls, request: HttpRequest, tenant: str | None) -> "Asked":
        """A customer's tenant is the session's, whatever the address says."""
        texts = {name: request.GET.get(name, "").strip().replace("\x00", "") for name in cls.__dataclass_fields__}
        return cls(**texts | ({"tenant": tenant} if tenant is not None else {}))

    @property
    def wanted(self) -> bool:
        return bool(self.tenant and (self.request_id or self.model))


@require_GET
@only(OPERATOR, FINANCE)
def explain(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _page(request, Asked.read(request, None), {"section": "prices", "part": "explain", "with_customer": True})


@require_GET
@only(CUSTOMER)
def own(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _page(request, Asked.read(request, who.tenant or ""), {"section": "prices", "part": "explain"})


@require_GET
@only(CUSTOMER)
def own_prices(request: HttpRequest, who: Visitor) -> HttpResponse:
    """The customer's prices, in force and to come: those of its contract first."""
    try:
        found = tenant_price_list(who.tenant or "")
    except LookupError as error:
        return trouble.not_understood(request, error)
    page = {
        "section": "prices",
        "part": "books",
        "prices": prices_shown.lines(found, timezone.now()),
        "currency": next((one.row.currency for one in found), ""),
        "of_contract": {one.book for one in found} - {"list"},
    }
    return render(request, "portal/prices.html", page)


def _page(request: HttpRequest, asked: Asked, page: dict[str, Any]) -> HttpResponse:
    status = 200
    page |= {"asked": asked, "kinds": shown.KINDS} | _choices(asked.tenant)
    if asked.wanted:
        try:
            page |= _answer(asked)
        except (NotExplained, LookupError, ValueError) as error:
            page["refused"], status = str(error), 400
        except trouble.UNREADABLE as error:
            return trouble.unreadable(request, "finance/price_explain.html", page, error)
    return render(request, "finance/price_explain.html", page, status=status)


def _answer(asked: Asked) -> dict[str, Any]:
    if asked.request_id:
        found = explain_request(asked.tenant, asked.request_id, asked.source or None)
        if found is None:
            raise NotExplained(f"there is no request {asked.request_id!r} of this customer")
        return {
            "request_shown": shown.request_facts(found),
            "billed": found.billed,
            "answers": shown.answers(found.kinds),
        }
    return {"billed": True, "answers": shown.answers([explain_price(asked.tenant, _question(asked))])}


def _question(asked: Asked) -> Question:
    return Question(
        asked.model,
        asked.kind or "input",
        asked.tier,
        asked.operation,
        asked.region,
        _tokens(asked.input_tokens),
        _moment(asked.at),
    )


def _tokens(text: str) -> int:
    digits = text.replace(",", "")
    if not digits:
        return 0
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise ValueError(f"input tokens: {text!r} is not a whole number below {MOST_TOKENS:,}")
    return int(digits)


def _moment(text: str) -> datetime | None:
    """What the field holds is in UTC."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time: {text!r} is not a time such as 2026-10-01T06:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _choices(tenant: str) -> dict[str, list[str]]:
    """What the customer's prices name, to choose from; other words may be typed."""
    try:
        rows = [one.row for one in tenant_price_list(tenant)] if tenant else []
    except LookupError:
        rows = []
    return {
        "models": sorted({row.model for row in rows} - {"*"}),
        "tiers": sorted({row.tier for row in rows} - {""}),
        "operations": sorted({row.operation for row in rows} - {""}),
        "regions": sorted({row.region for row in rows} - {""}),
        "meters": sorted({row.kind for row in rows if row.kind.startswith(METER)}),
    }
