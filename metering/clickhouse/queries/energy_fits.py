"""What coefficients are fitted to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FitWindows:
    """The windows in `[from_s, until_s)` of engines that had their GPUs to themselves: model, product, simulated, computed prompt tokens,
    these times their context, output tokens, GPU-seconds in which some prompt was computed, busy joules, busy GPU-seconds, idle power of
    one GPU, whether it was measured.

    Windows with gaps or with an engine that restarted are left out, and so are those that were hardly busy: their energy is mostly the
    edges of segments.
    """

    name: ClassVar[str] = "energy_fit_windows"
    from_s: int
    until_s: int

    def sql(self) -> tuple[str, Mapping[str, Any]]:
        text = """
            SELECT model, product, simulated, work_prefill_tokens, work_prefill_context, work_decode_tokens,
                prefill_s * length(gpus) AS prefill_gpu_s,
                attributed_j + unattributed_no_event_j + unattributed_aborted_j AS busy_j,
                attributed_gpu_s + no_event_gpu_s + aborted_gpu_s AS busy_gpu_s, idle_power_w, idle_power_measured
            FROM energy_windows FINAL
            WHERE window_start >= toDateTime(%(from_s)s, 'UTC') AND window_start < toDateTime(%(until_s)s, 'UTC')
                AND engine != '' AND engines_in_group = 1 AND gap_s = 0 AND engine_restarts = 0
                AND engine_gap_s < 0.001 AND conservation_error < 1e-6 AND busy_s >= 10
                AND work_prefill_tokens + work_decode_tokens > 0
            ORDER BY window_start, node, engine
        """
        return text, {"from_s": self.from_s, "until_s": self.until_s}
