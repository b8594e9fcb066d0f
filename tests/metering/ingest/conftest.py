"""Ingest ends in the table `requests`: what live roll-ups make of it is tested beside them."""

import pytest


@pytest.fixture
def clickhouse(ledger: None) -> None:
    """The tables, without the views that fill the roll-ups."""
