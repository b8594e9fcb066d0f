"""Options of the commands that set a customer or the seller: one for each column, named like it."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Field, Model


def add_columns(parser: CommandParser, model: type[Model], columns: Iterable[str]) -> None:
    for name in columns:
        field: Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]
        number = field.get_internal_type() == "PositiveIntegerField"
        values = [value for value, _ in field.flatchoices] or None
        parser.add_argument(f"--{name.replace('_', '-')}", type=int if number else str, choices=values)


def given(options: dict[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """What was named; '' empties a column."""
    return {name: options[name] for name in columns if options[name] is not None}
