"""Addresses of the fleet's pages; the shared filters go along."""

from dataclasses import replace
from functools import cache
from urllib.parse import quote

from django.urls import reverse

from dashboard.converters import NameConverter
from dashboard.operator.filters import Filters

_word = NameConverter()


def gpu_link(node: str, gpu: str, filters: Filters) -> str:
    return _link("operator-gpus", node, gpu, filters)


def engine_link(node: str, engine: str, filters: Filters) -> str:
    return _link("operator-engines", node, engine, filters)


def narrowed_link(filters: Filters, name: str, value: str) -> str:
    """This page of this model, region, cluster or node alone; '' for what has no name."""
    return f"?{filters.narrowed(name, value).query()}" if value else ""


def all_nodes_link(filters: Filters) -> str:
    return f"?{replace(filters, options=tuple(one for one in filters.options if one[0] != 'node')).query()}"


def _link(page: str, node: str, thing: str, filters: Filters) -> str:
    """As reverse() of the page of one thing, without its cost: a heatmap has thousands. '' for what has no name."""
    if not node or not thing:
        return ""
    carried = filters.carried()
    path = f"{_base(page)}{quote(_word.to_url(node), safe='')}/{quote(_word.to_url(thing), safe='')}/"
    return f"{path}?{carried}" if carried else path


@cache
def _base(page: str) -> str:
    return reverse(page)
