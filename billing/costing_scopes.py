"""What has to be read and rated together so that each piece of usage in a range of time has its cost.

A price per unit needs nothing but the usage itself. Tiers, packages and included usage are counted over a billing period: for tenants who
have such, whole periods are read, and what lies outside the range is rated and not shown.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from billing import contract_terms, pricebook, rating, usage
from billing.agreements import periods_ending
from billing.contract_terms import ContractInfo
from billing.contracts import Period
from billing.rating.terms import Agreement, without_contract
from metering.contracts import TenantInfo

NO_CURRENCY = "XXX"  # ISO 4217's code for none: usage of a tenant that is not (or no longer) in the list
LONGEST_PERIOD = timedelta(days=40)


@dataclass(frozen=True)
class Pricing:
    """How one tenant's usage of a scope is rated."""

    agreement: Agreement
    sheet: rating.PriceSheet


@dataclass(frozen=True)
class Scope:
    """`period` is rated as a whole, cut at `cuts`. `strangers`: how usage of tenants that nobody knows counts here, if it does."""

    period: Period
    dimensions: tuple[str, ...]
    cuts: tuple[datetime, ...]
    tenants: dict[str, Pricing] = field(default_factory=dict)
    strangers: Pricing | None = None
    known: frozenset[str] = frozenset()

    def pricing(self, tenant: str) -> Pricing | None:
        """None: this tenant's usage counts in another scope."""
        return self.tenants.get(tenant) or (self.strangers if tenant not in self.known else None)


def scopes(asked: Period, tenants: Sequence[TenantInfo], *, everybody: bool) -> list[Scope]:
    """All that is needed for these tenants. `everybody`: they are all there are, and what others used counts too, without a price."""
    contracts = contract_terms.contracts_of([tenant.key for tenant in tenants])
    versions = pricebook.current_versions()
    lists = pricebook.sheets({(tenant.currency, "") for tenant in tenants}, versions)
    special = [one for one in tenants if _by_period(lists[one.currency, ""], contracts.get(one.key, ()))]
    apart = {one.key for one in special}
    plain = [one for one in tenants if one.key not in apart]
    found = _plain(asked, plain, lists)
    if everybody:
        found = _with_strangers(asked, found, frozenset(tenant.key for tenant in tenants))
    return [*found, *_whole_periods(asked, special, versions)]


def _with_strangers(asked: Period, found: list[Scope], known: frozenset[str]) -> list[Scope]:
    """They count in the first scope, or in one of their own."""
    sheet = rating.PriceSheet((), versions={}, currency=NO_CURRENCY)
    first = found[0] if found else Scope(asked, sheet.dimensions(), (asked.start, asked.end))
    nobody = Pricing(without_contract(asked.start, asked.end), sheet)
    return [replace(first, strangers=nobody, known=known), *found[1:]]


def _by_period(sheet: rating.PriceSheet, contracts: Iterable[ContractInfo]) -> bool:
    """Whether what a piece of usage costs depends on the rest of its period, or on the contract."""
    terms = (revision.terms for contract in contracts for revision in contract.revisions)
    return sheet.tiered or any(each.price_book or each.allowances for each in terms)


def _plain(
    asked: Period,
    tenants: Sequence[TenantInfo],
    sheets: dict[tuple[str, pricebook.Books], rating.PriceSheet],
) -> list[Scope]:
    found: dict[tuple[str, ...], Scope] = {}
    cuts = tuple(usage.edges(asked, sheets.values()))
    pricings = {key: Pricing(without_contract(asked.start, asked.end), sheet) for key, sheet in sheets.items()}
    for tenant in tenants:
        pricing = pricings[tenant.currency, ""]
        dimensions = pricing.sheet.dimensions()
        found.setdefault(dimensions, Scope(asked, dimensions, cuts)).tenants[tenant.key] = pricing
    return list(found.values())


def _whole_periods(asked: Period, tenants: Sequence[TenantInfo], versions: dict[str, int]) -> list[Scope]:
    if not tenants:
        return []
    around = periods_ending(tenants, asked.start, asked.end + LONGEST_PERIOD)
    due = [one for one in around if one.period.start < asked.end]
    books = {(one.agreed.currency, pricebook.books_of(one.agreed.agreement)) for one in due}
    sheets = pricebook.sheets(books, versions)
    found: dict[Hashable, Scope] = {}
    for one in due:
        agreement = one.agreed.agreement
        sheet = sheets[one.agreed.currency, pricebook.books_of(agreement)]
        bounds = (*usage.changes(agreement), asked.start, asked.end)
        cuts = tuple(usage.edges(one.period, [sheet], bounds))
        scope = found.setdefault((cuts, sheet.dimensions()), Scope(one.period, sheet.dimensions(), cuts))
        scope.tenants[one.tenant.key] = Pricing(agreement, sheet)
    return list(found.values())
