import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from pytest_django.fixtures import Settings

from metering import accounts, users
from metering.capacity import storing
from metering.demo import seed, state
from metering.demo.provider import CUSTOMERS
from metering.live import LiveScope
from metering.management.commands.demo import Command
from metering.objectives import definitions

pytestmark = pytest.mark.django_db


def test_create_user_prints_a_password_that_opens_the_door(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_user", "olga", role="operator")

    password = capsys.readouterr().out.strip()
    user = authenticate(username="olga", password=password)
    assert user is not None
    assert accounts.membership_of(user) == accounts.MembershipInfo("operator", None)


def test_a_customer_sees_the_tenant_that_was_named() -> None:
    accounts.create_tenant("acme")
    call_command("create_user", "carl", role="customer", tenant="acme", stdout=io.StringIO())

    assert accounts.membership_of(users.User.objects.get(username="carl")) == accounts.MembershipInfo(
        "customer", "acme"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"role": "customer"}, "needs a tenant"),
        ({"role": "customer", "tenant": "nobody"}, "no tenant 'nobody'"),
        ({"role": "finance", "tenant": "acme"}, "for customers"),
    ],
)
def test_role_and_tenant_must_fit(options: dict[str, str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("create_user", "carl", **options)
    assert not users.User.objects.filter(username="carl").exists()


def test_a_name_is_given_once() -> None:
    users.create_user("olga", "operator")

    with pytest.raises(CommandError, match="exists already"):
        call_command("create_user", "olga", role="finance")


def test_a_password_from_standard_input_is_checked_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("password\n"))
    with pytest.raises(CommandError, match="too common"):
        call_command("create_user", "olga", role="operator", password_stdin=True)

    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    call_command("create_user", "olga", role="operator", password_stdin=True)
    assert capsys.readouterr().out == ""
    assert authenticate(username="olga", password="correct horse battery") is not None


def test_customers_and_people_are_made_once_and_their_passwords_hold(tmp_path: object) -> None:
    demo = state.begin(tmp_path, datetime.now(UTC))  # type: ignore[arg-type]
    for _ in range(2):
        seed.create_customers()
        seed.create_people(demo)

    made = {tenant.key: tenant for tenant in accounts.tenants()}
    assert {customer.key for customer in CUSTOMERS} <= set(made)
    assert all(made[customer.key].is_demo for customer in CUSTOMERS)
    assert [login.role for login in demo.logins] == ["operator", "finance", "customer"]
    for login in demo.logins:
        assert authenticate(username=login.username, password=login.password) is not None


def test_every_model_has_a_price_in_every_currency_of_its_customers() -> None:
    from billing.models import Price

    quiet = OutputWrapper(io.StringIO())
    seed.set_prices(quiet)
    count = Price.objects.count()
    seed.set_prices(quiet)

    assert Price.objects.count() == count
    priced = set(Price.objects.values_list("model", "currency"))
    assert {(model, customer.currency) for customer in CUSTOMERS for model in customer.models} <= priced


def test_the_month_before_the_history_is_not_closed(tmp_path: object) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    demo = state.DemoState(tmp_path / "demo.json", now - timedelta(days=3), now)  # type: ignore[operator]
    said: list[str] = []

    seed.close_months(demo, now, OutputWrapper(io.StringIO()), said.append)

    assert said == []  # there are no customers: it would have complained


def test_traffic_without_a_demo_says_what_to_do_first(settings: object, tmp_path: object) -> None:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]

    with pytest.raises(CommandError, match="demo seed"):
        call_command("demo", "traffic")


def test_objectives_are_set_once_and_what_was_changed_stays() -> None:
    seed.set_objectives()
    definitions.set_objective("Availability", measure="error", target="0.5")
    definitions.remove_objective("First token")
    seed.set_objectives()

    found = {one.name: one for one in definitions.objectives()}
    assert set(found) == {name for name, *_ in seed.OBJECTIVES}
    assert str(found["Availability"].target) == "0.500000"


def test_forecasts_made_before_the_history_was_whole_are_asked_for_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    demo = state.begin(tmp_path, datetime.now(UTC))
    demo.agreed = True
    demo.save()

    def history(self: Command, *args: Any) -> int:
        storing.keep_demand(LiveScope(model="half-known"), datetime.now(UTC), {"measures": {}})
        return 0

    monkeypatch.setattr(Command, "_history", history)
    monkeypatch.setattr(seed, "close_months", lambda *args: None)
    Command()._seed()
    assert LiveScope(model="half-known") in storing.pending(datetime.now(UTC))[0]
