"""`GET /metrics` for Prometheus: open if TALLYWATT_METRICS_OPEN says so, else for an operator's key with the scope metrics:read."""

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from metering import keys
from metering.alerts.prometheus import AlertCollector
from metering.contracts import Scope
from metering.ingest_health import CLICKHOUSE, POSTGRESQL, ingest_health
from metering.problems import problem
from metering.prometheus import HealthCollector
from metering.telemetry.prometheus import FleetCollector
from metering.telemetry.reconciliation.prometheus import LeakageCollector


@csrf_exempt
def metrics(request: HttpRequest) -> HttpResponse:
    """The text format, or OpenMetrics where the caller accepts it. 200 even when a server is down: what is missing is absent."""
    if request.method not in {"GET", "HEAD"}:
        return problem(405, "metrics are read by GET", headers={"Allow": "GET, HEAD"})
    try:
        if not settings.METRICS_OPEN:
            _authorize(request.headers.get("Authorization"))
    except keys.AuthenticationFailed as error:
        return problem(401, str(error), headers={"WWW-Authenticate": 'Bearer realm="tallywatt"'})
    except keys.PermissionRefused as error:
        return problem(403, str(error))
    except (OperationalError, InterfaceError):
        return problem(503, "the key cannot be checked: PostgreSQL does not answer", headers={"Retry-After": "5"})
    return _rendered(request.headers.get("Accept", ""))


def _authorize(authorization: str | None) -> None:
    """The figures are of the whole provider: no tenant's key may read them, whatever its scopes."""
    credential = keys.authenticate(authorization)
    keys.require(credential, Scope.METRICS)
    if credential.tenant is not None:
        raise keys.PermissionRefused("metrics are of all customers: an operator's key is needed")


def _rendered(accept: str) -> HttpResponse:
    registry = CollectorRegistry()
    health = ingest_health()
    registry.register(HealthCollector(health))
    if POSTGRESQL not in health.down:
        registry.register(AlertCollector(timezone.now()))
    if CLICKHOUSE not in health.down:  # else the next question would wait for it again
        registry.register(LeakageCollector())
        registry.register(FleetCollector())
    encode, content_type = choose_encoder(accept)
    return HttpResponse(encode(registry), content_type=content_type, headers={"Cache-Control": "no-store"})
