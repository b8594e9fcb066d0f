"""Publishing how far this host has inserted: seals wait for the slowest host."""

from datetime import datetime

from django.utils import timezone

from metering.ingest import local
from metering.models import IngestHost


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
        retired_at=None,  # it is alive after all
    )
    # Another process may have published a later moment since we looked.
    IngestHost.objects.filter(pk=host.pk, settled_before__lt=settled).update(settled_before=settled)
    return settled


def publish_if_used() -> datetime | None:
    """As `publish`, but never for a machine that accepts no events: such a host would hold every seal for ever."""
    return publish() if local.spool().in_use else None
