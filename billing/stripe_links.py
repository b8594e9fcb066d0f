"""The link with which a payer confirms a payment at the bank (3-D Secure), or pays one of Stripe's invoices: shown, and sent by e-mail.

It is signed and names one invoice; whoever has it can pay that invoice, and see its number and what is due, nothing else. Where the bank's
page is changes with every try, so the link leads here, and from here to wherever it is then.
"""

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from billing import mails, rating, settling, stripe_gateway, stripe_outcomes, stripe_tasks
from billing import stripe_values as values
from billing.models import Customer, Invoice, InvoiceState, StripeObject
from billing.stripe_gateway import Gateway
from billing.stripe_tasks import BY_INVOICE
from billing.stripe_values import PAYABLE, PaymentIntent, StripeDeclined, StripeTrouble

VALID_FOR = timedelta(days=60)
SALT = "stripe-pay"
UNCONFIRMED = ("authentication_required", "payment_intent_authentication_failure")
PREPARING = "The payment is being prepared. Please come back in a few minutes."
UNREACHABLE = "The payment service cannot be reached at the moment. Please try again later."


def link(number: str) -> str:
    return f"{settings.PUBLIC_URL}/stripe/pay/{signing.dumps(number, salt=SALT)}"


def needed(number: str) -> str | None:
    """The link, while the payer has something to do: confirm a payment, or pay Stripe's invoice. Asks nobody."""
    state = InvoiceState.objects.select_related("invoice").filter(invoice__number=number).first()
    if state is None or stripe_tasks.left_to_pay(state) == 0:
        return None
    if stripe_tasks.road(number) == BY_INVOICE:
        row = stripe_outcomes.known(stripe_outcomes.INVOICE, number)
        return link(number) if row is not None and row.status == "open" else None
    newest = _newest(number)
    waits = newest is not None and (newest.status == "requires_action" or newest.error in UNCONFIRMED)
    return link(number) if waits else None


def send(number: str) -> bool:
    """Tell the customer by e-mail that the bank wants a confirmation. False where nothing can be sent."""
    state = InvoiceState.objects.select_related("invoice").get(invoice__number=number)
    to = mails.addresses(state.invoice)
    if not to or not mails.possible():
        return False
    due = _due(state)
    text = (
        f"Your bank wants you to confirm the payment of invoice {number} ({due}).\n\n"
        f"Please open this link to do so:\n{link(number)}\n\nUntil then the invoice remains unpaid.\n"
    )
    EmailMessage(f"Please confirm the payment of invoice {number}", text, settings.EMAIL_FROM, to).send()
    return True


@require_GET
@never_cache
def pay(request: HttpRequest, token: str) -> HttpResponse:
    """What is due, and on `?go=1` the way to the bank or to Stripe's page. Going there changes nothing until the payer confirms."""
    try:
        number = signing.loads(token, salt=SALT, max_age=VALID_FOR)
    except signing.BadSignature as error:
        raise Http404("no such link, or it is too old") from error
    state = InvoiceState.objects.select_related("invoice").filter(invoice__number=number).first()
    if state is None:
        raise Http404("no such invoice")
    if not stripe_gateway.enabled() or stripe_tasks.left_to_pay(state) == 0:
        return _page(request, state)
    try:
        return _onwards(request, state, stripe_gateway.gateway())
    except StripeDeclined as refusal:
        return _page(request, state, f"The payment was declined: {refusal}", "Try again")
    except StripeTrouble:
        return _page(request, state, UNREACHABLE, "Try again")


def _onwards(request: HttpRequest, state: InvoiceState, gateway: Gateway) -> HttpResponse:
    number = state.invoice.number
    if stripe_tasks.road(number) == BY_INVOICE:
        row = stripe_outcomes.known(stripe_outcomes.INVOICE, number)
        url = gateway.invoice(row.stripe_id).hosted_url if row is not None else ""
        return HttpResponseRedirect(url) if url else _page(request, state, PREPARING)
    newest = _newest(number)
    if newest is None:
        return _page(request, state, PREPARING)
    intent = gateway.payment(newest.stripe_id)
    stripe_outcomes.payment_seen(intent, timezone.now())
    state.refresh_from_db()
    if intent.status not in PAYABLE:
        return _page(request, state)
    return _to_the_bank(request, state, intent, gateway)


def _to_the_bank(request: HttpRequest, state: InvoiceState, intent: PaymentIntent, gateway: Gateway) -> HttpResponse:
    if intent.amount != values.to_minor(stripe_tasks.left_to_pay(state), state.invoice.currency):
        # Part of it was paid or credited since: another attempt, of what is due now.
        stripe_tasks.next_attempt(state.invoice.number, intent.attempt, timezone.now())
        return _page(request, state, PREPARING)
    if "go" not in request.GET:
        return _page(request, state, "Your bank wants you to confirm this payment.", "Continue to your bank")
    if not intent.redirect_url:
        intent = _confirmed(state.invoice, intent, request, gateway)
    if intent.redirect_url:
        return HttpResponseRedirect(intent.redirect_url)
    state.refresh_from_db()
    return _page(request, state)


def _confirmed(invoice: Invoice, intent: PaymentIntent, request: HttpRequest, gateway: Gateway) -> PaymentIntent:
    """Start the payment again with the payer there. The same PaymentIntent, which is paid once at most."""
    now = timezone.now()
    method = Customer.objects.get(tenant=invoice.tenant).stripe_payment_method
    fields = {"payment_method": method, "return_url": f"{settings.PUBLIC_URL}{request.path}"}
    # A key for every click: done twice it still is one payment, and a kept answer would lead to a page of the bank that is over.
    key = f"{stripe_tasks.installation()}/confirm/{intent.id}/{now:%Y%m%dT%H%M%S.%f}"
    confirmed = gateway.confirm_payment(intent.id, fields, key)
    stripe_outcomes.payment_seen(confirmed, now)
    return confirmed


def _newest(number: str) -> StripeObject | None:
    return stripe_outcomes.payments_of(number).exclude(status="canceled").order_by("-pk").first()


def _page(request: HttpRequest, state: InvoiceState, text: str = "", go: str = "") -> HttpResponse:
    open_ = stripe_tasks.left_to_pay(state) > 0
    said = text or ("The payment is being processed." if open_ else "Nothing is left to be paid. Thank you.")
    context = {"number": state.invoice.number, "text": said, "due": _due(state) if open_ else "", "go": go}
    return render(request, "billing/pay.html", context)


def _due(state: InvoiceState) -> str:
    return f"{rating.rounded(settling.outstanding(state), state.invoice.currency):,f} {state.invoice.currency}"
