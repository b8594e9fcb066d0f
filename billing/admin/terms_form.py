"""What was agreed, as forms: one for the head, one formset for each kind of part; and back into `Terms`."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory

from billing.admin.fields import Share, dressed
from billing.models import PriceBook
from billing.rating.terms import (
    Allowance,
    AppliesTo,
    Discount,
    FlatFee,
    Measure,
    Objective,
    PercentageFee,
    Terms,
)

BLANK_ROWS = 2


class _Dressed(forms.Form):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)


class HeadForm(_Dressed):
    """What a revision has once."""

    effective_on = forms.DateField(label="from this day on", help_text="local midnight of the contract")
    plan = forms.CharField(max_length=100, required=False)
    price_book = forms.ChoiceField(required=False, help_text="its prices come before the list's")
    commitment = forms.DecimalField(min_value=0, initial=0, help_text="the least that usage of a whole period costs")
    note = forms.CharField(max_length=500, required=False, help_text="why: kept with the revision")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        books = [(name, name) for name in PriceBook.objects.values_list("name", flat=True)]
        field = self.fields["price_book"]
        field.choices = [("", "the list alone"), *books]  # type: ignore[attr-defined]
        field.widget.choices = field.choices  # type: ignore[attr-defined]


class FlatFeeForm(_Dressed):
    code = forms.SlugField()
    description = forms.CharField(max_length=200)
    amount = forms.DecimalField(help_text="a period")


class PercentageFeeForm(_Dressed):
    code = forms.SlugField()
    description = forms.CharField(max_length=200)
    rate = Share()
    minimum = forms.DecimalField(initial=0)


class AllowanceForm(_Dressed):
    code = forms.SlugField()
    model = forms.CharField(initial="*")
    kind = forms.CharField(help_text="input, cached_input, cache_write, output, reasoning, request, meter:slug")
    tier = forms.CharField(required=False)
    quantity = forms.DecimalField(help_text="a period")


class DiscountForm(_Dressed):
    code = forms.SlugField()
    description = forms.CharField(max_length=200)
    applies_to = forms.ChoiceField(choices=[(each.value, each.value) for each in AppliesTo])
    model = forms.CharField(initial="*")
    share = Share(required=False)
    amount = forms.DecimalField(required=False, help_text="or so much a period")


class ObjectiveForm(_Dressed):
    code = forms.SlugField()
    measure = forms.ChoiceField(choices=[(each.value, each.value) for each in Measure])
    model = forms.CharField(initial="*")
    threshold = forms.DecimalField(help_text="ms, or a share such as 0.999")
    credit_share = Share(help_text="percent of the model's usage")
    least_requests = forms.IntegerField(initial=100)


# Each part of Terms: its form, its title, and what a row of the form becomes.
PARTS: dict[str, tuple[type[forms.Form], str, Callable[..., Any]]] = {
    "flat_fees": (FlatFeeForm, "Flat fees", FlatFee),
    "percentage_fees": (PercentageFeeForm, "Percentage fees", PercentageFee),
    "allowances": (AllowanceForm, "Included usage", Allowance),
    "discounts": (DiscountForm, "Discounts, in this order", Discount),
    "objectives": (ObjectiveForm, "Service levels", Objective),
}


class TermsForms:
    """All forms of one page. `terms()` after `is_valid()`."""

    def __init__(self, held: Terms, data: Any = None) -> None:
        start = {"plan": held.plan, "price_book": held.price_book, "commitment": held.commitment}
        self.head = HeadForm(data, initial=start, prefix="head")
        self.parts = {name: self._formset(name, getattr(held, name), data) for name in PARTS}

    @staticmethod
    def _formset(name: str, rows: Iterable[Any], data: Any) -> "BaseFormSet[Any]":
        made = formset_factory(PARTS[name][0], extra=BLANK_ROWS, can_delete=True)
        return made(data, initial=[dict(vars(row)) for row in rows], prefix=name)

    def is_valid(self) -> bool:
        return all([self.head.is_valid(), *(formset.is_valid() for formset in self.parts.values())])

    def terms(self, *, active: bool) -> Terms:
        head = self.head.cleaned_data
        return Terms(
            plan=head["plan"],
            active=active,
            price_book=head["price_book"],
            commitment=head["commitment"] or Decimal(0),
            **{name: self._rows(name) for name in PARTS},
        )

    def _rows(self, name: str) -> tuple[Any, ...]:
        make = PARTS[name][2]
        found = []
        for form in self.parts[name].forms:
            values = form.cleaned_data
            if values and not values.pop("DELETE", False):
                found.append(make(**_typed(name, values)))
        return tuple(found)

    def shown(self) -> list[dict[str, Any]]:
        """For the template: title, formset, and the heads of its columns."""
        return [
            {"title": PARTS[name][1], "formset": formset, "columns": formset.empty_form.visible_fields()}
            for name, formset in self.parts.items()
        ]


def _typed(name: str, values: dict[str, Any]) -> dict[str, Any]:
    if name == "discounts":
        return values | {"applies_to": AppliesTo(values["applies_to"])}
    if name == "objectives":
        return values | {"measure": Measure(values["measure"])}
    return values
