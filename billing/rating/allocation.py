"""Splitting an amount by weights so that the parts sum to it exactly, by largest remainder."""

from collections.abc import Sequence
from decimal import Decimal

from billing.rating.exact import EXACT, ZERO
from billing.rating.rounding import minor_digits


def allocate(total: Decimal, weights: Sequence[Decimal], currency: str) -> tuple[Decimal, ...]:
    """Parts in whole minor units of the currency, each within one unit of its exact share. Their sum is `total`.

    Each gets its share rounded towards zero; what is left goes, a unit each, to the largest remainders, of equal ones to the earlier.
    Weights that are all zero share alike. Raises ValueError for a negative weight, for no weights, and for a total in fractions of a unit.
    """
    return spread(total, weights, minor_digits(currency))


def spread(total: Decimal, weights: Sequence[Decimal], places: int) -> tuple[Decimal, ...]:
    """As `allocate`, in units of the last of so many places after the point."""
    units = total.scaleb(places, context=EXACT)
    if units != units.to_integral_value():
        raise ValueError(f"{total} has more than {places} places")
    shares = _whole_weights(weights)
    if len(shares) == 1:
        return (total,)
    if not shares:
        if total:
            raise ValueError(f"nothing to give {total} to")
        return ()
    amount, whole = abs(int(units)), sum(shares)
    quotas = [divmod(amount * share, whole) for share in shares]
    rest = amount - sum(quota for quota, _ in quotas)
    first = sorted(range(len(quotas)), key=lambda place: -quotas[place][1])[:rest]
    found = [quota for quota, _ in quotas]
    for place in first:
        found[place] += 1
    sign = -1 if total < 0 else 1
    return tuple(Decimal(sign * part).scaleb(-places, context=EXACT) if part else ZERO for part in found)


def _whole_weights(weights: Sequence[Decimal]) -> list[int]:
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is below zero")
    if len(weights) == 1:
        return [1]
    finest = min((int(weight.as_tuple().exponent) for weight in weights), default=0)
    scaled = [int(weight.scaleb(-min(finest, 0), context=EXACT)) for weight in weights]
    return scaled if any(scaled) else [1] * len(scaled)
