"""Alerts: rules over measures, evaluated every minute, told to channels once for each transition. docs/alerts.md."""
