from django.urls import path

from metering import metrics
from metering.api.alerts import AlertEventsView, AlertsView
from metering.api.annotations import AnnotationsView, AnnotationView
from metering.api.energy import EnergyView
from metering.api.leakage import LeakageView
from metering.api.meters import MeterQueryView, MeterSubjectsView, MetersView, MeterView
from metering.api.quarantine import (
    DiscardMatchingView,
    DiscardView,
    EntriesView,
    EntryView,
    ReplayMatchingView,
    ReplayView,
)
from metering.api.saturation import SaturationHistoryView, SaturationView
from metering.ingest import lago_views, otlp_views, telemetry_views, views

urlpatterns = [
    path("metrics", metrics.metrics, name="metrics"),
    path("api/v1/events", views.events, name="ingest-events"),
    path("api/v1/telemetry", telemetry_views.telemetry, name="ingest-telemetry"),
    path("v1/traces", otlp_views.traces, name="otlp-traces"),
    path("v1/metrics", otlp_views.metrics, name="otlp-metrics"),
    path("lago/api/v1/events", lago_views.event, name="lago-event"),
    path("lago/api/v1/events/batch", lago_views.batch, name="lago-events"),
    path("lago/<path:rest>", lago_views.unknown, name="lago-unknown"),
    path("api/v1/meters", MetersView.as_view(), name="meters"),
    path("api/v1/meters/<str:name>", MeterView.as_view(), name="meter"),
    path("api/v1/meters/<str:name>/query", MeterQueryView.as_view(), name="meter-query"),
    path("api/v1/meters/<str:name>/subjects", MeterSubjectsView.as_view(), name="meter-subjects"),
    path("api/v1/alerts", AlertsView.as_view(), name="alerts"),
    path("api/v1/alerts/events", AlertEventsView.as_view(), name="alert-events"),
    path("api/v1/annotations", AnnotationsView.as_view(), name="annotations"),
    path("api/v1/annotations/<int:number>", AnnotationView.as_view(), name="annotation"),
    path("api/v1/energy", EnergyView.as_view(), name="energy"),
    path("api/v1/leakage", LeakageView.as_view(), name="leakage"),
    path("api/v1/saturation", SaturationView.as_view(), name="saturation"),
    path("api/v1/saturation/history", SaturationHistoryView.as_view(), name="saturation-history"),
    path("api/v1/quarantine", EntriesView.as_view(), name="quarantine"),
    path("api/v1/quarantine/replay", ReplayMatchingView.as_view(), name="quarantine-replay"),
    path("api/v1/quarantine/discard", DiscardMatchingView.as_view(), name="quarantine-discard"),
    path("api/v1/quarantine/<str:batch>/<str:row>/<str:reason>", EntryView.as_view(), name="quarantine-entry"),
    path(
        "api/v1/quarantine/<str:batch>/<str:row>/<str:reason>/replay",
        ReplayView.as_view(),
        name="quarantine-entry-replay",
    ),
    path(
        "api/v1/quarantine/<str:batch>/<str:row>/<str:reason>/discard",
        DiscardView.as_view(),
        name="quarantine-entry-discard",
    ),
]
