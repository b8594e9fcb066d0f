"""Tallywatt's client side. Base dependencies only: no Django here. See docs/client.md."""

from tallywatt.aio import AsyncClient
from tallywatt.client import Client
from tallywatt.deadletters import Rejected
from tallywatt.errors import Closed, InvalidEvent, InvalidUsage, OutboxError, OutboxFull, TallywattError
from tallywatt.events import RequestEvent
from tallywatt.stats import Stats
from tallywatt.usage import TokenCounts, from_anthropic_usage, from_openai_usage

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Closed",
    "InvalidEvent",
    "InvalidUsage",
    "OutboxError",
    "OutboxFull",
    "Rejected",
    "RequestEvent",
    "Stats",
    "TallywattError",
    "TokenCounts",
    "from_anthropic_usage",
    "from_openai_usage",
]
