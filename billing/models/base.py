"""What the models of this package share: rows that are written once, and the widths of amounts."""

from typing import Any

from django.db import models

# Prices have up to 12 digits after the point, and dividing by a million adds 6: exact amounts are stored to the last digit.
# Rounded amounts have 4, since no currency has a smaller unit than 1/10000.
PRICE_DIGITS = (24, 12)
EXACT_DIGITS = (38, 18)
MONEY_DIGITS = (24, 4)
QUANTITY_DIGITS = (38, 12)


class Unchangeable(RuntimeError):
    """A change to a row that is part of the record: a price, a contract's revision, an invoice that is final, an entry of a ledger."""


class AppendOnly(models.Model):
    """A row that is written once. Triggers (migrations) refuse what does not come through here."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Unchangeable(f"{self._meta.verbose_name} {self} is never changed: add a new one")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise Unchangeable(f"{self._meta.verbose_name} {self} is never deleted")


def money(**options: Any) -> "models.DecimalField[Any, Any]":
    """An amount that is rounded to what can be paid."""
    return models.DecimalField(max_digits=MONEY_DIGITS[0], decimal_places=MONEY_DIGITS[1], **options)


def exact_amount(**options: Any) -> "models.DecimalField[Any, Any]":
    """An amount before rounding."""
    return models.DecimalField(max_digits=EXACT_DIGITS[0], decimal_places=EXACT_DIGITS[1], **options)


def price_amount(**options: Any) -> "models.DecimalField[Any, Any]":
    """What one `per` costs."""
    return models.DecimalField(max_digits=PRICE_DIGITS[0], decimal_places=PRICE_DIGITS[1], **options)


def fraction(**options: Any) -> "models.DecimalField[Any, Any]":
    """0.19 for 19 %."""
    return models.DecimalField(max_digits=9, decimal_places=8, **options)


def amount_of_usage(**options: Any) -> "models.DecimalField[Any, Any]":
    """Tokens, requests, or what a meter measures."""
    return models.DecimalField(max_digits=QUANTITY_DIGITS[0], decimal_places=QUANTITY_DIGITS[1], **options)
