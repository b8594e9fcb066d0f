"""The rows of energy_windows and energy_attributed, as Arrow tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metering.telemetry.energy.arrays import Floats, Ints
from metering.telemetry.energy.attribution import Terms
from metering.telemetry.energy.blocks import Attributed, Energy, starts
from metering.telemetry.energy.inputs import Claim
from metering.telemetry.energy.parts import Part, Seen

TEXT = pa.dictionary(pa.int32(), pa.string())
OWN = ("tenant", "model", "tier")
LABELS = ("node", "engine", "region", "cluster", "model", "product")
# Columns of energy_windows and the terms that they are.
TERMS = {
    "counter_j": "counter_j",
    "idle_j": "idle_j",
    "attributed_j": "attributed_j",
    "unattributed_gap_j": "gap_j",
    "unattributed_no_event_j": "no_event_j",
    "unattributed_aborted_j": "aborted_j",
    "unattributed_no_engine_j": "no_engine_j",
    "conservation_error": "conservation_error",
    "gpu_s": "total_s",
    "idle_gpu_s": "idle_s",
    "attributed_gpu_s": "attributed_s",
    "gap_gpu_s": "gap_s",
    "no_event_gpu_s": "no_event_s",
    "aborted_gpu_s": "aborted_s",
    "no_engine_gpu_s": "no_engine_s",
}
COMPARED = {
    "engine_prefill_tokens": "engine_prefill",
    "engine_cached_tokens": "engine_cached",
    "engine_decode_tokens": "engine_decode",
    "event_prefill_tokens": "event_prefill",
    "event_cached_tokens": "event_cached",
    "event_decode_tokens": "event_decode",
    "engine_requests_finished": "engine_finished",
    "engine_requests_aborted": "engine_aborted",
    "event_requests": "event_requests",
    "engine_gap_s": "gap_s",
}
DIVIDED = (
    "missing_prefill_tokens",
    "missing_decode_tokens",
    "work_prefill_tokens",
    "work_decode_tokens",
    "work_prefill_context",
    "prefill_s",
    "idle_power_w",
)
GROUP = {"at_rest_j": "at_rest_j", "at_rest_gpu_s": "at_rest_s", "lowest_power_w": "lowest_w"}
WINDOWS = pa.schema(
    [
        ("window_start", pa.timestamp("s", "UTC")),
        *((name, TEXT) for name in LABELS),
        ("simulated", pa.bool_()),
        ("gpus", pa.list_(pa.string())),
        ("engines_in_group", pa.uint32()),
        *((name, pa.float64()) for name in (*TERMS, *COMPARED, *DIVIDED, *GROUP)),
        *((name, pa.float64()) for name in ("busy_s", "idle_s", "gap_s", "unattributed_gpu_s")),
        ("engine_restarts", pa.uint32()),
        ("power_integrated", pa.bool_()),
        ("idle_power_measured", pa.bool_()),
        ("coefficients_id", pa.uint64()),
        ("version", pa.uint64()),
    ]
)
ATTRIBUTED = pa.schema(
    [
        ("window_start", pa.timestamp("s", "UTC")),
        *((name, TEXT) for name in ("node", "engine", "tenant", "model", "tier", "region", "product")),
        ("requests", pa.uint64()),
        *((name, pa.float64()) for name in ("prefill_tokens", "decode_tokens", "energy_j", "gpu_s")),
        ("simulated", pa.bool_()),
        ("version", pa.uint64()),
    ]
)
Columns = Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]


def window_rows(found: Attributed, version: int) -> pa.Table:
    """One row for each engine and window, and each node's GPUs without an engine. Windows of which nothing is known have none."""
    tables = [_table(_columns(found, energy, row), version) for energy in found.energies for row in _rows(energy)]
    return pa.concat_tables([WINDOWS.empty_table(), *tables])


def attributed_rows(found: Attributed, version: int) -> pa.Table:
    """One row for each cell."""
    cells, block = found.cells, found.block
    columns: dict[str, Any] = {
        "window_start": starts(block)[cells.window],
        **{name: _texts([getattr(label, name) for label in block.labels], cells.label) for name in OWN},
        **_Places(found).columns(),
        "requests": cells.requests,
        "prefill_tokens": cells.prefill,
        "decode_tokens": cells.decode,
        "energy_j": cells.energy_j,
        "gpu_s": cells.gpu_s,
        "version": np.full(len(cells.window), version),
    }
    return pa.table([_cast(columns[field.name], field.type) for field in ATTRIBUTED], schema=ATTRIBUTED)


def _texts(values: list[str], at: Ints) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(at)).dictionary_encode()


