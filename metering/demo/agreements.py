"""What the demo's provider has agreed with its customers: contracts, credit, a price book of one customer. All of it is made up.

Each customer shows something: a plan with a commitment and a service level, VAT, reverse charge, prices of a contract, credit that runs
out. It is made by billing's commands, as an operator would.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper

SELLER = {
    "name": "Borealis Inference GmbH (demo)",
    "address_line1": "Speicherstraße 1",
    "postal_code": "20457",
    "city": "Hamburg",
    "country": "DE",
    "tax_id": "DE136695976",
    "email": "billing@borealis.example",
    "iban": "DE89370400440532013000",
    "bic": "COBADEFFXXX",
}
CUSTOMERS: dict[str, Mapping[str, Any]] = {
    "harbor-code": {"legal_name": "Harbor Code, Inc.", "city": "Portland", "state": "OR", "country": "US"},
    "atlas-support": {"legal_name": "Atlas Support GmbH", "city": "Köln", "country": "DE", "tax_id": "DE811191002"},
    "fjord-legal": {"legal_name": "Fjord Legal A/S", "city": "Aarhus", "country": "DK", "tax_id": "DK13585628"},
    "lumen-search": {"legal_name": "Lumen Search Ltd", "city": "Leeds", "country": "GB"},
}
BOOK = "lumen-2026"  # a price book of one customer
CONTRACTS: dict[str, Mapping[str, Any]] = {
    "harbor-code": {
        "plan": "Scale",
        "commitment": "40",
        "flat_fees": [{"code": "platform", "description": "Platform fee", "amount": "29"}],
        "discounts": [
            {"code": "volume", "description": "Volume discount", "applies_to": "usage", "share": "0.1"},
        ],
        "objectives": [
            {
                "code": "ttft",
                "measure": "ttft_p95_ms",
                "model": "qwen3-235b-a22b",
                "threshold": "400",
                "credit_share": "0.05",
            },
        ],
    },
    "atlas-support": {
        "plan": "Team",
        "flat_fees": [{"code": "team", "description": "Team plan", "amount": "49"}],
        "allowances": [
            {"code": "included", "model": "llama-3.3-70b", "kind": "input", "quantity": "5000000"},
        ],
        "percentage_fees": [
            {"code": "support", "description": "Premium support", "rate": "0.03", "minimum": "5"},
        ],
    },
    "fjord-legal": {"plan": "Pay as you go"},
    "lumen-search": {"plan": "Enterprise", "price_book": BOOK},
}
ZONES = {"atlas-support": "Europe/Berlin", "fjord-legal": "Europe/Copenhagen", "lumen-search": "Europe/London"}


def agree(now: datetime, quiet: OutputWrapper, say: Callable[[str], None]) -> None:
    """Once, before anything is invoiced: contracts begin with the month before this one. What is refused is said, and left out."""
    run = partial(_run, quiet, say)
    starts_on = (now.replace(day=1) - timedelta(days=1)).replace(day=1).date()
    run("set_seller", **SELLER)
    for kind, amount in (("input", "0.042"), ("output", "0.068")):
        run("set_price", book=BOOK, model="llama-3.1-8b", kind=kind, currency="USD", per_million=amount)
    for key, values in CUSTOMERS.items():
        run("set_customer", tenant=key, emails=[f"accounts@{key}.example"], **values)
    for key, terms in CONTRACTS.items():
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(terms, file)
            file.flush()
            zone = ZONES.get(key, "UTC")
            run("create_contract", tenant=key, starts_on=starts_on, time_zone=zone, anchor_day=1, terms=file.name)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    welcome = {"kind": "promotional", "name": "Welcome credit", "expires_at": start + timedelta(days=90)}
    run("grant_credit", tenant="mango-tutor", amount=Decimal(25), source="demo:welcome", **welcome)
    run("grant_credit", tenant="harbor-code", amount=Decimal(100), kind="paid", name="Prepaid", source="demo:prepaid")


def _run(quiet: OutputWrapper, say: Callable[[str], None], command: str, **options: Any) -> None:
    try:
        call_command(command, stdout=quiet, stderr=quiet, **options)
    except CommandError as error:
        say(f"{command}: {error}")
