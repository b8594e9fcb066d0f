"""Who is billed, and what was agreed: customers, contracts with their revisions, tax rates, the seller.

A contract is never edited: each change is a revision that states everything anew and holds from a day on. An invoice names the
revision that was the latest when it was made, so that it can be made again.
"""

from django.db import models

from billing.models.base import AppendOnly, amount_of_usage, fraction, money


class Seller(models.Model):
    """Who issues the invoices: one row. What an invoice says of it is a copy, taken when it is finalised."""

    name = models.CharField(max_length=200)
    address_line1 = models.CharField(max_length=200, blank=True)
    address_line2 = models.CharField(max_length=200, blank=True)
    postal_code = models.CharField(max_length=32, blank=True)
    city = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, default="US")  # ISO 3166-1 alpha-2
    tax_id = models.CharField(max_length=64, blank=True)
    registration = models.CharField(max_length=100, blank=True)  # commercial register
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=64, blank=True)
    iban = models.CharField(max_length=34, blank=True)
    bic = models.CharField(max_length=11, blank=True)
    bank = models.CharField(max_length=100, blank=True)
    logo = models.TextField(blank=True)  # an SVG

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    """The commercial side of one of metering's tenants. A tenant without one is billed by its key and name, without tax, paid by hand."""

    class Collection(models.TextChoices):
        MANUAL = "manual"  # a bank transfer, recorded by hand
        STRIPE_INVOICE = "stripe_invoice"  # our lines, finalised and collected there
        STRIPE_PAYMENT = "stripe_payment"  # a PaymentIntent on the stored payment method
        STRIPE_METER = "stripe_meter"  # usage goes to Stripe's meters, which make the invoice

    tenant = models.CharField(max_length=64, unique=True)  # metering's key of the tenant
    legal_name = models.CharField(max_length=200)
    address_line1 = models.CharField(max_length=200, blank=True)
    address_line2 = models.CharField(max_length=200, blank=True)
    postal_code = models.CharField(max_length=32, blank=True)
    city = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, blank=True)  # ISO 3166-1 alpha-2; '' unknown: no tax
    # A business in another country of the EU that has one pays by reverse charge.
    tax_id = models.CharField(max_length=64, blank=True)
    tax_exempt = models.CharField(max_length=200, blank=True)  # the reason, as printed; '' not exempt
    emails = models.JSONField(default=list, blank=True)  # where invoices and reminders go
    buyer_reference = models.CharField(max_length=100, blank=True)  # their order number, or Leitweg-ID
    payment_terms_days = models.PositiveIntegerField(default=30)
    grace_hours = models.PositiveIntegerField(default=24)  # after the period's end, until an invoice is finalised
    collection = models.CharField(max_length=16, choices=Collection.choices, default=Collection.MANUAL)
    stripe_customer = models.CharField(max_length=64, blank=True)
    stripe_payment_method = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("tenant",)

    def __str__(self) -> str:
        return f"{self.legal_name} ({self.tenant})"


class TaxRate(AppendOnly):
    """The standard rate of a country from a day on. Before the first row: the table that is shipped (rating/tax_rates.py)."""

    country = models.CharField(max_length=2)
    rate = fraction()
    name = models.CharField(max_length=32, default="VAT")
    effective_from = models.DateField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.country} {self.name} {self.rate} from {self.effective_from}"


class Contract(models.Model):
    """One agreement with a tenant. Its periods are months from `anchor_day` in `time_zone`; the first begins on `starts_on`."""

    number = models.CharField(max_length=32, unique=True)
    tenant = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    time_zone = models.CharField(max_length=64, default="UTC")  # IANA; local midnights lie on quarters of an hour UTC
    anchor_day = models.PositiveSmallIntegerField(default=1)  # 1 to 31; a shorter month's last day stands in for it
    starts_on = models.DateField()  # local
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.CheckConstraint(
                name="anchor_is_a_day_of_the_month", condition=models.Q(anchor_day__gte=1, anchor_day__lte=31)
            ),
        )

    def __str__(self) -> str:
        return f"{self.number} ({self.tenant})"


