"""What dcgm-exporter writes at /metrics, by hand in the format of its releases 3 and 4."""

from collections.abc import Mapping

H100 = {
    "DCGM_FI_DEV_SM_CLOCK": "1980",
    "DCGM_FI_DEV_MEM_CLOCK": "2619",
    "DCGM_FI_DEV_MEMORY_TEMP": "72",
    "DCGM_FI_DEV_GPU_TEMP": "61",
    "DCGM_FI_DEV_POWER_USAGE": "512.345000",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "123456789",
    "DCGM_FI_DEV_GPU_UTIL": "97",
    "DCGM_FI_DEV_MEM_COPY_UTIL": "41",
    "DCGM_FI_DEV_XID_ERRORS": "0",
    "DCGM_FI_DEV_FB_FREE": "20480",
    "DCGM_FI_DEV_FB_USED": "60928",
    "DCGM_FI_DEV_FB_RESERVED": "512",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "0.968750",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "0.406250",
    "DCGM_FI_PROF_DRAM_ACTIVE": "0.562500",
    "DCGM_FI_PROF_PCIE_TX_BYTES": "9139000",
    # What is commented out in etc/default-counters.csv
    "DCGM_FI_PROF_SM_ACTIVE": "0.812500",
    "DCGM_FI_PROF_SM_OCCUPANCY": "0.250000",
    "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": "700.000000",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": "4",
}
# Of an A100 with MIG: `-d f` shows its instances only, with the readings of the GPU on each.
A100_MIG = {
    "DCGM_FI_DEV_POWER_USAGE": "188.500000",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "5000000",
    "DCGM_FI_DEV_GPU_TEMP": "44",
    "DCGM_FI_DEV_SM_CLOCK": "1410",
}


def labels(index: int, uuid: str, *, host: str = "Hostname", node: str = "node-7", **more: str) -> str:
    own = {
        "gpu": str(index),
        "UUID": uuid,
        "pci_bus_id": f"00000000:0{index}:00.0",
        "device": f"nvidia{index}",
        "modelName": "NVIDIA H100 80GB HBM3",
    }
    return ",".join(f'{name}="{value}"' for name, value in {**own, **more, host: node}.items())


def text(*rows: tuple[str, Mapping[str, str]]) -> str:
    """Of (labels, value by metric): by metric, as the exporter orders it."""
    names = dict.fromkeys(name for _, values in rows for name in values)
    lines = []
    for name in names:
        lines += [f"# HELP {name} What it is.", f"# TYPE {name} gauge"]
        lines += [f"{name}{{{of}}} {values[name]}" for of, values in rows if name in values]
    return "\n".join(lines) + "\n"
