"""Form fields in unfold's dress, and lists of texts as lines."""

from decimal import Decimal
from typing import Any, cast

from django import forms
from unfold import widgets

WIDGETS: dict[type[forms.Field], type[forms.Widget]] = {
    forms.CharField: widgets.UnfoldAdminTextInputWidget,
    forms.SlugField: widgets.UnfoldAdminTextInputWidget,
    forms.IntegerField: widgets.UnfoldAdminIntegerFieldWidget,
    forms.DecimalField: widgets.UnfoldAdminTextInputWidget,  # a number field of a browser would round long decimals
    forms.DateField: widgets.UnfoldAdminSingleDateWidget,
    forms.ChoiceField: widgets.UnfoldAdminSelectWidget,
    forms.BooleanField: widgets.UnfoldBooleanSwitchWidget,
}


def dressed(form: forms.Form) -> None:
    """Give the fields of a form that nobody else dresses unfold's widgets, keeping choices and hidden ones."""
    for field in form.fields.values():
        widget = WIDGETS.get(type(field))
        if widget is None or field.widget.is_hidden:
            continue
        made = widget()
        if isinstance(field, forms.ChoiceField):
            cast(Any, made).choices = field.choices
        made.is_required = field.required
        field.widget = made


class Lines(forms.CharField):
    """A list of texts, one a line."""

    widget = widgets.UnfoldAdminTextareaWidget

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "help_text": "one a line", **options})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in (super().clean(value) or "").splitlines() if line.strip()]


class Share(forms.DecimalField):
    """A share typed in percent: 19 is 0.19."""

    widget = widgets.UnfoldAdminTextInputWidget

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": Decimal(0), "max_value": Decimal(100), "help_text": "percent", **options})

    def prepare_value(self, value: Any) -> Any:
        return format((value * 100).normalize(), "f") if isinstance(value, Decimal) else value

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        return None if found is None else found / 100
