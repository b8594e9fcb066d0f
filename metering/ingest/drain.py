"""Moving what is ready into ClickHouse: claim, group, manifest, insert, move to done.

One process per host drains at a time (a lock in groups/). A group's manifest is on disk before its insert, and names the
files, the road and, by its name, the token: whoever finds it after a crash repeats exactly that insert, and the token makes the
repetition a no-op if the first attempt had been carried out. Nothing here can lose a batch: a file leaves ready/ only after
ClickHouse has acknowledged its group.
"""

import fcntl
import heapq
import json
import logging
import math
import os
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
from django.conf import settings
from django.utils import timezone

from metering.clickhouse.client import ClickHouseRefused
from metering.contracts import RejectReason
from metering.ingest import counters, sink
from metering.ingest.schema import KINDS, QUARANTINE, STAMPED
from metering.ingest.spool import Spool, SpooledFile, described, sync_folder
from metering.ingest.telemetry_records import BY_SPOOLED, as_sent
from metering.ingest.telemetry_records import DECODER_NAME as TELEMETRY

logger = logging.getLogger(__name__)

GROUP_ROWS = 500_000
GROUP_BYTES = 128 * 2**20
GROUP_FILES = 500  # their names are in the statement
# Every insert costs ClickHouse a part and its merges, so a group waits this long after the one before it, unless it is large already.
PACE_S = 0.6
LARGE_ROWS = 100_000
# ClickHouse refuses the data itself: the same rows will be refused again. Anything else is tried again later.
DATA_ERRORS = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 349, 376, 407, 436, 469, 636, 1001})


@dataclass(frozen=True)
class Group:
    """Files that are inserted as one block. `road`: reference or value."""

    kind: str
    road: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: int

    @property
    def token(self) -> str:
        """Follows from the files alone: any attempt at the same group carries the same token."""
        return sha256("\n".join((self.kind, *self.names)).encode()).hexdigest()

    def text(self) -> str:
        return json.dumps(
            {"kind": self.kind, "road": self.road, "names": self.names, "sizes": self.sizes, "rows": self.rows}
        )


class ManifestMismatch(RuntimeError):
    """A spooled file is not what the manifest says: somebody changed the spool by hand."""


class RowsMissing(RuntimeError):
    """ClickHouse acknowledged a group and does not hold exactly its rows. The spool keeps it, and so does the seal."""


def drain(spool: Spool) -> int:
    """Insert everything that is ready; returns the number of rows inserted. 0 at once if another process is draining.

    Raises ClickHouseUnavailable, or ClickHouseRefused for a passing refusal: what is left stays for the next run.
    """
    spool.create()
    inserted = 0
    stuck: dict[Path, Exception] = {}
    # Kinds, in this round: each gets one group, or events that never end would hold up all others.
    served: set[str] = set()
    began = -math.inf
    with _alone(spool) as alone:
        while alone:
            if not served:
                _pace(spool, began)
                began = time.monotonic()
            if (group := _next(spool, stuck, served)) is None:
                if not served:
                    break
                served.clear()
                continue
            served.add(group.kind)
            try:
                inserted += _carry_out(spool, group)
            except (ManifestMismatch, RowsMissing) as error:
                stuck[_manifest(spool, group)] = error  # its files stay; the groups after it go on
                logger.error("a group waits for an operator: %s", error)
            except ClickHouseRefused as refusal:
                if any(isinstance(error, ClickHouseRefused) for error in stuck.values()):
                    raise  # not this group's fault: ClickHouse refuses others too
                stuck[_manifest(spool, group)] = (
                    refusal  # such as too little memory: it must not hold up those behind it
                )
    if stuck:
        raise next(iter(stuck.values()))
    return inserted


def _pace(spool: Spool, began: float) -> None:
    """Let a little gather before the next group, unless there is much already, or nothing."""
    while (early := began + PACE_S - time.monotonic()) > 0:
        if not 0 < sum(file.rows for file in spool.pending()) < LARGE_ROWS:
            return
        time.sleep(min(early, 0.05))


def _next(spool: Spool, stuck: Container[Path] = (), served: Container[str] = ()) -> Group | None:
    """An unfinished group first, exactly as it was written down; else a new one, of a kind that was not served yet."""
    for path in sorted(spool.groups.glob("*.json")):
        if path not in stuck:
            found = json.loads(path.read_text())
            return Group(found["kind"], found["road"], tuple(found["names"]), tuple(found["sizes"]), found["rows"])
    claimed = spool.claimed()
    waiting = [file for file in spool.pending() if file.path.name not in claimed]
    for kind in KINDS:
        files = [file for file in waiting if file.kind == kind]
        if files and kind not in served:
            return _claim(spool, kind, _fitting(files))
    return None


def _fitting(files: Sequence[SpooledFile]) -> list[SpooledFile]:
    """As many as make one block, at least one; oldest first, and where not all fit, as many rows from each sender.

    So a sender who fills the spool delays himself: whoever has little waiting is in the next group.
    """
    lanes: dict[str, list[SpooledFile]] = {}
    for file in reversed(files):
        lanes.setdefault(file.lane, []).append(file)
    chosen: list[SpooledFile] = []
    rows = size = 0
    turns = [(0, waiting[-1].stamp_us, lane) for lane, waiting in lanes.items()]
    heapq.heapify(turns)
    while turns:
        taken, _, lane = heapq.heappop(turns)
        file = lanes[lane].pop()
        rows, size = rows + file.rows, size + file.size
        if chosen and (rows > GROUP_ROWS or size > GROUP_BYTES or len(chosen) == GROUP_FILES):
            break
        chosen.append(file)
        if lanes[lane]:
            heapq.heappush(turns, (taken + file.rows, lanes[lane][-1].stamp_us, lane))
    return sorted(chosen, key=lambda file: file.path.name)


