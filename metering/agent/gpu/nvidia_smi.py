"""GPUs read by running `nvidia-smi -q -x`: the last resort. A run costs far more than asking NVML, and it knows no energy counter."""

import subprocess
from collections.abc import Callable, Sequence

from metering.agent.faults import Faults
from metering.agent.gpu.smi_text import samples_of
from metering.agent.gpu.taking import Taking
from metering.agent.samples import GpuSample
from metering.agent.sources import Place

_COMMAND = ("nvidia-smi", "-q", "-x")
# Without persistence mode each run wakes every GPU.
_MOST_SECONDS = 15.0


class SmiSource:
    label = "nvidia_smi"

    def __init__(self, place: Place, run: Callable[[], tuple[int, str]] | None = None) -> None:
        """`run` answers with exit status and output of the command; raises OSError or TimeoutExpired."""
        self._place = place
        self._run = run or _run
        self._faults = Faults()

    def read(self, at_ms: int) -> Sequence[GpuSample]:
        self._faults = Faults()
        try:
            status, output = self._run()
        except subprocess.TimeoutExpired:
            self._faults.add(f"nvidia-smi takes more than {_MOST_SECONDS:g} s")
            return ()
        except OSError as error:
            self._faults.add(f"nvidia-smi cannot be run: {error.strerror or error}")
            return ()
        if status:
            self._faults.add(f"nvidia-smi ends with status {status}{_first_line(output)}")
        return self._samples(output, at_ms, failed=status != 0)

    def problems(self) -> Sequence[str]:
        return self._faults.texts

    def close(self) -> None:
        """Nothing is held."""

    def _samples(self, output: str, at_ms: int, *, failed: bool) -> Sequence[GpuSample]:
        """Also of a run that failed: it may tell of the GPUs that are not lost."""
        try:
            samples = samples_of(output, Taking(self._place, at_ms, "nvidia_smi", self._faults))
        except ValueError as error:
            if not failed:
                self._faults.add(f"nvidia-smi cannot be understood: {error}")
            return ()
        if not samples:
            self._faults.add("nvidia-smi shows no GPU")
        return samples


def _run() -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603
        _COMMAND,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_MOST_SECONDS,
        check=False,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def _first_line(output: str) -> str:
    """What it says about it, unless that is the beginning of its XML."""
    line = output.strip().partition("\n")[0]
    return "" if not line or line.startswith("<") else f": {line[:200]}"