class ContractRevision(AppendOnly):
    """What holds from `effective_on` (local midnight) until the next revision's day. Of two of a day, the later number holds.

    paused: usage is billed, fees and commitment are not. ended: the contract is over at that midnight.
    """

    class State(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        ENDED = "ended"

    contract = models.ForeignKey(Contract, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()  # from 1
    effective_on = models.DateField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    plan = models.CharField(max_length=100, blank=True)  # a name to show
    price_book = models.CharField(max_length=64, blank=True)  # its prices come before the list's; '' none
    commitment = money(default=0)  # the least that usage of a whole period costs
    note = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("contract", "number")
        constraints = (models.UniqueConstraint(fields=["contract", "number"], name="one_revision_per_number"),)

    def __str__(self) -> str:
        return f"{self.contract.number} r{self.number}"


class RevisionPart(AppendOnly):
    """A part of a revision: as unchangeable as that is."""

    class Meta:
        abstract = True


class FlatFee(RevisionPart):
    """A fee for a whole period, in proportion to the days that it held."""

    revision = models.ForeignKey(ContractRevision, on_delete=models.PROTECT, related_name="flat_fees")
    code = models.SlugField(max_length=64)
    description = models.CharField(max_length=200)
    amount = money()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["revision", "code"], name="one_flat_fee_per_code"),)

    def __str__(self) -> str:
        return f"{self.description}: {self.amount}"


class PercentageFee(RevisionPart):
    """`rate` of what the usage of the period costs before discounts, at least `minimum` for a whole period."""

    revision = models.ForeignKey(ContractRevision, on_delete=models.PROTECT, related_name="percentage_fees")
    code = models.SlugField(max_length=64)
    description = models.CharField(max_length=200)
    rate = fraction()
    minimum = money(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["revision", "code"], name="one_percentage_fee_per_code"),)

    def __str__(self) -> str:
        return f"{self.description}: {self.rate}"


class Allowance(RevisionPart):
    """Usage that is included in a whole period. `model` '*' and `tier` '': any."""

    revision = models.ForeignKey(ContractRevision, on_delete=models.PROTECT, related_name="allowances")
    code = models.SlugField(max_length=64)
    model = models.CharField(max_length=200, default="*")
    kind = models.CharField(max_length=80)
    tier = models.CharField(max_length=64, blank=True)
    quantity = amount_of_usage()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["revision", "code"], name="one_allowance_per_code"),)

    def __str__(self) -> str:
        return f"{self.quantity} {self.kind} of {self.model} included"


class Discount(RevisionPart):
    """Off what is left after those of lower positions. Exactly one of `share` (0.1 for 10 %) and `amount` (of a whole period)."""

    class AppliesTo(models.TextChoices):
        USAGE = "usage"
        FEES = "fees"
        ALL = "all"

    revision = models.ForeignKey(ContractRevision, on_delete=models.PROTECT, related_name="discounts")
    position = models.PositiveSmallIntegerField()
    code = models.SlugField(max_length=64)
    description = models.CharField(max_length=200)
    applies_to = models.CharField(max_length=8, choices=AppliesTo.choices, default=AppliesTo.USAGE)
    model = models.CharField(max_length=200, default="*")
    share = fraction(null=True, blank=True)
    amount = money(null=True, blank=True)

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(fields=["revision", "position"], name="one_discount_per_position"),
            models.CheckConstraint(
                name="discount_is_share_or_amount",
                condition=models.Q(share__isnull=False, amount__isnull=True)
                | models.Q(share__isnull=True, amount__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.description


class Objective(RevisionPart):
    """A level of service that was promised, measured on the tenant's own requests in the period; missed, it gives a credit.

    ttft_p95_ms, tpot_p95_ms: not above `threshold`, in ms. availability: the share of requests without an error, not below `threshold`.
    """

    class Measure(models.TextChoices):
        TTFT_P95_MS = "ttft_p95_ms"
        TPOT_P95_MS = "tpot_p95_ms"
        AVAILABILITY = "availability"

    revision = models.ForeignKey(ContractRevision, on_delete=models.PROTECT, related_name="objectives")
    code = models.SlugField(max_length=64)
    measure = models.CharField(max_length=16, choices=Measure.choices)
    model = models.CharField(max_length=200, default="*")
    threshold = models.DecimalField(max_digits=16, decimal_places=6)
    credit_share = fraction()  # of what the model's usage cost in the period
    least_requests = models.PositiveIntegerField(default=100)  # fewer say nothing about a percentile

    class Meta:
        constraints = (models.UniqueConstraint(fields=["revision", "code"], name="one_objective_per_code"),)

    def __str__(self) -> str:
        return f"{self.measure} {self.threshold} for {self.model}"
