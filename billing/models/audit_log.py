"""The audit log of the back office: every change to what is billed, with who, when, before and after."""

from django.db import models

from billing.models.base import AppendOnly


class AuditEntry(AppendOnly):
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=150)  # a user's name, an API key's prefix, `command`, `schedule`, `stripe`
    address = models.GenericIPAddressField(null=True, blank=True)
    action = models.CharField(max_length=32)  # add, change, delete, finalise, void, refund, publish, ...
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=160)
    object_name = models.CharField(max_length=300)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor}: {self.action} {self.object_name}"
