"""Who calls: API keys of metering, with the scope that a view names. A tenant's key sees that tenant, an operator's key all."""

from rest_framework import exceptions
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from metering import public as metering
from metering.contracts import Credential, Scope
from metering.public_api import credential_of


class HasScope(BasePermission):
    """The key carries the view's `required_scope`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        scope: Scope = view.required_scope  # type: ignore[attr-defined]
        try:
            metering.require(credential_of(request), scope)
        except metering.PermissionRefused as error:
            raise exceptions.PermissionDenied(str(error)) from error
        return True


def tenant_asked(credential: Credential, named: str | None) -> str | None:
    """The tenant whose rows the caller gets; None: everybody's. Never the request's word alone.

    403 if a tenant's key names another one, 404 if an operator's key names one that does not exist.
    """
    if credential.tenant is not None:
        if named not in {None, credential.tenant}:
            raise exceptions.PermissionDenied("this key reads one tenant, and that is not the one named")
        return credential.tenant
    if named is not None and metering.tenant(named) is None:
        raise exceptions.NotFound(f"there is no tenant {named!r}")
    return named
