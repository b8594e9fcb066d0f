"""The made-up provider of the demo: its models, customers and prices. Numbers are plausible, none is anybody's.

Shares, lengths and latencies are chosen so that the pages show what they are for: a few large customers and many small ones,
long-tailed lengths, a daily and weekly rhythm, latency that rises with load.
"""

from dataclasses import dataclass
from decimal import Decimal

SOURCE = "demo"
HISTORY_DAYS = 35


@dataclass(frozen=True)
class Model:
    """`ttft_base_ms` without queue, `prefill_ms` per uncached input token, `tpot_ms` per output token on an idle engine."""

    name: str
    ttft_base_ms: float
    prefill_ms: float
    tpot_ms: float
    context: int
    input_price: Decimal  # per million tokens, USD; so the others
    cached_price: Decimal
    output_price: Decimal
    reasoning_share: float = 0.0  # mean share of the output that is reasoning
    embeds: bool = False


@dataclass(frozen=True)
class Workload:
    """What a kind of product sends. Medians and sigmas of log-normal lengths in tokens."""

    input_median: int
    input_sigma: float
    output_median: int
    output_sigma: float
    cache_hits: float  # share of the requests whose prompt starts with something already seen
    cached_share: float  # of those requests' input, at most
    streams: float


@dataclass(frozen=True)
class Customer:
    """`rate_rps` is the daily mean at the end of the history; it doubled every `doubling_days` before."""

    key: str
    name: str
    rate_rps: float
    doubling_days: float
    peak_hour: float  # UTC
    weekend: float  # traffic at weekends, as a share of a weekday's
    workload: str
    models: dict[str, float]
    currency: str = "USD"
    tiers: tuple[tuple[str, float], ...] = (("standard", 1.0),)
    projects: tuple[str, ...] = ("production", "staging")
    region: str = "eu-north-1"


def _price(text: str) -> Decimal:
    return Decimal(text)


MODELS = (
    Model("llama-3.1-8b", 38, 0.006, 5.5, 131_072, _price("0.05"), _price("0.02"), _price("0.08")),
    Model("llama-3.3-70b", 70, 0.028, 14, 131_072, _price("0.55"), _price("0.20"), _price("0.75")),
    Model("qwen3-235b-a22b", 85, 0.022, 12, 262_144, _price("0.35"), _price("0.10"), _price("1.40"), 0.35),
    Model("deepseek-r1", 120, 0.035, 17, 163_840, _price("0.90"), _price("0.25"), _price("2.40"), 0.7),
    Model("bge-m3", 9, 0.003, 0, 8_192, _price("0.01"), _price("0.01"), _price("0"), embeds=True),
)
EUR_PER_USD = Decimal("0.9")  # the price list in euros, not an exchange rate

WORKLOADS = {
    "chat": Workload(700, 1.0, 230, 0.9, 0.55, 0.8, 0.97),
    "code": Workload(2_600, 1.1, 60, 1.1, 0.7, 0.9, 0.9),
    "agent": Workload(11_000, 1.0, 380, 1.0, 0.85, 0.95, 0.8),
    "search": Workload(3_400, 0.7, 140, 0.7, 0.3, 0.4, 0.95),
    "batch": Workload(1_800, 0.6, 420, 0.6, 0.1, 0.5, 0.0),
    "reasoning": Workload(900, 1.1, 1_700, 0.8, 0.35, 0.6, 0.95),
}

_PRIORITY = (("standard", 0.75), ("priority", 0.25))
_BATCH = (("batch", 0.9), ("standard", 0.1))

CUSTOMERS = (
    Customer("lumen-search", "Lumen Search", 0.72, 9, 14, 0.7, "search", {"llama-3.1-8b": 0.55, "llama-3.3-70b": 0.15, "bge-m3": 0.3}),
    Customer(
        "harbor-code", "Harbor Code", 0.46, 6, 15, 0.3, "code", {"qwen3-235b-a22b": 0.7, "llama-3.1-8b": 0.3},
        tiers=_PRIORITY, projects=("autocomplete", "review", "ci"), region="us-east-1",
    ),
    Customer("atlas-support", "Atlas Support", 0.29, 14, 11, 0.5, "chat", {"llama-3.3-70b": 0.8, "bge-m3": 0.2}, currency="EUR"),
    Customer(
        "tern-robotics", "Tern Robotics", 0.2, 5, 18, 0.6, "agent", {"qwen3-235b-a22b": 0.8, "deepseek-r1": 0.2},
        projects=("planner", "simulation"), region="us-east-1",
    ),
    Customer("quill-mail", "Quill Mail", 0.14, 20, 9, 0.25, "chat", {"llama-3.1-8b": 1.0}),
    Customer("vega-research", "Vega Research", 0.09, 8, 13, 0.8, "reasoning", {"deepseek-r1": 0.85, "qwen3-235b-a22b": 0.15}),
    Customer("fjord-legal", "Fjord Legal", 0.06, 25, 10, 0.1, "search", {"llama-3.3-70b": 0.9, "bge-m3": 0.1}, currency="EUR"),
    Customer("delta-bio", "Delta Bio", 0.045, 12, 2, 0.9, "batch", {"llama-3.3-70b": 0.6, "deepseek-r1": 0.4}, tiers=_BATCH),
    Customer("mango-tutor", "Mango Tutor", 0.03, 10, 17, 0.4, "chat", {"llama-3.1-8b": 0.6, "qwen3-235b-a22b": 0.4}),
    Customer("orbit-games", "Orbit Games", 0.02, 7, 20, 1.6, "chat", {"llama-3.1-8b": 1.0}, region="us-east-1"),
    Customer("basil-kitchen", "Basil Kitchen", 0.008, 30, 16, 1.2, "chat", {"llama-3.1-8b": 1.0}, projects=("app",)),
    Customer("pico-notes", "Pico Notes", 0.003, 40, 12, 0.8, "chat", {"llama-3.1-8b": 1.0}, projects=("app",)),
)  # fmt: skip
