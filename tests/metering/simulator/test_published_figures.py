"""The model's constants against what was measured and published (docs/simulator.md names the sources)."""

import numpy as np
import pytest

from metering.simulator.engines import Engines
from metering.simulator.hardware import H100, H200
from metering.simulator.iteration import Batch, iteration, iteration_joules
from metering.simulator.models import CATALOGUE, DEEPSEEK_R1, LLAMA_8B, LLAMA_70B, QWEN3_235B, ModelShape
from metering.simulator.plan import EngineSetup, NodeSetup, Plan, Workload
from metering.simulator.pool import DONE, ENDED, JOULES
from tests.metering.simulator.plans import one_engine, ran, seconds_per_token, served, tenant

ONE = np.ones(1)
# ML.ENERGY's chat requests: short prompts, about 400 tokens of output.
CONTEXT = 500.0


def engines_of(model: ModelShape, gpus: int) -> Engines:
    setup = EngineSetup("e", model, tuple(range(gpus)))
    return Engines(Plan((NodeSetup("n", H100, (setup,)),), (), 0))


def decode(model: ModelShape, gpus: int, batch: int) -> tuple[float, float, float]:
    """Seconds per step, watts per GPU, joules per output token of a batch that only decodes."""
    engines = engines_of(model, gpus)
    load = Batch(ONE * batch, ONE * batch * CONTEXT, 0 * ONE, 0 * ONE)
    step = iteration(engines, load, ONE, engines.power_limit_w * gpus, ONE)
    joules = float(iteration_joules(engines, load, step)[0])
    seconds = float(step.seconds[0])
    return seconds, joules / seconds / gpus, joules / batch


@pytest.mark.parametrize(
    ("model", "gpus", "batch", "joules"),
    [
        (LLAMA_8B, 1, 8, 0.46),
        (LLAMA_8B, 1, 64, 0.12),
        (LLAMA_8B, 1, 512, 0.07),
        (LLAMA_70B, 4, 8, 3.8),
        (LLAMA_70B, 4, 512, 0.37),
    ],
)
def test_joules_per_output_token_are_as_measured(model: ModelShape, gpus: int, batch: int, joules: float) -> None:
    assert decode(model, gpus, batch)[2] == pytest.approx(joules, rel=0.13)


def test_they_fall_as_the_batch_grows() -> None:
    for model, gpus in ((LLAMA_8B, 1), (LLAMA_70B, 4)):
        curve = [decode(model, gpus, batch)[2] for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)]
        assert curve == sorted(curve, reverse=True)


def test_a_step_of_511_sequences_takes_as_long_as_measured() -> None:
    """ML.ENERGY v3, Llama-3.1-8B on one H100: 47.4 ms between tokens at 688 W."""
    seconds, watts, _ = decode(LLAMA_8B, 1, 511)

    assert seconds == pytest.approx(0.0474, rel=0.05)
    assert watts == pytest.approx(688, rel=0.05)


def test_power_of_a_70b_model_on_four_gpus_is_as_measured() -> None:
    """480 W per GPU at a batch of 64, 520 W at 128 (measured for an FP8 Llama-3.3-70B)."""
    assert decode(LLAMA_70B, 4, 64)[1] == pytest.approx(480, rel=0.07)
    assert decode(LLAMA_70B, 4, 128)[1] == pytest.approx(520, rel=0.07)


def test_no_gpu_draws_less_than_idle_or_more_than_its_limit() -> None:
    for model, gpus in ((LLAMA_8B, 1), (LLAMA_70B, 4), (QWEN3_235B, 8)):
        for batch in (1, 64, 1024, 4096):
            assert 115 <= decode(model, gpus, batch)[1] <= 700.5


def test_the_model_shapes_have_the_sizes_on_their_cards() -> None:
    assert QWEN3_235B.active_parameters == pytest.approx(22e9, rel=0.02)
    assert QWEN3_235B.weights_bytes / 2 == pytest.approx(235e9, rel=0.01)
    assert DEEPSEEK_R1.active_parameters == pytest.approx(37e9, rel=0.02)
    assert DEEPSEEK_R1.weights_bytes == pytest.approx(671e9, rel=0.01)
    assert LLAMA_70B.kv_bytes_per_token(4) == 2 * 80 * 8 * 128 * 2
    # Four KV heads on eight GPUs: each is there twice. The latent vector of MLA is on every GPU.
    assert QWEN3_235B.kv_bytes_per_token(8) == 2 * QWEN3_235B.kv_bytes_per_token(4)
    assert DEEPSEEK_R1.kv_bytes_per_token(8) == 8 * 61 * 576 * 2
    assert set(CATALOGUE) == {"llama-3.1-8b", "llama-3.3-70b", "qwen3-235b-a22b", "deepseek-r1", "bge-m3"}


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        EngineSetup("e", LLAMA_70B, (0,)).kv_capacity(H100)
    assert EngineSetup("e", DEEPSEEK_R1, tuple(range(8))).kv_capacity(H200) > 500_000


def test_joules_per_token_of_a_whole_run_fall_with_the_batch_and_stay_in_the_published_range() -> None:
    """Not by formula but by serving: a queue that never empties, and a batch of 8 or of 128."""
    found = []
    for sequences in (8, 128):
        load = tenant("t", 60.0, workload=Workload(60, 0.2, 300, 0.3))
        rows = served(ran(one_engine(load, engine={"max_sequences": sequences}, patience_s=60), 4)[1])
        rows = rows[:, rows[ENDED] > 60]  # once the batch is full
        found.append(rows[JOULES].sum() / rows[DONE].sum())

    assert found[0] == pytest.approx(0.46, rel=0.15)
    assert 0.07 < found[1] < 0.13


def test_time_per_output_token_grows_with_the_batch() -> None:
    pace = [seconds_per_token(served(ran(one_engine(tenant("t", rate)), 6)[1])) for rate in (0.5, 5.0, 15.0)]
    assert pace == sorted(pace)
    assert pace[0] == pytest.approx(0.0095, rel=0.15)  # weights of 16 GB at 80 % of 3.35 TB/s, 3 ms of overhead
