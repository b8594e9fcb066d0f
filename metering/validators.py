"""Rules for fields that several models have."""

from django.core.validators import RegexValidator

CURRENCY = RegexValidator(r"\A[A-Z]{3}\Z", "an ISO 4217 code such as USD")
