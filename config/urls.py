"""Every address of the application. Each package brings its own list."""

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from billing.admin import site
from metering import health

logger = logging.getLogger(__name__)


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is checked, so that a slow database does not get the web process restarted."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if every database answers, else 503 that names the ones which do not. The reason stays in the log."""
    failures = health.failures()
    for name, reason in failures.items():
        logger.warning("not ready: %s: %s", name, reason)
    body = {"status": "unavailable" if failures else "ok", "failing": sorted(failures)}
    return JsonResponse(body, status=503 if failures else 200)


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("", include("metering.urls")),
    path("", include("billing.urls")),
    path("", include("dashboard.urls")),
    path("admin/", site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
]
