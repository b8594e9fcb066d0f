"""ASGI entry point: `granian --interface asginl config.asgi:application`."""

import os
from typing import cast

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

from metering.ingest.asgi import ShortWay  # noqa: E402 - after Django is set up
from metering.ingest.limits import Application, limit_bodies  # noqa: E402

application = limit_bodies(ShortWay(cast(Application, django_application)), settings.INGEST_MAX_BODY_BYTES)
