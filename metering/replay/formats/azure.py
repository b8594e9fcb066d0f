"""Azure LLM inference trace 2023: `TIMESTAMP,ContextTokens,GeneratedTokens`, one request a line.

TIMESTAMP is the arrival in UTC with up to seven fractional digits and no zone. The trace has no latency, so the event's
time is the arrival, cut to milliseconds, and all latencies stay null.
Source of the format: the README of Azure/AzurePublicDataset, "AzureLLMInferenceDataset2023".
"""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from metering.replay.trace import TraceError, TraceRequest, count_lines, opened, sha256_of, token_count

HEADER = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(?:\+00:00|Z)?", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)


class AzureTrace:
    format = "azure-llm-2023"
    modelled = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    def origin(self) -> datetime:
        for time, _ in self._rows():
            return time
        raise TraceError(self.path, None, "holds no request")

    def total(self) -> int:
        return max(count_lines(self.path) - 1, 0)

    def clients(self) -> list[str]:
        return []

    def digest(self) -> str:
        return sha256_of(self.path)

    def requests(self) -> Iterator[TraceRequest]:
        origin = self.origin()
        for number, (time, (context, generated)) in enumerate(self._rows(), start=1):
            yield TraceRequest(str(number), (time - origin) // _MILLISECOND, context, generated)

    def _rows(self) -> Iterator[tuple[datetime, tuple[int, int]]]:
        with opened(self.path) as file:
            lines = csv.reader(file)
            if (header := next(lines, None)) != HEADER:
                raise TraceError(self.path, 1, f"expected the header {','.join(HEADER)}, got {header}")
            for fields in lines:
                if not fields:
                    continue
                line = lines.line_num
                if len(fields) != len(HEADER):
                    raise TraceError(self.path, line, f"expected {len(HEADER)} fields, got {len(fields)}")
                yield (
                    self._time(fields[0], line),
                    (
                        token_count(fields[1], HEADER[1], self.path, line),
                        token_count(fields[2], HEADER[2], self.path, line),
                    ),
                )

    def _time(self, text: str, line: int) -> datetime:
        if match := _STAMP.fullmatch(text):
            whole, fraction = match.groups()
            try:
                second = datetime.fromisoformat(whole).replace(tzinfo=UTC)
            except ValueError:  # 2023-02-30
                second = None
            if second:
                return second + timedelta(milliseconds=int((fraction or "0").ljust(7, "0")[:3]))
        raise TraceError(self.path, line, f"TIMESTAMP: expected YYYY-MM-DD HH:MM:SS.fffffff, got {text!r}")
