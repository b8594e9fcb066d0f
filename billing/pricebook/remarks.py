"""What is allowed in a version of a book and yet worth a second look before it is published."""

from collections.abc import Iterator

from billing import rating
from billing.models import Price
from billing.pricebook import books


def remarks(book: str, version: int) -> list[str]:
    """Of the version's own prices, one sentence each. Raises UnknownVersion."""
    return [remark for price in books.version(book, version).prices.all() for remark in _remarks(price)]


def _remarks(price: Price) -> Iterator[str]:
    row = books.row_of(price)
    if price.charge_model == Price.ChargeModel.VOLUME:
        for drop in rating.volume_drops(rating.tiers_of(price.tiers or ()), price.per):
            yield f"{row}: {drop}"
    if price.charge_model in {Price.ChargeModel.PER_UNIT, Price.ChargeModel.PACKAGE} and not price.amount:
        yield f"{row}: free of charge"
