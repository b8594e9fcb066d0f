"""Who may log in: a user of Django's with one role. A customer belongs to one tenant, operators and finance to none."""

import secrets

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from metering.models import Membership, Tenant

_PASSWORD_BYTES = 12  # 96 random bits, 16 characters


class UserRefused(ValueError):
    """The name is taken, or role and tenant do not fit."""


def create_user(name: str, role: str, tenant: str | None = None, *, password: str | None = None) -> str:
    """Returns the password: the given one, else a random one that is kept nowhere but as Django's hash.

    Raises UserRefused, or django's ValidationError for a name that is not one.
    """
    password = password or secrets.token_urlsafe(_PASSWORD_BYTES)
    owner = _tenant_for(role, tenant)
    user = User(username=name)
    user.set_password(password)
    user.full_clean(validate_unique=False)
    try:
        with transaction.atomic():
            user.save()
            Membership.objects.create(user=user, role=role, tenant=owner)
    except IntegrityError:
        raise UserRefused(f"user {name!r} exists already") from None
    return password


def _tenant_for(role: str, tenant: str | None) -> Tenant | None:
    if role not in Membership.Role.values:
        raise UserRefused(f"role {role!r} is none of {', '.join(Membership.Role.values)}")
    if role != Membership.Role.CUSTOMER:
        if tenant:
            raise UserRefused(f"{role} sees every tenant: --tenant is for customers")
        return None
    if not tenant:
        raise UserRefused("a customer needs a tenant")
    found = Tenant.objects.filter(key=tenant).first()
    if found is None:
        raise UserRefused(f"no tenant {tenant!r}: create it first with `manage.py create_tenant {tenant}`")
    return found


def ensure_user(name: str, role: str, tenant: str | None = None, *, password: str) -> None:
    """As `create_user`; a user who is there already gets this password, and keeps role and tenant."""
    user = User.objects.filter(username=name).first()
    if user is None:
        create_user(name, role, tenant, password=password)
    elif not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
