"""Cells of the GPUs' heatmap: thousands of them, for which the template language would take longer than a page may."""

from collections.abc import Sequence

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from dashboard.operator.gpus_heat import Cell

register = template.Library()


@register.simple_tag
def heat_cells(cells: Sequence[Cell], first: object = False) -> SafeString:
    """`first`: of the heatmap; its first cell is where Tab leads, and arrow keys lead on from there (heat.js)."""
    found = (_cell(cell, 0 if first and place == 0 else -1) for place, cell in enumerate(cells))
    return mark_safe("".join(found))  # noqa: S308 - every value is escaped


def _cell(cell: Cell, tab: int) -> str:
    level = f" h{cell.level}" if cell.level else ""
    mark = f" {cell.mark}" if cell.mark else ""
    names = f'class="cell{level}{mark}" tabindex="{tab}"'
    return f'<a {names} href="{escape(cell.link)}" title="{escape(cell.title)}">{escape(cell.text)}</a>'
