"""What all pages of the back office share: shown, never edited in place; changed by actions that call services."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import messages
from django.db import models
from django.http import HttpRequest, HttpResponse

from billing.admin.office import FINANCE, role
from billing.admin.unfolded import Admin, DialogForm, Inline
from billing.rating import rounded


class _Guarded:
    """Everybody who is let in may look; nobody adds, edits or deletes rows."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(role(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(role(request))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions: `@action(permissions=["act"])`."""
        return role(request) == FINANCE


class Shown(_Guarded, Admin):
    """A list and a page of one model, to read. Subclasses add actions."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = True
    actions = None


class ShownInline(_Guarded, Inline):
    ordering = ("pk",)
    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = False
    tab = True


class Asking(DialogForm):
    """A form of an action. `answer` does it: what a service refuses is an error of the form, and nothing has happened."""

    form_before_template = "admin/billing/_refusal.html"  # unfold shows the errors of fields alone
    refusals: ClassVar[tuple[type[Exception], ...]] = (ValueError, LookupError)

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors:
            try:
                self.done = self.act(self.cleaned_data)
            except self.refusals as error:
                self.add_error(None, str(error))

    def get_before_template_context(self, *_: Any) -> dict[str, Any]:
        return {"problems": self.non_field_errors()}

    def act(self, values: dict[str, Any]) -> str:
        """Does it and says what was done."""
        raise NotImplementedError

    @property
    def actor(self) -> str:
        return str(self.request.user.get_username())

    @property
    def address(self) -> str | None:
        return self.request.META.get("REMOTE_ADDR") or None


def finished(request: HttpRequest, text: str, url: str = "") -> HttpResponse:
    """The page again, with what was done on top. The dialog is a request of htmx: it follows this header."""
    messages.success(request, text)
    response = HttpResponse(status=204)
    response.headers["HX-Redirect"] = url or request.headers.get("HX-Current-URL", "/admin/")
    return response


@contextmanager
def refusals_shown(request: HttpRequest) -> Iterator[None]:
    """For actions without a form: what a service refuses is a message on the page."""
    try:
        yield
    except (ValueError, LookupError) as error:
        messages.error(request, str(error))


def amount_of(amount: Decimal, currency: str) -> str:
    """With the currency's own digits: 1,234.50 USD."""
    return f"{rounded(amount, currency):,f} {currency}"


def money(name: str, label: str = "") -> Callable[[Any, models.Model], str]:
    """A column with an amount and its currency, without the zeros that the database pads it with."""

    def shown(_: Any, row: Any) -> str:
        amount: Decimal | None = getattr(row, name)
        return "" if amount is None else amount_of(amount, row.currency)

    shown.short_description = label or name.replace("_", " ")  # type: ignore[attr-defined]
    shown.admin_order_field = name  # type: ignore[attr-defined]
    return shown
