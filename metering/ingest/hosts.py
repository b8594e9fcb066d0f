"""Publishing how far this host has inserted: seals wait for the slowest host. And how full its spool is, for whoever watches."""

import os
import time
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from metering.ingest import local
from metering.models import IngestHost
from metering.moments import from_microseconds

# Adding up done/ takes longer the more it holds, so it is done again after so many times as long as it took.
REST = 20


def publish() -> datetime:
    """Publish and return the moment before which every event that this host accepted is inserted. It never goes back."""
    spool = local.spool()
    settled = spool.settled_before()
    pending = spool.pending()
    host, _ = IngestHost.objects.get_or_create(
        name=local.host_name(), defaults={"settled_before": settled, "published_at": timezone.now()}
    )
    IngestHost.objects.filter(pk=host.pk).update(
        published_at=timezone.now(),
        pending_files=len(pending),
        pending_bytes=sum(file.size for file in pending),
        oldest_pending_at=from_microseconds(pending[0].stamp_us) if pending else None,
        kept_bytes=_kept.bytes_in(spool.done),
        spool_max_bytes=spool.max_bytes,
        retired_at=None,  # it is alive after all
    )
    # Another process may have published a later moment since we looked.
    IngestHost.objects.filter(pk=host.pk, settled_before__lt=settled).update(settled_before=settled)
    return settled


def publish_if_used() -> datetime | None:
    """As `publish`, but never for a machine that accepts no events: such a host would hold every seal for ever."""
    return publish() if local.spool().in_use else None


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder; one that is deleted meanwhile counts nothing."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


class _Kept:
    """What done/ holds, remembered for a while: it may be hundreds of thousands of files."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[float, int]] = {}

    def bytes_in(self, folder: Path) -> int:
        started = time.monotonic()
        until, size = self._known.get(folder, (0.0, 0))
        if started >= until:
            size = size_of(folder)
            finished = time.monotonic()
            self._known = {folder: (finished + REST * (finished - started), size)}
        return size


_kept = _Kept()
