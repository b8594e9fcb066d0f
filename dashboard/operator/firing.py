"""How many alerts fire now, for the frame of every page of the operator."""

from dashboard.operator.shelf import SHELF
from metering.public import alert_board

FRESH_S = 1.9
FIRING = {"alerts-firing": "operator/_firing.html"}  # kept live on every page; its place is in base.html


def firing_now() -> int:
    return SHELF.kept("alerts-firing", FRESH_S, alert_board.firing_count)
