"""An objective as a sentence."""

from decimal import Decimal

from metering.objectives.definitions import SELECTOR, ObjectiveInfo

SUBJECTS = {
    "ttft_ms": "have their first token within",
    "tpot_ms": "take per output token at most",
    "e2e_ms": "end within",
}


def in_words(one: ObjectiveInfo) -> str:
    """'99 % of requests of model llama-70b have their first token within 500 ms, over 30 days'."""
    narrowed = [f"{name} {value}" for name in SELECTOR if (value := getattr(one.scope, name))]
    of = f" of {', '.join(narrowed)}" if narrowed else ""
    says = f"{SUBJECTS[one.measure]} {plain(one.threshold_ms)} ms" if one.threshold_ms is not None else "do not fail"
    days = one.window.days
    return f"{plain(one.target * 100)} % of requests{of} {says}, over {days} day{'' if days == 1 else 's'}"


def plain(number: Decimal) -> str:
    """Without an exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
