"""What charts are drawn from, inside a page."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dashboard.operator.feed import wire

register = template.Library()
# As Django's json_script does: nothing in it can end the element or begin another.
ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@register.simple_tag
def figures_script(figures: Any) -> SafeString:
    """As the stream sends them, so that a number that is none is a gap here, too."""
    text = wire(figures or {}).decode().translate(ESCAPES)
    return format_html(
        '<script id="figures" type="application/json">{}</script>',
        mark_safe(text),  # noqa: S308 - escaped above
    )
