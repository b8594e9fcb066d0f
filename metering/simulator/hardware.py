"""GPU products with their published figures, and what one operation costs them in time and joules.

Figures with a source are published; each one marked "assumption" is ours. docs/simulator.md shows how the energy constants were set.
"""

from dataclasses import dataclass

MIB = 1024**2


@dataclass(frozen=True)
class GpuProduct:
    """One GPU at its highest clock. Watts, bytes/s and FLOP/s are of the whole board."""

    name: str
    bf16_flops: float
    fp8_flops: float
    memory_bytes: int
    memory_bandwidth: float
    power_limit_w: float
    lowest_limit_w: float
    # A GPU without a CUDA context, and one that holds a model and does nothing.
    bare_idle_w: float
    idle_w: float
    max_clock_mhz: int
    idle_clock_mhz: int
    memory_clock_mhz: int
    # Steady temperature is cool_c + c_per_w x power; what a line through two captures gives.
    cool_c: float
    c_per_w: float


# NVIDIA H100 SXM data sheet: 989 TFLOP/s bf16 and 1,979 fp8 (dense), 3.35 TB/s, 700 W. From an `nvidia-smi -q` capture (driver 590,
# repository utkuozdemir/nvidia_gpu_exporter): 81,559 MiB, limits 200 to 700 W, SM clock 345 (idle) to 1,980 MHz, memory clock 2,619 MHz,
# 69.85 W idle at 41 C and 629.45 W at 59 C. A CUDA context adds 26 to 50 W on HBM boards however much memory is filled
# (arXiv 2605.23918, "parking tax"); we add 45.
H100 = GpuProduct(
    name="NVIDIA H100 80GB HBM3",
    bf16_flops=989e12,
    fp8_flops=1979e12,
    memory_bytes=81_559 * MIB,
    memory_bandwidth=3.35e12,
    power_limit_w=700,
    lowest_limit_w=200,
    bare_idle_w=70,
    idle_w=115,
    max_clock_mhz=1980,
    idle_clock_mhz=345,
    memory_clock_mhz=2619,
    cool_c=38.8,
    c_per_w=0.0322,
)
# NVIDIA H200 SXM data sheet: the H100's compute, 141 GB at 4.8 TB/s, 700 W. Capture as above: 143,771 MiB, 77.67 W idle at 28 C and
# 627.32 W at 52 C, memory clock 3,201 MHz.
H200 = GpuProduct(
    name="NVIDIA H200",
    bf16_flops=989e12,
    fp8_flops=1979e12,
    memory_bytes=143_771 * MIB,
    memory_bandwidth=4.8e12,
    power_limit_w=700,
    lowest_limit_w=200,
    bare_idle_w=78,
    idle_w=120,
    max_clock_mhz=1980,
    idle_clock_mhz=345,
    memory_clock_mhz=3201,
    cool_c=24.6,
    c_per_w=0.0437,
)
PRODUCTS = {"h100": H100, "h200": H200}

# Margin to the highest operating temperature in those captures: 41 + 46 and 28 + 59 = 87 C. Hardware slowdown starts 2 C above it.
MAX_OPERATING_C = 87.0
SLOWDOWN_C = 89.0
THERMAL_TIME_S = 45.0  # assumption: how long board and heat sink take for 63 % of a step in power

# Of the peak: what large matrix products and streaming reads reach (assumptions, in the range of published serving benchmarks).
COMPUTE_EFFICIENCY = 0.5
BANDWIDTH_EFFICIENCY = 0.8
# Scheduling, sampling and detokenising per sequence of a batch: with it, a batch of 511 of Llama-3.1-8B on one H100 steps in 47 ms
# (ML.ENERGY v3: 47.4 ms between tokens).
SEQUENCE_S = 50e-6

# Energy above idle, set so that J per output token meet ML.ENERGY's measurements (docs/simulator.md, "Energy constants").
ACTIVE_W = 150.0  # clocks up, kernels resident: for as long as an iteration lasts, per GPU
BYTE_J = 60e-12  # a byte from HBM through the chip
PREFILL_FLOP_J = 0.8e-12
DECODE_FLOP_J = 1.0e-12  # small batches use the tensor cores' tiles less well
FP8_FLOP = 0.5  # of the energy of a bf16 one: twice the rate at the same power
TOKEN_J = 0.02  # per decoded token and engine, whatever the model's size: sampling, the host's part on the GPU
