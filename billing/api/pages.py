"""Pages of answers by windows. By position in the order, not by count: rows that usage adds between two pages shift nothing."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

from billing.api import parameters
from metering.public_api import InvalidParameter

Row = TypeVar("Row")


def paged(
    rows: Sequence[Row], ask: parameters.UsageAsk, position: Callable[[Row], list[Any]]
) -> tuple[list[Row], str | None]:
    """The page that was asked for, and the cursor of the next one. `position`: by what `rows` are in order."""
    after = ask.after
    try:
        left = rows if after is None else [row for row in rows if position(row) > after]
    except TypeError:
        raise InvalidParameter("cursor", "not one that this question gave") from None
    page = list(islice(left, ask.limit))
    return page, parameters.encoded(position(page[-1])) if len(page) < len(left) else None
