"""`GET /api/v1/contracts`, `/api/v1/contracts/{number}`, `/api/v1/customers`: what is agreed, and with whom.

Reading only: contracts and customers are changed in the back office and by commands, since no key has a scope that changes what is billed.
"""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from billing import contract_terms, customers
from billing.api import agreement_shapes as shapes
from billing.api import parameters
from billing.api.access import tenant_asked
from billing.api.views import CURSOR, LIMIT, TENANT, FinanceView
from billing.contract_terms import ContractInfo
from billing.periods import local_day
from billing.timelines import Timeline, timelines
from metering.contracts import Scope
from metering.public_api import credential_of


class ContractsView(FinanceView):
    """Contracts in the order of their numbers, each with the terms of today."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="contracts", parameters=[TENANT, LIMIT, CURSOR], responses=shapes.ContractsShape)
    def get(self, request: Request) -> Response:
        tenant, size, after = _asked(request, everything=self.everything(request))
        found = contract_terms.contracts_after(after, tenant, _one_more(size))
        page, more = (found, False) if size is None else (found[:size], len(found) > size)
        now = timezone.now()
        known = timelines({info.tenant for info in page})
        rows = [_contract(info, known[info.tenant], now) for info in page]
        return self.answer(
            request, shapes.CONTRACT_COLUMNS, rows, parameters.encoded(page[-1].number) if more else None
        )


class ContractView(FinanceView):
    """One contract with all its revisions. In CSV the contract alone."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="contract", responses=shapes.ContractDetailShape)
    def get(self, request: Request, number: str) -> Response:
        parameters.refuse_unknown(request.query_params, ("format",))
        info = contract_terms.contract(number) if "\x00" not in number else None
        tenant = credential_of(request).tenant
        if info is None or tenant not in {None, info.tenant}:  # another tenant's is not told apart from none
            raise exceptions.NotFound(f"there is no contract {number!r}")
        row = _contract(info, timelines([info.tenant])[info.tenant], timezone.now())
        if self.everything(request):
            return self.answer(request, shapes.CONTRACT_COLUMNS, [row], None)
        return Response({**row, "revisions": [shapes.revision_row(each) for each in info.revisions]})


class CustomersView(FinanceView):
    """Who is billed, in the order of tenants."""

    required_scope = Scope.FINANCE_READ

    @extend_schema(operation_id="customers", parameters=[TENANT, LIMIT, CURSOR], responses=shapes.CustomersShape)
    def get(self, request: Request) -> Response:
        tenant, size, after = _asked(request, everything=self.everything(request))
        found = customers.customers_after(after, tenant, _one_more(size))
        page, more = (found, False) if size is None else (found[:size], len(found) > size)
        rows = [shapes.customer_row(info) for info in page]
        if self.everything(request):
            rows = [row | {"emails": " ".join(row["emails"])} for row in rows]
        return self.answer(
            request, shapes.CUSTOMER_COLUMNS, rows, parameters.encoded(page[-1].tenant) if more else None
        )


def _asked(request: Request, *, everything: bool) -> tuple[str | None, int | None, str]:
    """Whose, how many, and after which."""
    query = request.query_params
    parameters.refuse_unknown(query, ("tenant", "limit", "cursor", "format"))
    tenant = tenant_asked(credential_of(request), parameters.single(query, "tenant"))
    return tenant, parameters.limit(query, everything=everything), parameters.cursor_text(query) or ""


def _one_more(size: int | None) -> int | None:
    return None if size is None else size + 1


def _contract(info: ContractInfo, timeline: Timeline, now: datetime) -> dict[str, Any]:
    holds = info.schedule.holds(now)
    return shapes.contract_row(info, local_day(now, info.zone), timeline.period_at(now) if holds else None)
