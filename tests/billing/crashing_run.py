"""A worker that dies: `python -m tests.billing.crashing_run RUN POINT` works on a run in batches of two and kills itself at a point.

Each point is a function of the run's way, and at which of its calls the process ends, before the call does anything.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

# name -> (module, attribute, number of the call)
POINTS = {
    "before_anything": ("billing.runs", "_due", 1),
    "while_drafting": ("billing.runs", "prepared", 2),
    "while_digesting": ("billing.digests", "rooted", 2),
    "before_the_lock": ("billing.finalising", "finalise", 2),
    "with_the_series_locked": ("billing.numbers", "take_numbers", 2),
    "with_numbers_taken": ("billing.credits", "apply_to_drafts", 1),
    "with_invoices_written": ("billing.finalising", "_write_parts", 2),
    "just_before_the_commit": ("billing.stripe_tasks", "plan", 2),
    "just_after_the_commit": ("billing.runs", "_outcome", 3),
    "before_the_run_is_done": ("billing.runs", "_update", 99),
}


def main(run_id: int, point: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    from importlib import import_module

    from billing import finalising, runs
    from billing.models import InvoiceRun

    finalising.BATCH = 2
    module, name, call = POINTS[point]
    held = import_module(module)
    setattr(held, name, _dying(getattr(held, name), call))
    runs.resume(InvoiceRun.objects.get(pk=run_id))


def _dying(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at or (at == 99 and named.get("state") == "done"):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)

    return counted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
