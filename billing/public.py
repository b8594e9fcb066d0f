"""The only way into this package for the dashboard and for programs that seed data. What is not named here is not theirs to use."""

from billing.closing import Closed, PeriodOpen, close_period
from billing.costing import cost_to_date, costed_usage
from billing.invoices import invoice, invoices, payable
from billing.margin import margin_report, margin_settled_hour
from billing.periods import month, month_of
from billing.pricebook import PriceRefused, PriceSet, set_price
from billing.rating import plain

__all__ = [
    "Closed",
    "PeriodOpen",
    "PriceRefused",
    "PriceSet",
    "close_period",
    "cost_to_date",
    "costed_usage",
    "invoice",
    "invoices",
    "margin_report",
    "margin_settled_hour",
    "month",
    "month_of",
    "payable",
    "plain",
    "set_price",
]
