"""API keys: issued once, stored hashed, checked on every request against PostgreSQL, so that a revocation holds at once."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from django.utils import timezone

from metering.contracts import Credential, Scope
from metering.models import ApiKey, Tenant

TOKEN = re.compile(r"\Atw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")


class AuthenticationFailed(Exception):
    """No key, a malformed one, an unknown one or a revoked one: 401. The message is for the caller."""


class PermissionRefused(Exception):
    """The key is good and may not do this: 403."""


def issue_key(tenant: str | None, scopes: Iterable[str], *, observing: bool = False, label: str = "") -> str:
    """A new key for one tenant, or (None) an operator's. The token is returned here and nowhere else.

    Raises ValueError for an unknown scope or tenant.
    """
    known = {scope.value for scope in Scope}
    asked = sorted(set(scopes))
    if not asked or not set(asked) <= known:
        raise ValueError(f"unknown scopes {sorted(set(asked) - known)}: choose from {', '.join(sorted(known))}")
    owner = None
    if tenant is not None:
        owner = Tenant.objects.filter(key=tenant).first()
        if owner is None:
            raise ValueError(f"there is no tenant {tenant!r}")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    ApiKey.objects.create(
        prefix=prefix, digest=_digest(secret), tenant=owner, scopes=asked, observing=observing, label=label
    )
    return f"tw_{prefix}_{secret}"


def revoke_key(prefix: str) -> bool:
    """False if there is no such key, or it was revoked before. Takes the prefix, or a whole token."""
    match = TOKEN.match(prefix)
    name = match.group(1) if match else prefix.removeprefix("tw_")
    return bool(ApiKey.objects.filter(prefix=name, revoked_at=None).update(revoked_at=timezone.now()))


def authenticate(authorization: str | None) -> Credential:
    """The credential behind an `Authorization: Bearer tw_...` header; AuthenticationFailed otherwise."""
    if not authorization:
        raise AuthenticationFailed("send an API key: Authorization: Bearer tw_...")
    kind, _, token = authorization.partition(" ")
    match = TOKEN.match(token.strip())
    if kind.lower() != "bearer" or match is None:
        raise AuthenticationFailed("the Authorization header does not hold an API key: Bearer tw_...")
    row = ApiKey.objects.select_related("tenant").filter(prefix=match.group(1)).first()
    # The comparison takes the same time whether the key exists or not.
    matches = hmac.compare_digest(row.digest if row else "0" * 64, _digest(match.group(2)))
    if row is None or not matches:
        raise AuthenticationFailed("this API key is not known")
    if row.revoked_at is not None:
        raise AuthenticationFailed("this API key was revoked")
    return Credential(
        row.prefix,
        row.tenant.key if row.tenant else None,
        frozenset(row.scopes),
        row.observing,
        row.ingest_events_per_s,
        row.tenant.ingest_events_per_s if row.tenant else None,
    )


def require(credential: Credential, scope: Scope) -> None:
    if scope.value not in credential.scopes:
        raise PermissionRefused(f"this API key lacks the scope {scope.value}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
