"""The formats of dashboard.formats as template filters."""

from decimal import Decimal

from django import template

from billing.public import payable
from dashboard import formats

register = template.Library()
register.filter("whole", formats.whole)
register.filter("rate", formats.rate)
register.filter("percent", formats.percent)
register.filter("money", formats.money)
register.filter("exact", formats.exact)
register.filter("moment", formats.moment)
register.filter("clock", formats.clock)
register.filter("month", formats.month)
register.filter("exact_money", formats.exact_money)
register.filter("places", formats.places)
register.filter("signed", formats.signed)
register.filter("share", formats.share)
register.filter("words", formats.words)


@register.filter
def cents(amount: Decimal | None, currency: str) -> str:
    """An unrounded amount, shown to the currency's minor unit."""
    return formats.exact_money(None if amount is None else payable(amount, currency))
