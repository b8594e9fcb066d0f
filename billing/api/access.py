"""Who calls: API keys of metering, with the scope that a view names. A tenant's key sees that tenant, an operator's key all."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from metering import public as metering
from metering.contracts import Credential, Scope


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer tw_...`. `request.auth` is the Credential; there is no user behind a key."""

    def authenticate(self, request: Request) -> tuple[None, Credential]:
        try:
            return None, metering.authenticate(request.headers.get("Authorization"))
        except metering.AuthenticationFailed as error:
            raise exceptions.AuthenticationFailed(str(error)) from error

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key carries the view's `required_scope`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        scope: Scope = view.required_scope  # type: ignore[attr-defined]
        try:
            metering.require(credential_of(request), scope)
        except metering.PermissionRefused as error:
            raise exceptions.PermissionDenied(str(error)) from error
        return True


def credential_of(request: Request) -> Credential:
    found = request.auth
    if not isinstance(found, Credential):
        raise exceptions.NotAuthenticated
    return found


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


class _KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the keys in the OpenAPI document; drf-spectacular finds it by its base class."""

    target_class = KeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: tw_..."}
