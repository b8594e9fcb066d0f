"""Making the demo's provider: customers, people, prices, 35 days of history, last month's invoices.

Every step may be run again: what is there stays, and history is topped up from where it ends. Prices and invoices are billing's, which
this package does not know: they are made by its commands, as an operator would.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper

from metering import accounts, users
from metering.demo.provider import CUSTOMERS, EUR_PER_USD, MODELS, Model
from metering.demo.state import DemoState, Login
from metering.objectives.definitions import objectives, set_objective
from metering.telemetry.energy import prices

TIER_FACTORS = {"": Decimal(1), "batch": Decimal("0.5"), "priority": Decimal("1.75")}
# Region, USD a kWh by day and from 22 to 6 h UTC, and grams of CO2 a kWh.
TARIFFS = (("eu-north-1", "0.070", "0.045", "25"), ("us-east-1", "0.085", "0.060", "380"))
GPU_HOUR = "1.60"  # USD
# Name, measure, ms, share of requests, and the model: most of them kept, not all by much.
OBJECTIVES = (
    ("First token", "ttft_ms", "1500", "0.98", ""),
    ("First token of llama-3.1-8b", "ttft_ms", "700", "0.95", "llama-3.1-8b"),
    ("Pace of llama-3.3-70b", "tpot_ms", "28", "0.985", "llama-3.3-70b"),
    ("Whole answers of qwen3-235b", "e2e_ms", "30000", "0.96", "qwen3-235b-a22b"),
    ("Availability", "error", None, "0.99", ""),
)
PEOPLE = (
    ("operator", "demo-operator", None, "/operator/"),
    ("finance", "demo-finance", None, "/"),
    ("customer", "demo-customer", "harbor-code", "/portal/"),
)


def create_customers() -> None:
    known = {tenant.key for tenant in accounts.tenants()}
    for customer in CUSTOMERS:
        if customer.key not in known:
            accounts.create_tenant(customer.key, customer.name, customer.currency, is_demo=True)


def create_people(state: DemoState) -> None:
    """One for each audience. A password is on disk before it is in force, so that none is ever lost."""
    known = {login.username for login in state.logins}
    for role, username, _, url in PEOPLE:
        if username not in known:
            state.logins.append(Login(role, username, secrets.token_urlsafe(12), url))
    state.save()
    passwords = {login.username: login.password for login in state.logins}
    for role, username, tenant, _ in PEOPLE:
        users.ensure_user(username, role, tenant, password=passwords[username])


def set_prices(quiet: OutputWrapper) -> None:
    for model in MODELS:
        for currency, factor in (("USD", Decimal(1)), ("EUR", EUR_PER_USD)):
            for tier, tier_factor in TIER_FACTORS.items():
                for kind, price in _prices(model).items():
                    options = {"model": model.name, "kind": kind, "currency": currency, "tier": tier}
                    amount = str((price * factor * tier_factor).normalize())
                    call_command("set_price", per_million=amount, stdout=quiet, stderr=quiet, **options)


def set_tariffs() -> None:
    """What energy, CO2 and GPU time cost the made-up provider: plausible, nobody's. What is set already stays as it is."""
    for region, day, night, grams in TARIFFS:
        prices.set_energy_price(region=region, per_kwh=day, currency="USD")
        prices.set_energy_price(region=region, per_kwh=night, currency="USD", from_hour=22, to_hour=6)
        prices.set_carbon_intensity(region=region, g_per_kwh=grams)
    prices.set_gpu_price(product="*", region="*", per_gpu_hour=GPU_HOUR, currency="USD")


def set_objectives() -> None:
    """What the made-up provider promises. What is set already stays as it is."""
    known = {one.name for one in objectives()}
    for name, measure, threshold_ms, target, model in OBJECTIVES:
        if name not in known:
            set_objective(name, measure=measure, threshold_ms=threshold_ms, target=target, model=model)


def _prices(model: Model) -> dict[str, Decimal]:
    prices = {"input": model.input_price, "cached_input": model.cached_price}
    return prices if model.embeds else prices | {"output": model.output_price}


def close_months(state: DemoState, now: datetime, out: OutputWrapper, say: Callable[[str], None]) -> None:
    """Invoices of the demo's customers for the month before this one. Other tenants are left alone."""
    last = now.replace(day=1) - timedelta(days=1)
    if (last.year, last.month) < (state.anchor.year, state.anchor.month):
        return
    for customer in CUSTOMERS:
        try:
            call_command("close_period", tenant=customer.key, period=f"{last:%Y-%m}", stdout=out, stderr=out)
        except CommandError as error:
            say(f"no invoice for {customer.key}: {error}")
