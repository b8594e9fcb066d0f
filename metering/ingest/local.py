"""This host's spool, as the settings describe it."""

import os
import socket
import uuid
from pathlib import Path

from django.conf import settings

from metering.ingest.spool import Spool


def spool() -> Spool:
    return Spool(
        settings.SPOOL_DIR,
        settings.SPOOL_MAX_BYTES,
        max_age_s=settings.SPOOL_MAX_AGE_S,
        min_free_bytes=settings.SPOOL_MIN_FREE_BYTES,
    )


def host_name() -> str:
    """The name under which this spool's progress is published: TALLYWATT_HOST, else what its first user was called.

    It belongs to the spool, not to the machine: a web and a worker container that share a spool are one host, and a row under
    a second name would fall silent and hold every seal.
    """
    return str(settings.HOST_NAME) or _recorded_name(Path(settings.SPOOL_DIR))


def _recorded_name(root: Path) -> str:
    path = root / "host"
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        scratch = root / f"host.{uuid.uuid4().hex}"
        scratch.write_text(socket.gethostname())
        try:
            os.link(scratch, path)  # whole or not at all, and only the first process succeeds
        except FileExistsError:
            pass
        finally:
            scratch.unlink()
    return path.read_text()
