"""Forms of models whose rows only services write: what the service refuses stands at its field, and nothing is saved."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Model
from django.http import HttpRequest

from billing.admin.office import FINANCE, role
from billing.admin.unfolded import Admin

if TYPE_CHECKING:
    Base = forms.ModelForm[Any]
else:
    Base = forms.ModelForm


class ServiceForm(Base):
    """`serve` saves. It raises a ValueError, with `problems` by field if it knows them."""

    actor: str
    address: str | None

    def serve(self, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        try:
            self.served = self.serve(values)
        except ValueError as error:
            problems: Mapping[str, list[str]] = getattr(error, "problems", {})
            for name, texts in problems.items():
                self.add_error(name if name in self.fields else None, texts)
            if not problems:
                self.add_error(None, str(error))
        return values

    def _post_clean(self) -> None:
        """The service has checked the row and saved it: the form has nothing to build."""
        if hasattr(self, "served"):
            self.instance = self.served

    def save(self, commit: bool = True) -> Any:
        return self.instance

    def save_m2m(self) -> None:
        """The admin calls it after `save`: there is nothing left to save."""


class Served(Admin):
    """Pages of such a model: finance edits, the others look."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        made: Any = super().get_form(request, obj, change=change, **options)
        made.actor = request.user.get_username()
        made.address = request.META.get("REMOTE_ADDR")
        return made

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Saved already, by the service."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(role(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(role(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) == FINANCE

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) == FINANCE

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
