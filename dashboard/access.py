"""Who may open which page. Every view of this package goes through `only`.

Somebody who is not logged in is sent to the log-in page; the wrong role is 403; another tenant's object is 404 (the views see
to that by asking for it with the visitor's own tenant key, never with one from the request).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from metering.contracts import TenantInfo
from metering.public import MembershipInfo, membership_of, tenant

OPERATOR, FINANCE, CUSTOMER = "operator", "finance", "customer"
P = ParamSpec("P")


@dataclass(frozen=True)
class Visitor:
    """Who is logged in. `tenant` is the only one a customer sees; None for operator and finance."""

    name: str
    role: str
    tenant: str | None


def visitor(request: HttpRequest) -> Visitor | None:
    """None if nobody is logged in or no role was given yet. Read once per request."""
    if not hasattr(request, "tallywatt_visitor"):
        membership = membership_of(request.user) if hasattr(request, "user") else None
        request.tallywatt_visitor = _visitor(request, membership)  # type: ignore[attr-defined]
    return cast("Visitor | None", request.tallywatt_visitor)  # type: ignore[attr-defined]


def _visitor(request: HttpRequest, membership: MembershipInfo | None) -> Visitor | None:
    return Visitor(request.user.get_username(), membership.role, membership.tenant) if membership else None


def only(
    *roles: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, Visitor, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """A view for these roles; it gets the visitor as its second argument."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, Visitor, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            who = visitor(request)
            if who is None or who.role not in roles:
                raise PermissionDenied(_refusal(who, roles))
            return view(request, who, *args, **kwargs)

        return guarded

    return decorate


def own_tenant(who: Visitor) -> str:
    """The tenant that a customer asks for. Never None, which would mean everybody's: who belongs to no customer gets a 404."""
    if not who.tenant:
        raise Http404("this account belongs to no customer")
    return who.tenant


def customer_named(key: str | None) -> TenantInfo:
    """404 where there is none."""
    found = tenant(key) if key else None
    if found is None:
        raise Http404(f"there is no customer {key!r}")
    return found


def _refusal(who: Visitor | None, roles: tuple[str, ...]) -> str:
    if who is None:
        return "Your account has no role yet. Ask an operator to give it one."
    return f"This page is for the role {' or '.join(roles)}; you are logged in as {who.role}."
