"""Every page of the operator that is kept live, by its key."""

from dashboard.operator import (
    alert_rule,
    alerts,
    capacity,
    energy,
    engine,
    engines,
    fleet,
    gpu,
    gpus,
    ingest,
    latency,
    latency_request,
    leakage,
    overview_page,
    tenant,
    tenants,
)
from dashboard.operator.pages import Page

LISTED: tuple[Page, ...] = (
    overview_page.PAGE,
    fleet.PAGE,
    gpus.PAGE,
    gpu.PAGE,
    engines.PAGE,
    engine.PAGE,
    latency.PAGE,
    latency_request.PAGE,
    energy.PAGE,
    tenants.PAGE,
    tenant.PAGE,
    ingest.PAGE,
    leakage.PAGE,
    capacity.PAGE,
    alerts.PAGE,
    alert_rule.PAGE,
)
PAGES: dict[str, Page] = {page.key: page for page in LISTED}
