"""django-unfold's classes and decorators under the types of Django's own, which they extend: it ships none of its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unfold import decorators

if TYPE_CHECKING:
    from django import forms
    from django.contrib.admin import AdminSite, ModelAdmin, TabularInline
    from django.http import HttpRequest

    Admin = ModelAdmin[Any]
    Inline = TabularInline[Any, Any]
    Site = AdminSite

    class DialogForm(forms.Form):
        request: HttpRequest
        object_id: int | str

else:
    from unfold.admin import ModelAdmin as Admin
    from unfold.admin import TabularInline as Inline
    from unfold.forms import BaseDialogForm as DialogForm
    from unfold.sites import UnfoldAdminSite as Site

F = TypeVar("F", bound=Callable[..., Any])


def action(**options: Any) -> Callable[[F], F]:
    """A button. `dialog`: {"title", "description", "form_class", "form_submit_text"}; the method then gets the form, valid."""
    return cast("Callable[[F], F]", decorators.action(**options))


def display(**options: Any) -> Callable[[F], F]:
    """A column. `label`: {value: colour}."""
    return cast("Callable[[F], F]", decorators.display(**options))


__all__ = ["Admin", "DialogForm", "Inline", "Site", "action", "display"]
