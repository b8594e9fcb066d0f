"""One reading as a person wants to see it: a table of GPUs, one of engines, and what is wrong. Pure: samples in, text out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from metering.agent.samples import EngineSample, GpuSample, Sample

Row = TypeVar("Row")

NOTHING = "-"  # there is no such reading


@dataclass(frozen=True, slots=True)
class _Column(Generic[Row]):
    """`unit` stands under the title. Numbers stand to the right."""

    title: str
    unit: str
    cell: Callable[[Row], str]
    right: bool = True


def render(samples: Sequence[Sample], problems: Sequence[str]) -> str:
    """Ends with a new line. Says so where there is no GPU, no engine or no problem."""
    gpus = [sample for sample in samples if isinstance(sample, GpuSample)]
    engines = [sample for sample in samples if isinstance(sample, EngineSample)]
    sections = [_table(_GPU_COLUMNS, gpus, "no GPU"), _table(_ENGINE_COLUMNS, engines, "no engine")]
    if engines:
        sections.append(_table(_TIME_COLUMNS, engines, ""))
    sections.append("\n".join(["Problems", *(f"- {problem}" for problem in problems)]) if problems else "no problems")
    return "\n\n".join(sections) + "\n"


def _table(columns: Sequence[_Column[Row]], rows: Sequence[Row], none: str) -> str:
    if not rows:
        return none
    cells = [[column.title, column.unit, *(column.cell(row) for row in rows)] for column in columns]
    widths = [max(map(len, column)) for column in cells]
    return "\n".join(
        "  ".join(
            cells[place][line].rjust(widths[place]) if column.right else cells[place][line].ljust(widths[place])
            for place, column in enumerate(columns)
        ).rstrip()
        for line in range(len(rows) + 2)
    )


def _number(value: float | None, digits: int = 0) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share * 100:.0f}"


def _gib(size: int | None) -> str:
    return NOTHING if size is None else f"{size / 2**30:.1f}"


def _pair(first: str, second: str) -> str:
    return NOTHING if first == second == NOTHING else f"{first}/{second}"


def _throttle(gpu: GpuSample) -> str:
    return NOTHING if gpu.throttle is None else ", ".join(gpu.throttle) or "none"


def _xid(gpu: GpuSample) -> str:
    """How many, and the last code."""
    if not gpu.xid_errors and not gpu.xid_last:
        return NOTHING if gpu.xid_errors is None and gpu.xid_last is None else "0"
    return f"{_number(gpu.xid_errors)} (last {_number(gpu.xid_last)})"


def _mean(total_s: float | None, count: int | None) -> str:
    """In milliseconds, since the engine began."""
    return NOTHING if total_s is None or not count else _number(total_s / count * 1000, 1)


def _short(uuid: str) -> str:
    """As much of it as tells the GPUs of a node apart."""
    return uuid[:12]


_GPU_COLUMNS: Sequence[_Column[GpuSample]] = (
    _Column("GPU", "", lambda gpu: NOTHING if gpu.index is None else str(gpu.index)),
    _Column("MIG", "", lambda gpu: gpu.mig or NOTHING, right=False),
    _Column("UUID", "", lambda gpu: _short(gpu.gpu), right=False),
    _Column("product", "", lambda gpu: gpu.name or NOTHING, right=False),
    _Column("from", "", lambda gpu: gpu.source, right=False),
    _Column("power", "W", lambda gpu: _number(gpu.power_w, 1)),
    _Column("limit", "W", lambda gpu: _number(gpu.power_limit_w)),
    _Column("energy", "J", lambda gpu: _number(gpu.energy_j)),
    _Column("busy", "%", lambda gpu: _percent(gpu.gpu_utilization)),
    _Column("SM", "%", lambda gpu: _percent(gpu.sm_active)),
    _Column("occup.", "%", lambda gpu: _percent(gpu.sm_occupancy)),
    _Column("tensor", "%", lambda gpu: _percent(gpu.tensor_active)),
    _Column("DRAM", "%", lambda gpu: _percent(gpu.dram_active)),
    _Column("memory", "GiB", lambda gpu: _pair(_gib(gpu.memory_used_bytes), _gib(gpu.memory_total_bytes))),
    _Column("temp/mem", "°C", lambda gpu: _pair(_number(gpu.temperature_c), _number(gpu.memory_temperature_c))),
    _Column("SM/mem", "MHz", lambda gpu: _pair(_number(gpu.sm_clock_mhz), _number(gpu.memory_clock_mhz))),
    _Column("throttle", "", _throttle, right=False),
    _Column("XID", "", _xid, right=False),
)
_ENGINE_COLUMNS: Sequence[_Column[EngineSample]] = (
    _Column("engine", "", lambda engine: engine.engine, right=False),
    _Column("kind", "", lambda engine: engine.engine_kind, right=False),
    _Column("up", "", lambda engine: "yes" if engine.up else "NO", right=False),
    _Column("model", "", lambda engine: engine.model or NOTHING, right=False),
    _Column("running", "req", lambda engine: _number(engine.running)),
    _Column("waiting", "req", lambda engine: _number(engine.waiting)),
    _Column("KV cache", "%", lambda engine: _percent(engine.kv_cache_usage)),
    _Column("preempted", "", lambda engine: _number(engine.preemptions)),
    _Column("prompt", "tokens", lambda engine: _number(engine.prompt_tokens)),
    _Column("of these cached", "tokens", lambda engine: _number(engine.cached_prompt_tokens)),
    _Column("generated", "tokens", lambda engine: _number(engine.generation_tokens)),
    _Column("finished", "req", lambda engine: _number(engine.requests_finished)),
    _Column("aborted", "req", lambda engine: _number(engine.requests_aborted)),
    _Column("GPUs", "", lambda engine: ", ".join(map(_short, engine.gpus)) or NOTHING, right=False),
)
_TIME_COLUMNS: Sequence[_Column[EngineSample]] = (
    _Column("mean since start", "", lambda engine: engine.engine, right=False),
    _Column("TTFT", "ms", lambda engine: _mean(engine.ttft_sum_s, engine.ttft_count)),
    _Column("ITL", "ms", lambda engine: _mean(engine.itl_sum_s, engine.itl_count)),
    _Column("end to end", "ms", lambda engine: _mean(engine.e2e_sum_s, engine.e2e_count)),
    _Column("queue", "ms", lambda engine: _mean(engine.queue_sum_s, engine.queue_count)),
    _Column("prefill", "ms", lambda engine: _mean(engine.prefill_sum_s, engine.prefill_count)),
    _Column("decode", "ms", lambda engine: _mean(engine.decode_sum_s, engine.decode_count)),
)
