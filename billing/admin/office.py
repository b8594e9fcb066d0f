"""The back office at `/admin/`: Django's admin in django-unfold's dress, open by role and not by flags on the user.

Finance reads and does everything here, operators read, customers are refused. Nothing is written past the services of this package,
which refuse what must not be and keep the audit log.
"""

from typing import Any, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from billing.admin.unfolded import Site
from metering import public as metering

FINANCE, OPERATOR = "finance", "operator"
REFUSAL = "The back office is for finance and operators."
# Unfold's Alpine.js evaluates expressions in attributes and its templates carry small scripts; only this part of the site allows it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def role(request: HttpRequest) -> str:
    """The visitor's role, '' without one. Read once per request: the admin asks for every row and button."""
    if not hasattr(request, "back_office_role"):
        found = metering.membership_of(request.user) if request.user.is_authenticated else None
        request.back_office_role = found.role if found else ""  # type: ignore[attr-defined]
    return cast(str, request.back_office_role)  # type: ignore[attr-defined]


class BackOffice(Site):
    """Who may come in is decided here; who may change something, in `base.Shown`."""

    def has_permission(self, request: HttpRequest) -> bool:
        return role(request) in {FINANCE, OPERATOR}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The admin has no log-in of its own: the site's counts failed attempts."""
        if request.user.is_authenticated:
            raise PermissionDenied(REFUSAL)
        return redirect_to_login(request.GET.get("next") or request.get_full_path())

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        guarded = super().admin_view(view, cacheable)

        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise PermissionDenied(REFUSAL)
            response: HttpResponse = guarded(request, *args, **kwargs)
            response.headers["Content-Security-Policy"] = POLICY
            return response

        return inner


site = BackOffice(name="admin")
