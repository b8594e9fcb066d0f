"""`manage.py list_objectives`: what is promised, and how it stands. One a line, with tabs between."""

from typing import Any

from django.utils import timezone

from metering.management.base import StackCommand
from metering.objectives.definitions import objectives
from metering.objectives.states import BURN_WINDOWS, objective_states
from metering.objectives.wording import in_words

COLUMNS = ("name", "objective", "attained", "budget left", *(f"burn {window}" for window in BURN_WINDOWS))


class Command(StackCommand):
    help = "List the objectives of service: what they are, the share attained, the error budget left, and burn rates."

    def run(self, **options: Any) -> str:
        words = {one.name: in_words(one) for one in objectives()}
        lines = ["\t".join(COLUMNS)]
        for state in objective_states(timezone.now()):
            burns = (_number(state.burn(window), "{:.2f}") for window in BURN_WINDOWS)
            shares = (_number(share, "{:.4%}") for share in (state.attained, state.budget_left))
            lines.append("\t".join([state.name, words.get(state.name, ""), *shares, *burns]))
        return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
