"""The frame's navigation, from what a page says of itself (`section`, `part`, `carried`)."""

from typing import Any

from django import template
from django.template import Context
from django.urls import reverse

from dashboard.navigation import Place, places
from dashboard.operator.frame_parts import firing_now

register = template.Library()


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> tuple[Place, ...]:
    return places(context["visitor"].role, str(context.get("section", "")), str(context.get("part", "")))


@register.simple_tag(takes_context=True)
def address(context: Context, place: Any) -> str:
    """With the shared filters of this page where the other heeds them."""
    carried = context.get("carried") if place.carries else ""
    return reverse(place.page) + (f"?{carried}" if carried else "")


@register.simple_tag
def firing() -> int:
    """How many alerts fire now."""
    return firing_now()
