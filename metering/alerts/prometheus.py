"""Alerts as Prometheus metrics: what fires, and whether notices arrive."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from metering.alerts.board import looked_at
from metering.models import AlertEvent, AlertNotice, AlertRule, AlertState


class AlertCollector(Collector):
    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        found = GaugeMetricFamily(
            "tallywatt_alerts", "Groups of rules that are pending or firing.", labels=["rule", "state", "severity"]
        )
        rows = AlertState.objects.values_list("rule__name", "state", "rule__severity").annotate(groups=Count("pk"))
        for rule, state, severity, groups in rows:
            found.add_metric([rule, state, severity], groups)
        yield found
        fired = CounterMetricFamily("tallywatt_alert_events", "What happened to alerts, by kind.", labels=["kind"])
        counted = dict(AlertEvent.objects.order_by().values_list("kind").annotate(count=Count("pk")))
        for kind in AlertEvent.Kind.values:
            fired.add_metric([kind], counted.get(kind, 0))
        yield fired
        evaluated = looked_at()
        if evaluated is not None:
            since = max((self._now - evaluated).total_seconds(), 0.0)
            text = "Since the rules were looked at last, which they are every minute."
            yield GaugeMetricFamily("tallywatt_alert_evaluated_age_seconds", text, since)
        unread = AlertRule.objects.filter(enabled=True).exclude(trouble="").count()
        yield GaugeMetricFamily("tallywatt_alert_rules_unreadable", "Rules that could not be read last time.", unread)
        waiting = AlertNotice.objects.filter(due_at__isnull=False)
        yield GaugeMetricFamily("tallywatt_alert_notices_waiting", "Notices on their way.", waiting.count())
        oldest = waiting.order_by("made_at").values_list("made_at", flat=True).first()
        age = (self._now - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("tallywatt_alert_oldest_notice_seconds", "Age of the oldest of them.", age)
        sent = CounterMetricFamily("tallywatt_alert_notices", "Notices that are through with.", labels=["outcome"])
        through = AlertNotice.objects.filter(due_at=None, is_test=False)
        sent.add_metric(["delivered"], through.filter(delivered_at__isnull=False).count())
        sent.add_metric(["given_up"], through.filter(delivered_at=None).count())
        yield sent