class _Places:
    """For each cell, the labels of its engine in its window."""

    NAMES = ("node", "engine", "region", "product")

    def __init__(self, found: Attributed) -> None:
        self.cells, block = found.cells, found.block
        shape = (len(block.engines), block.windows)
        self._texts = {name: np.full(shape, "", dtype=np.object_) for name in self.NAMES}
        self._simulated = np.zeros(shape, dtype=np.bool_)
        for energy in found.energies:
            for row, place in enumerate(energy.part.engines):
                labels = _labels(found, energy.part, row)
                for name in self.NAMES:
                    self._texts[name][place, energy.part.windows] = labels[name]
                self._simulated[place, energy.part.windows] = labels["simulated"]

    def columns(self) -> dict[str, Any]:
        at = (self.cells.engine, self.cells.window)
        texts = {name: pa.array(values[at], pa.string()).dictionary_encode() for name, values in self._texts.items()}
        return {**texts, "simulated": self._simulated[at]}


def _rows(energy: Energy) -> Iterable[int]:
    return range(len(energy.part.engines) or 1)


def _columns(found: Attributed, energy: Energy, row: int) -> dict[str, Any]:
    """The windows of one engine of a part, or of GPUs without one."""
    part, terms = energy.part, energy.terms
    gpus = max(len(part.gpus), 1)
    columns: dict[str, Any] = {
        "window_start": starts(found.block)[part.windows],
        **_labels(found, part, row),
        "gpus": [list(part.group.gpus)] * (part.last - part.first),
        "engines_in_group": len(part.engines),
        **{name: getattr(terms, term)[row] for name, term in TERMS.items()},
        **{name: getattr(part.time, of) for name, of in GROUP.items()},
        "busy_s": part.time.busy_s / gpus,
        "idle_s": part.time.idle_s / gpus,
        "gap_s": part.time.gap_s / gpus,
        "unattributed_gpu_s": _unattributed_s(terms, row),
        "power_integrated": part.time.by_power,
    }
    return columns | (_of_engine(found, energy, row) if part.engines else _of_none())


def _of_engine(found: Attributed, energy: Energy, row: int) -> dict[str, Any]:
    part, divided = energy.part, energy.divided
    assert divided is not None  # noqa: S101 - for the type checker: a part with engines was divided
    seen: Seen = found.seen[part.engines[row]]
    compared = seen.compared.within(part.windows)
    worker, shared = divided.workers[row], divided.shared[row]
    return {
        **{name: getattr(compared, of) for name, of in COMPARED.items()},
        "engine_restarts": compared.restarts,
        "missing_prefill_tokens": worker.missing_prefill,
        "missing_decode_tokens": worker.missing_decode,
        "work_prefill_tokens": shared.work.prefill,
        "work_prefill_context": shared.work.prefill_context,
        "work_decode_tokens": shared.work.decode,
        "prefill_s": shared.work.prefill_s,
        "idle_power_w": divided.idle.power_w,
        "idle_power_measured": divided.idle.measured,
        "coefficients_id": worker.applied.id,
    }


def _of_none() -> dict[str, Any]:
    zeros = (*COMPARED, *DIVIDED, "engine_restarts", "coefficients_id")
    return dict.fromkeys(zeros, 0.0) | {"idle_power_measured": False}


def _labels(found: Attributed, part: Part, row: int) -> dict[str, Any]:
    """By window where an engine may say something else in each; the place of its GPUs where it says none."""
    region, cluster = (next((getattr(gpu, name) for gpu in part.gpus), "") for name in ("region", "cluster"))
    simulated = any(gpu.simulated for gpu in part.gpus)
    labels: dict[str, Any] = {"node": part.node, "engine": "", "product": part.product, "model": ""}
    if not part.engines:
        return labels | {"region": region, "cluster": cluster, "simulated": simulated}
    engine = found.block.engines[part.engines[row]]
    claims: list[Claim] = [claim for claim in engine.claims[part.windows] if claim]
    return labels | {
        "engine": engine.engine,
        "model": [claim.model for claim in claims],
        "region": [claim.region or region for claim in claims],
        "cluster": [claim.cluster or cluster for claim in claims],
        "simulated": [claim.simulated or simulated for claim in claims],
    }


def _unattributed_s(terms: Terms, row: int) -> Floats:
    lost = (terms.gap_s, terms.no_event_s, terms.aborted_s, terms.no_engine_s)
    return np.asarray(sum(seconds[row] for seconds in lost), dtype=np.float64)


def _table(columns: dict[str, Any], version: int) -> pa.Table:
    """What is the same in every window may be given once. GPUs without an engine have no row where they have no time."""
    length = len(columns["window_start"])
    columns["version"] = version
    arrays = []
    for field in WINDOWS:
        value = columns[field.name]
        plain = isinstance(value, str | bool | int | float)
        arrays.append(_cast([value] * length if plain else value, field.type))
    table = pa.table(arrays, schema=WINDOWS)
    if columns["engine"]:
        return table
    return table.filter(pa.array(np.asarray(columns["gpu_s"]) > 0))


def _cast(values: Any, kind: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.array(values, type=_plain(kind, values))
    return array.cast(kind)


def _plain(kind: pa.DataType, values: Any) -> pa.DataType | None:
    """The type to read Python or numpy values as; labels are encoded after."""
    if pa.types.is_dictionary(kind):
        return pa.string()
    if isinstance(values, np.ndarray):
        return None
    return pa.float64() if pa.types.is_floating(kind) else kind
