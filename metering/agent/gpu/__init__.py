"""GPUs of the node, read from the driver (NVML), from a dcgm-exporter, from Triton or from `nvidia-smi`."""

from metering.agent.gpu.choice import CHOICES, GpuSource, choose

__all__ = ["CHOICES", "GpuSource", "choose"]
