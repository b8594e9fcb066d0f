"""A caller of the finance API, with a key."""

import csv
import io
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.test import Client

from metering import public as metering

ALL_SCOPES = ("usage:read", "finance:read")
Get = Callable[..., HttpResponse]


def key(tenant: str | None, *scopes: str) -> str:
    """`tenant` None: an operator's."""
    return metering.issue_key(tenant, scopes or ALL_SCOPES)


def get(path: str, token: str | None, query: dict[str, Any] | None = None, **headers: str) -> HttpResponse:
    named = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return Client().get(path, query or {}, headers=named | headers)


def rows_of(response: HttpResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))
