"""The trace formats by name. A new one is a module here and a line in FORMATS."""

from collections.abc import Callable
from pathlib import Path

from metering.replay.formats.azure import AzureTrace
from metering.replay.formats.mooncake import MooncakeTrace
from metering.replay.formats.servegen import ServeGenTrace
from metering.replay.trace import Trace

# `dataset` is the file with token lengths that ServeGen keeps beside its arrivals; the others have none.
FORMATS: dict[str, Callable[[Path, Path | None], Trace]] = {
    "azure-llm-2023": lambda path, dataset: AzureTrace(path),
    "mooncake": lambda path, dataset: MooncakeTrace(path),
    "servegen": ServeGenTrace,
}
