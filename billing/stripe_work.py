"""Doing what is due at Stripe, one task after the other. No transaction is open while a request is on its way."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from billing import (
    settling,
    stripe_gateway,
    stripe_invoices,
    stripe_links,
    stripe_outcomes,
    stripe_payments,
    stripe_returns,
    stripe_tasks,
    stripe_usage,
)
from billing.models import StripeTask
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import (
    ASK_PAYER,
    BY_INVOICE,
    COLLECT,
    CREDIT_NOTE,
    DONE,
    PUSH_USAGE,
    REFUND,
    SETTLED,
    VOID,
    Outcome,
)
from billing.stripe_values import NoMinorUnits, StripeDeclined, StripeRefused, StripeUnavailable, StripeUncertain

logger = logging.getLogger(__name__)

MOST = 500  # tasks in one run: the next one goes on
Action = Callable[[StripeTask, Gateway, datetime], Outcome]


def work(now: datetime | None = None, *, most: int = MOST) -> int:
    """Do what is due; how many tasks were tried. Stops early while Stripe does not answer: the rest stays due."""
    if not stripe_gateway.enabled():
        return 0
    gateway = stripe_gateway.gateway()
    for tried in range(most):
        task = stripe_tasks.claim(now or timezone.now())
        if task is None:
            return tried
        if not _do(task, gateway, now or timezone.now()):
            return tried + 1
    return most


def _do(task: StripeTask, gateway: Gateway, now: datetime) -> bool:
    """One try. False: Stripe does not answer, and others need not try it either."""
    answers = True
    try:
        outcome = _action(task)(task, gateway, now)
    except StripeUnavailable as trouble:
        outcome = stripe_tasks.later(task, now, str(trouble), least_s=trouble.retry_after_s)
        answers = isinstance(trouble, StripeUncertain)
    except (StripeDeclined, StripeRefused, NoMinorUnits) as refusal:
        outcome = Outcome(refused=True, error=str(refusal))
    except (settling.SettlingRefused, stripe_outcomes.NotOurs) as refusal:
        outcome = Outcome(refused=True, error=str(refusal))
    except Exception as error:  # of ours: it must neither be forgotten nor keep the others waiting
        logger.exception("stripe %s %s", task.action, task.ours)
        outcome = stripe_tasks.later(task, now, f"{type(error).__name__}: {error}")
    stripe_tasks.finish(task, outcome, now)
    if outcome.error:
        logger.warning("stripe %s %s, try %s: %s", task.action, task.ours, task.tries, outcome.error)
    return answers


def _action(task: StripeTask) -> Action:
    road = stripe_tasks.road(task.detail["invoice"]) if "invoice" in task.detail else None
    by_invoice = road == BY_INVOICE
    actions: dict[str, Action] = {
        COLLECT: stripe_invoices.collect if by_invoice else stripe_payments.collect,
        VOID: stripe_invoices.withdraw if by_invoice else stripe_payments.withdraw,
        SETTLED: stripe_invoices.paid_elsewhere if by_invoice else stripe_payments.withdraw,
        REFUND: stripe_returns.refund,
        CREDIT_NOTE: stripe_returns.credit_note,
        PUSH_USAGE: stripe_usage.push,
        ASK_PAYER: _ask_payer,
    }
    return actions[task.action]


def _ask_payer(task: StripeTask, gateway: Gateway, now: datetime) -> Outcome:
    """Send the link, if the payer still has something to do."""
    if stripe_links.needed(task.ours) and not stripe_links.send(task.ours):
        return Outcome(error="no e-mail was sent: there is no sender, or no address")
    return DONE
