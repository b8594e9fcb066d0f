"""Figures on top of a page of one GPU or engine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FleetTile:
    """`value` alone is large; `unit` and `note` say what it is. `tone` is '' or 'bad'."""

    key: str
    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
