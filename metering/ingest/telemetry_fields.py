"""The fields of a GPU's and of an engine's sample, with the rule of each: metering/agent/samples.py says what they mean.

A field has its rule twice over, made in one place from the same limits: as a type that msgspec checks while it reads JSON, and as a
function that gives the reason (as in fields.py). Nothing is coerced, and nothing is clipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from metering.agent.samples import ENGINE_KINDS, GPU_SOURCES, THROTTLE_REASONS
from metering.contracts import RejectReason
from metering.ingest import fields
from metering.ingest.decoders.otlp_points import BLANK_DCGM
from metering.ingest.fields import REQUIRED, FieldError, Limits, Rule, kind_of
from metering.moments import milliseconds

# GPM and DCGM average over their interval and may end a rounding above 1; such a share is kept as it was measured.
MOST_SHARE = 1.001
MOST_POWER_W = 10_000.0
MOST_ENERGY_J = 1e13  # 10 kW for 31 years
MOST_MEMORY_BYTES = 2**46  # 64 TiB
MOST_CLOCK_MHZ = 100_000
COLDEST_C, HOTTEST_C = -50.0, 200.0
MOST_XID = 2**16 - 1  # codes are below 200 (NVIDIA, "XID Errors", r580)
MOST_XID_ERRORS = 10**9
MOST_INDEX = 2**16 - 1
MOST_GPUS = 32  # of one engine
MOST_REQUESTS = 1e6  # in one engine at once
MOST_SECONDS = 1e12  # of all requests of an engine together
# From here on a 64-bit number stands for "no value" (NVML, dcgm_structs.h), as four 32-bit ones do in a GPU's readings.
MOST_COUNT = 0x7FFFFFFFFFFFFFF0 - 1
INT64 = Meta(ge=-(2**63), le=2**63 - 1)
# mypy knows no Literal of values that another module lists.
_OneOf: Any = Literal


@dataclass(frozen=True)
class Field:
    """`rule`: from a value as JSON gave it to what the column holds, or FieldError. `record`: the type for msgspec.

    `default`: what a missing or null field means; REQUIRED if it must be there.
    """

    rule: Rule
    record: Any
    default: Any = None


def is_blank(value: float) -> bool:
    """Whether a number is one that NVML or DCGM has for "no value"."""
    return value > MOST_COUNT or value in BLANK_DCGM


def stands_for_nothing(value: float) -> FieldError:
    return FieldError(RejectReason.OUT_OF_RANGE, f"is {value}, which stands for 'no value': leave the field out")


def _number(least: float, most: float, unit: str) -> Field:
    def rule(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FieldError(RejectReason.WRONG_TYPE, f"expected a number, got {kind_of(value)}")
        if not least <= value <= most:  # true for NaN too
            if is_blank(value):
                raise stands_for_nothing(value)
            expected = f"{least:.12g} to {most:.12g} {unit}".rstrip()
            raise FieldError(RejectReason.OUT_OF_RANGE, f"is {value}, expected {expected}")
        return float(value)

    return Field(rule, Annotated[float, Meta(ge=least, le=most)] | None)


def _count(most: int) -> Field:
    def rule(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldError(RejectReason.WRONG_TYPE, f"expected a whole number, got {kind_of(value)}")
        if not 0 <= value <= most:
            if is_blank(value):
                raise stands_for_nothing(value)
            raise FieldError(RejectReason.OUT_OF_RANGE, f"is {value}, expected 0 to {most}")
        return value

    return Field(rule, Annotated[int, Meta(ge=0, le=most)] | None)


def _name() -> Field:
    return Field(
        fields.text(Limits(least=1)), Annotated[str, Meta(min_length=1, max_length=Limits().longest)], REQUIRED
    )


def _text() -> Field:
    return Field(fields.text(Limits()), Annotated[str, Meta(max_length=Limits().longest)] | None, "")


def _word(choices: tuple[str, ...]) -> Field:
    return Field(fields.one_of(choices), _OneOf[choices], REQUIRED)


def _flag(default: bool) -> Field:
    return Field(fields.flag, bool | None, default)


def _listed(item: Field, most: int, default: Any) -> Field:
    def rule(value: Any) -> list[str]:
        if not isinstance(value, list):
            raise FieldError(RejectReason.WRONG_TYPE, f"expected a list of texts, got {kind_of(value)}")
        if len(value) > most:
            raise FieldError(RejectReason.TOO_LONG, f"has {len(value)} items, at most {most} are taken")
        return [item.rule(each) for each in value]

    return Field(rule, Annotated[list[item.record], Meta(max_length=most)] | None, default)  # type: ignore[name-defined]


def _moment(value: Any) -> int:
    """Milliseconds since 1970."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return milliseconds(fields.time(value))


TIME = Field(_moment, Annotated[int, INT64] | str, REQUIRED)
SHARE = _number(0, MOST_SHARE, "")
POWER = _number(0, MOST_POWER_W, "W")
MEMORY = _count(MOST_MEMORY_BYTES)
CLOCK = _count(MOST_CLOCK_MHZ)
TEMPERATURE = _number(COLDEST_C, HOTTEST_C, "degrees Celsius")
COUNTER = _count(MOST_COUNT)
REQUESTS = _number(0, MOST_REQUESTS, "requests")
SECONDS = _number(0, MOST_SECONDS, "s")

_SHARED: Mapping[str, Field] = {
    "time": TIME,
    "node": _name(),
    "region": _text(),
    "cluster": _text(),
    "simulated": _flag(False),
}
GPU_FIELDS: Mapping[str, Field] = {
    **_SHARED,
    "gpu": _name(),
    "source": _word(GPU_SOURCES),
    "index": _count(MOST_INDEX),
    "mig": _text(),
    "name": _text(),
    "gpu_utilization": SHARE,
    "memory_utilization": SHARE,
    "sm_active": SHARE,
    "sm_occupancy": SHARE,
    "tensor_active": SHARE,
    "dram_active": SHARE,
    "memory_used_bytes": MEMORY,
    "memory_total_bytes": MEMORY,
    "power_w": POWER,
    "power_limit_w": POWER,
    "energy_j": _number(0, MOST_ENERGY_J, "J"),
    "sm_clock_mhz": CLOCK,
    "memory_clock_mhz": CLOCK,
    "temperature_c": TEMPERATURE,
    "memory_temperature_c": TEMPERATURE,
    "throttle": _listed(_word(THROTTLE_REASONS), len(THROTTLE_REASONS), None),
    "xid_errors": _count(MOST_XID_ERRORS),
    "xid_last": _count(MOST_XID),
}
ENGINE_FIELDS: Mapping[str, Field] = {
    **_SHARED,
    "engine": _name(),
    "engine_kind": _word(ENGINE_KINDS),
    "up": _flag(True),
    "model": _text(),
    "gpus": _listed(_name(), MOST_GPUS, None),
    "running": REQUESTS,
    "waiting": REQUESTS,
    "kv_cache_usage": SHARE,
    "preemptions": COUNTER,
    "prompt_tokens": COUNTER,
    "cached_prompt_tokens": COUNTER,
    "generation_tokens": COUNTER,
    "prefix_cache_queries": COUNTER,
    "prefix_cache_hits": COUNTER,
    "requests_finished": COUNTER,
    "requests_aborted": COUNTER,
    **{
        name: field
        for of in ("ttft", "itl", "e2e", "queue", "prefill", "decode")
        for name, field in ((f"{of}_sum_s", SECONDS), (f"{of}_count", COUNTER))
    },
}
