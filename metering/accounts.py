"""Tenants and what a person who logs in may see."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import Case, Q, When

from metering.contracts import TenantInfo
from metering.models import Membership, Tenant


class TenantExists(ValueError):
    """A tenant of this key is there already."""


@dataclass(frozen=True)
class MembershipInfo:
    """`role` is operator, finance or customer; `tenant` is the customer's tenant key, None for the other two."""

    role: str
    tenant: str | None


def tenants() -> list[TenantInfo]:
    return [_info(row) for row in Tenant.objects.all()]


def tenants_first(most: int) -> list[TenantInfo]:
    """The first so many by key."""
    return [_info(row) for row in Tenant.objects.all()[:most]]


def tenants_found(text: str, most: int) -> list[TenantInfo]:
    """Those whose key or name holds `text`, whatever its case; first those that begin with it, then by key."""
    begins = Q(key__istartswith=text) | Q(name__istartswith=text)
    found = Tenant.objects.filter(Q(key__icontains=text) | Q(name__icontains=text))
    ranked = found.annotate(rank=Case(When(begins, then=0), default=1)).order_by("rank", "key")
    return [_info(row) for row in ranked[:most]]


def tenants_named(keys: Iterable[str]) -> list[TenantInfo]:
    """Those of the keys that there are, in order."""
    return [_info(row) for row in Tenant.objects.filter(key__in=set(keys))]


def tenant_names(keys: Iterable[str]) -> dict[str, str]:
    """By key, of those that there are."""
    return dict(Tenant.objects.filter(key__in=set(keys)).values_list("key", "name"))


def tenant(key: str) -> TenantInfo | None:
    row = Tenant.objects.filter(key=key).first()
    return _info(row) if row else None


def create_tenant(key: str, name: str = "", currency: str = "USD", *, is_demo: bool = False) -> TenantInfo:
    """Raises TenantExists, or django's ValidationError for a key or currency that is not one."""
    row = Tenant(key=key, name=name or key, currency=currency, is_demo=is_demo)
    row.full_clean(validate_unique=False)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise TenantExists(f"tenant {key!r} exists already") from None
    return _info(row)


def membership_of(user: AbstractBaseUser | AnonymousUser) -> MembershipInfo | None:
    """None for somebody who is not logged in or has no role yet."""
    if not user.is_authenticated:
        return None
    row = Membership.objects.select_related("tenant").filter(user_id=user.pk).first()
    return MembershipInfo(row.role, row.tenant.key if row.tenant else None) if row else None


def _info(row: Tenant) -> TenantInfo:
    return TenantInfo(row.key, row.name, row.currency, row.is_demo)


_seen: set[str] = set()  # of this process; a tenant is never deleted, so what was seen once needs no second look


def existing(keys: Iterable[str]) -> frozenset[str]:
    """Those of `keys` that are tenants. PostgreSQL is asked only about those never seen before."""
    asked = frozenset(keys)
    if unseen := asked - _seen:
        _seen.update(Tenant.objects.filter(key__in=unseen).values_list("key", flat=True))
    return asked & _seen
