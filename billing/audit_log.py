"""The audit log: what was changed, by whom, with the values before and after. Written in the transaction of the change itself."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db.models import Model

from billing.models import AuditEntry
from billing.rating.exact import plain

Values = Mapping[str, Any]
_MISSING = object()


def record(
    actor: str,
    action: str,
    obj: Model,
    before: Values | None = None,
    after: Values | None = None,
    *,
    address: str | None = None,
) -> AuditEntry | None:
    """`actor`: a user's name, an API key's prefix, `command`, `schedule` or `stripe`. `before` and `after`: see `snapshot`.

    With both, only what differs is kept, and nothing is recorded (None) where nothing does.
    """
    old, new = _values(before), _values(after)
    if old is not None and new is not None:
        names = [name for name in {**old, **new} if old.get(name, _MISSING) != new.get(name, _MISSING)]
        if not names:
            return None
        old, new = ({name: values[name] for name in names if name in values} for values in (old, new))
    return AuditEntry.objects.create(
        actor=actor[:150],
        address=address,
        action=action,
        object_type=str(obj._meta.model_name),
        object_id=str(obj.pk),
        object_name=str(obj)[:300],
        before=old,
        after=new,
    )


def snapshot(obj: Model, *, leave_out: tuple[str, ...] = ("created_at", "updated_at")) -> dict[str, Any]:
    """The columns of a row as they are, by name."""
    return {
        field.attname: field.value_from_object(obj)
        for field in obj._meta.concrete_fields
        if field.attname not in leave_out
    }


def _values(values: Values | None) -> dict[str, Any] | None:
    return None if values is None else {name: _json(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    """As JSON has it: money and quantities as text with all their digits, moments in ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(name): _json(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(each) for each in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)
