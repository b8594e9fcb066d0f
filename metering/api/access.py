"""Who calls the REST endpoints: API keys, with the scope that a view names for a method."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from metering import keys
from metering.contracts import Credential, Scope


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer tw_...`. `request.auth` is the Credential; there is no user behind a key."""

    def authenticate(self, request: Request) -> tuple[None, Credential]:
        try:
            return None, keys.authenticate(request.headers.get("Authorization"))
        except keys.AuthenticationFailed as error:
            raise exceptions.AuthenticationFailed(str(error)) from error

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key carries the scope that the view needs for this method: `view.needed(method)`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        needed: Scope = view.needed(request.method)  # type: ignore[attr-defined]
        try:
            keys.require(credential_of(request), needed)
        except keys.PermissionRefused as error:
            raise exceptions.PermissionDenied(str(error)) from error
        return True


def credential_of(request: Request) -> Credential:
    found = request.auth
    if not isinstance(found, Credential):
        raise exceptions.NotAuthenticated
    return found


def require_operator(credential: Credential) -> None:
    """403 for a tenant's key, whatever its scopes: what it would change is every tenant's."""
    if credential.tenant is not None:
        raise exceptions.PermissionDenied("only an operator's key may do this")


class _KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the keys in the OpenAPI document; drf-spectacular finds it by its base class."""

    target_class = KeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: tw_..."}
