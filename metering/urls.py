from django.urls import path

from metering.ingest import views

urlpatterns = [
    path("api/v1/events", views.events, name="ingest-events"),
]
