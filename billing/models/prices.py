"""Price books: named sets of prices, each changed by adding a version."""

from django.db import models

from billing.models.base import AppendOnly, price_amount


class PriceBook(models.Model):
    """A set of prices. `list` is everybody's; a contract may name another, whose prices then come first."""

    name = models.SlugField(max_length=64, unique=True)
    description = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class PriceBookVersion(AppendOnly):
    """One change of a book: the rows that it adds. As of a version, a book is all rows up to it. An invoice names the versions it used."""

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    note = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["book", "number"], name="one_version_per_number"),)

    def __str__(self) -> str:
        return f"{self.book} v{self.number}"


class PriceBookPublication(AppendOnly):
    """From then on a version holds. A version without one is a draft, which only a preview rates with.

    What is newer than a draft keeps it from being published: a book as of a version never changes. `effective_from`: when those of its
    prices begin that name no moment of their own; null where all do.
    """

    version = models.OneToOneField(PriceBookVersion, on_delete=models.PROTECT, related_name="publication")
    effective_from = models.DateTimeField(null=True, blank=True)
    published_by = models.CharField(max_length=150, blank=True)
    published_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.version}, published"


class Price(AppendOnly):
    """What one kind of usage costs from `effective_from` on (null: from its version's publication).

    `model` '*', and '' or 0 in the other matchers: any. `context_over`: requests with more input tokens than this, an edge of the
    ledger's bands.

    per_unit: `amount` for every `per` units. package: `amount` for every started `per` units. graduated, volume: `tiers`, each
    {"up_to": whole number or null, "amount": text, "flat": text}, amounts for every `per` units. percentage: `rate` of the quantity,
    which is money then, with `fixed` for each event. withdrawn: from then on this row's key has no price.
    """

    class ChargeModel(models.TextChoices):
        PER_UNIT = "per_unit"
        GRADUATED = "graduated"
        VOLUME = "volume"
        PACKAGE = "package"
        PERCENTAGE = "percentage"
        WITHDRAWN = "withdrawn"

    version = models.ForeignKey(PriceBookVersion, on_delete=models.PROTECT, related_name="prices")
    model = models.CharField(max_length=200)
    kind = models.CharField(max_length=80)  # billing.rating.Kind, `request`, or `meter:<slug>`
    tier = models.CharField(max_length=64, blank=True)
    operation = models.CharField(max_length=64, blank=True)
    region = models.CharField(max_length=64, blank=True)
    context_over = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    charge_model = models.CharField(max_length=16, choices=ChargeModel.choices, default=ChargeModel.PER_UNIT)
    amount = price_amount(null=True)
    per = models.PositiveBigIntegerField(default=1_000_000)
    tiers = models.JSONField(null=True, blank=True)
    rate = models.DecimalField(null=True, blank=True, max_digits=12, decimal_places=10)
    fixed = price_amount(null=True, blank=True)
    effective_from = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="price_not_negative", condition=models.Q(amount__isnull=True) | models.Q(amount__gte=0)
            ),
            models.CheckConstraint(name="price_is_per_something", condition=models.Q(per__gt=0)),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.kind} {self.tier or 'any tier'}: {self.amount} {self.currency} per {self.per}"


class PricePreview(models.Model):
    """History re-rated under a draft, or another version, of a book: what it would have brought, customer by customer.

    A worker claims it, says how far it is, and leaves the result; what it was computed from is stored, so that it can be computed again.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    version = models.ForeignKey(PriceBookVersion, on_delete=models.PROTECT, related_name="previews")
    months = models.PositiveSmallIntegerField()
    as_dated = models.BooleanField(default=False)  # False: its prices as if they had held throughout
    until = models.DateTimeField()  # billing periods that ended by then
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    periods_done = models.PositiveIntegerField(default=0)
    periods_due = models.PositiveIntegerField(default=0)
    seal = models.PositiveBigIntegerField(null=True, blank=True)
    price_versions = models.JSONField(default=dict, blank=True)  # {book: version} that it is compared with
    result = models.JSONField(null=True, blank=True)  # billing.price_preview.as_json
    error = models.TextField(blank=True)
    asked_by = models.CharField(max_length=150, blank=True)
    asked_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"preview of {self.version} over {self.months} months"
