"""XID errors, which the driver tells as events: counted per GPU from the moment that the agent began to listen."""

import contextlib
import ctypes
from collections.abc import Sequence
from typing import Any

from metering.agent.faults import Faults
from metering.agent.gpu.nvml_questions import Handle, Nvml

# A burst beyond this is counted at the next reading.
_MOST_EVENTS = 1_000
# Milliseconds. NVML does not say that it returns at once for 0.
_WAIT_MS = 1
_FIELDS = "xid_errors, xid_last"


class Xids:
    """What was counted outlives `close()`: NVML is opened anew when GPUs come or go."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._events: Any = None
        self._uuids: dict[int | None, str] = {}
        self._refused: list[tuple[str, str]] = []
        self._count: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def listen(self, gpus: Sequence[tuple[Handle, str, str]]) -> None:
        """To these GPUs: (handle, UUID, what a person calls it)."""
        self.close()
        self._uuids = {_address(handle): uuid for handle, uuid, _ in gpus}
        self._refused = []
        try:
            self._events = self._nvml.nvmlEventSetCreate()
        except self._nvml.NVMLError as error:
            self._refused.append((f"{_FIELDS}: {error}", ""))
            return
        heard = [self._register(handle, uuid, called) for handle, uuid, called in gpus]
        if not any(heard):
            self.close()

    def read(self, faults: Faults) -> None:
        """Count what has come since."""
        for what, where in self._refused:
            faults.add(what, where)
        if self._events is None:
            return
        try:
            for _ in range(_MOST_EVENTS):
                self._take(self._nvml.nvmlEventSetWait_v2(self._events, _WAIT_MS))
        except self._nvml.NVMLError as error:
            if error.value != self._nvml.NVML_ERROR_TIMEOUT:
                faults.add(f"{_FIELDS}: {error}")

    def of(self, uuid: str) -> dict[str, int]:
        """The two fields of GpuSample; empty for a GPU that tells no events."""
        return {"xid_errors": self._count[uuid], "xid_last": self._last[uuid]} if uuid in self._count else {}

    def close(self) -> None:
        if self._events is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlEventSetFree(self._events)
        self._events = None

    def _register(self, handle: Handle, uuid: str, called: str) -> bool:
        try:
            self._nvml.nvmlDeviceRegisterEvents(handle, self._nvml.nvmlEventTypeXidCriticalError, self._events)
        except self._nvml.NVMLError as error:
            self._refused.append((f"{_FIELDS}: {error}", called))
            return False
        self._count.setdefault(uuid, 0)
        self._last.setdefault(uuid, 0)
        return True

    def _take(self, event: Any) -> None:
        # Known by its address: a GPU that has fallen off the bus (XID 79) does not tell its UUID any more.
        uuid = self._uuids.get(_address(event.device))
        if uuid in self._count:
            self._count[uuid] += 1
            self._last[uuid] = event.eventData


def _address(handle: Handle) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
