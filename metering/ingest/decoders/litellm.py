"""LiteLLM's usage, as its `openmeter` and `lago` callbacks send it: the model, its cost, and a usage block in OpenAI's words.

The convention, in every release: cached reads and cache writes lie inside `prompt_tokens` (LiteLLM adds Anthropic's up, which come
beside it), reasoning inside `completion_tokens`. The callbacks send the totals alone; the details are read where somebody adds them.
"""

from typing import Any

from metering.contracts import RejectReason
from metering.ingest.decoders.common import BadEvent

EVENT_TYPE = "litellm_tokens"
COSTS = ("cost", "response_cost")  # what LiteLLM thinks that the provider charged: kept, never billed
TOTALS = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
DETAILS = {
    "prompt_tokens_details": {
        "cached_tokens": "cached_input_tokens",
        "cache_write_tokens": "cache_write_tokens",
        "cache_creation_tokens": "cache_write_tokens",  # its name in releases before 2026
    },
    "completion_tokens_details": {"reasoning_tokens": "reasoning_tokens"},
}
READ = {*TOTALS, *DETAILS, *COSTS, "total_tokens"}


def fields(data: dict[str, Any], path: str = "data") -> dict[str, Any]:
    """Canonical fields. What LiteLLM does not send is left as it is, for the rules of fields.py. Raises BadEvent.

    `path` is where the sender wrote `data`, for error messages.
    """
    found = {name: value for name, value in data.items() if name not in READ}
    for name, inner in TOTALS.items():
        _put(found, inner, data.get(name), f"{path}.{name}")
    for name, parts in DETAILS.items():
        details = data.get(name) or {}
        if not isinstance(details, dict):
            raise BadEvent(f"{path}.{name}", RejectReason.WRONG_TYPE, f"{path}.{name} must be an object")
        for part, inner in parts.items():
            _put(found, inner, details.get(part), f"{path}.{name}.{part}")
    return keep(found, {name: _cost(data[name], f"{path}.{name}") for name in COSTS if data.get(name) is not None})


def keep(found: dict[str, Any], extra: dict[str, str], path: str = "data.attributes") -> dict[str, Any]:
    """The same with `extra` among its attributes. Raises BadEvent where the sender's own attributes say otherwise."""
    own = found.get("attributes")
    if not extra or not (own is None or isinstance(own, dict)):  # what is no object is refused later, by its rule
        return found
    for name in extra.keys() & (own or {}).keys():
        _same(extra[name], (own or {})[name], f"{path}.{name}")
    return found | {"attributes": (own or {}) | extra}


def _put(found: dict[str, Any], name: str, value: Any, field: str) -> None:
    if value is not None:
        _same(value, found.get(name, value), field)
        found[name] = value


def _same(value: Any, other: Any, field: str) -> None:
    if value != other:
        raise BadEvent(field, RejectReason.INVARIANT, f"{field} is said twice, and differently")


def _cost(value: Any, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadEvent(field, RejectReason.WRONG_TYPE, f"{field} must be a number or text")
    return str(value)
