"""`POST /stripe/webhook`: what Stripe has to say. Checked, stored, answered; what it means is worked out afterwards (`stripe_events`).

A 2xx means that the event is in the database. Whatever goes wrong later, it is there to be tried again, and Stripe need not send it twice.
"""

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import stripe_gateway, stripe_jobs
from billing.models import StripeEvent

logger = logging.getLogger(__name__)

LARGEST = 2 * 2**20  # bytes; Stripe's events are a few kB


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200: stored, now or before. 400: not signed with our secret, or not an event. 404: there is no secret, so nothing can be believed."""
    secret = settings.STRIPE_WEBHOOK_SECRET
    if not secret:
        return HttpResponseNotFound("no webhook secret is set\n", content_type="text/plain")
    payload = request.read(LARGEST + 1)
    if len(payload) > LARGEST:
        return _refused("the event is too large", status=413)
    try:
        event = stripe_gateway.webhook_event(payload, request.headers.get("Stripe-Signature", ""), secret)
        text = payload.decode()
    except stripe_gateway.BadSignature as error:
        logger.warning("a webhook that is not Stripe's: %s", error)
        return _refused("the signature does not match")
    except ValueError as error:
        return _refused(f"not an event: {error}")
    row, new = StripeEvent.objects.get_or_create(
        stripe_id=event.id, defaults={"type": event.type[:100], "created": event.created, "payload": text}
    )
    if new:
        stripe_jobs.soon(row.pk)
    return HttpResponse("stored\n", content_type="text/plain")


def _refused(reason: str, *, status: int = 400) -> HttpResponse:
    return HttpResponse(reason + "\n", content_type="text/plain", status=status)