def _claim(spool: Spool, kind: str, files: Sequence[SpooledFile]) -> Group:
    """Write the manifest down, durably, before anything is inserted."""
    group = Group(
        kind=kind,
        road="reference" if settings.CLICKHOUSE_READS_SPOOL else "value",
        names=tuple(file.path.name for file in files),
        sizes=tuple(file.size for file in files),
        rows=sum(file.rows for file in files),
    )
    path = _manifest(spool, group)
    scratch = path.with_suffix(".writing")
    with scratch.open("w") as file:
        file.write(group.text())
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(path)
    sync_folder(spool.groups)  # else a power cut could forget the token of a group that was inserted
    return group


def _carry_out(spool: Spool, group: Group) -> int:
    files = _checked_files(spool, group)
    try:
        if group.road == "reference":
            sink.insert_by_reference(group.kind, files, group.token)
        else:
            sink.insert_by_value(group.kind, sink.read(files), group.token)
    except ClickHouseRefused as refusal:
        if refusal.code not in DATA_ERRORS:
            raise
        logger.warning("a group of %s rows was refused, bisecting: %s", group.rows, refusal)
        _bisect(group, sink.read(files), group.token)
    else:
        _verify(group, files)
    counters.inserted([described(path) for path in files], timezone.now())
    for path in files:
        path.rename(spool.done / path.name)
    sync_folder(spool.done)  # before the manifest goes: else a power cut could bring the files back without their token
    sync_folder(spool.ready)
    _manifest(spool, group).unlink()
    return group.rows


def _verify(group: Group, files: Sequence[Path]) -> None:
    """What ClickHouse holds of these batches must be what the manifest says, to the row, before a file leaves ready/."""
    described_files = [described(path) for path in files]
    found = sink.count_inserted(
        group.kind, [file.batch for file in described_files], [file.stamp_us for file in described_files]
    )
    if found != group.rows:
        raise RowsMissing(
            f"group {group.token} has {group.rows} rows, ClickHouse holds {found}: its files stay in the spool"
        )


def _checked_files(spool: Spool, group: Group) -> list[Path]:
    """The group's files, those that an earlier attempt has moved to done/ included: the block must be the same again."""
    found = []
    rows = 0
    for name, size in zip(group.names, group.sizes, strict=True):
        path = spool.ready / name
        if not path.exists() and (spool.done / name).exists():
            path = (spool.done / name).rename(path)
        try:
            file = described(path)
        except FileNotFoundError:
            raise ManifestMismatch(f"{path} is gone, and its group is not finished") from None
        if file.size != size:
            raise ManifestMismatch(f"{path} has {file.size} bytes, its manifest says {size}")
        rows += file.rows
        found.append(path)
    if rows != group.rows:
        raise ManifestMismatch(f"the files of group {group.token} have {rows} rows, its manifest says {group.rows}")
    return found


def _bisect(group: Group, rows: pa.Table, token: str) -> None:
    """Insert halves until what is refused is a single row; that one goes to quarantine. Halves carry tokens of their own."""
    half = rows.num_rows // 2
    for name, part in (("a", rows.slice(0, half)), ("b", rows.slice(half))):
        if not part.num_rows:
            continue
        try:
            sink.insert_by_value(group.kind, part, f"{token}{name}")
        except ClickHouseRefused as refusal:
            if refusal.code not in DATA_ERRORS:
                raise
            if part.num_rows > 1:
                _bisect(group, part, f"{token}{name}")
            elif group.kind == "rejects":
                logger.error("ClickHouse refuses a row of quarantine itself, it stays in done/: %s", refusal)
            else:
                sink.insert_by_value("rejects", _refused(group.kind, part, refusal), f"{token}{name}")


def _refused(kind: str, row: pa.Table, refusal: ClickHouseRefused) -> pa.Table:
    event = row.to_pylist()[0]
    stamps = {name: event[name] for name in STAMPED}
    shown = {name: value for name, value in event.items() if name not in STAMPED}
    if sample_kind := BY_SPOOLED.get(kind):
        shown = as_sent(sample_kind, shown)
    entry = stamps | {
        "tenant": event.get("tenant", ""),
        "api_key": event.get("api_key", ""),
        "decoder": TELEMETRY if sample_kind else "sink",
        "reason": RejectReason.REFUSED_BY_STORE.value,
        "field": "",
        "message": str(refusal)[:1000],
        "raw": json.dumps(shown, default=str).encode(),
    }
    return pa.Table.from_pylist([entry], schema=QUARANTINE)


def _manifest(spool: Spool, group: Group) -> Path:
    return spool.groups / f"{group.names[0].split('-', 1)[0]}-{group.token}.json"


@contextmanager
def _alone(spool: Spool) -> Iterator[bool]:
    with (spool.groups / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
