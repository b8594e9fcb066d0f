"""People who log in, as the dashboard's tests have them."""

import pytest
from django.test import Client

from tests.dashboard.conftest import LogIn, log_in

__all__ = ["log_in"]


@pytest.fixture
def finance(log_in: LogIn) -> Client:
    return log_in("finance")
